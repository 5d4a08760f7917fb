"""Clips worth opening first, found in what the shipped models answered at every depth. Nothing here is written by hand
but the sentences around the numbers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float

_SURE = 0.6  # probability from which an answer is told as one


@dataclass(frozen=True)
class Told:
    """One clip's emotion and, for each model, the probabilities of all classes at every point (L + 1 x classes)."""

    name: str
    speaker: str
    emotion: str
    models: Mapping[str, Float[np.ndarray, "points classes"]]


def tell(clips: Sequence[Told], classes: Sequence[str], frozen: str, ranks: Sequence[str]) -> list[dict[str, Any]]:
    """Up to four stories: {clip, title, text, models, variant, frames}; `ranks` are the LoRA models, smallest first.

    The probabilities are to be those of the corrected lens over all frames, whose last point is the model's answer.
    """
    found: list[dict[str, Any]] = []
    for pick in (_only_lora, _only_high_rank, _changes_its_mind, _nobody):
        left = [clip for clip in clips if clip.name not in {story["clip"] for story in found}]
        if story := pick(_View(clips, left, tuple(classes), frozen, tuple(ranks))):
            found.append(story | {"models": [frozen, *ranks], "variant": "corrected", "frames": "all"})
    return found


@dataclass(frozen=True)
class _View:
    everything: Sequence[Told]
    clips: Sequence[Told]  # those of them that no story is about yet
    classes: tuple[str, ...]
    frozen: str
    ranks: tuple[str, ...]

    def answer(self, clip: Told, model: str, point: int = -1) -> tuple[str, float]:
        """Class and probability at a point."""
        best = int(clip.models[model][point].argmax())
        return self.classes[best], float(clip.models[model][point, best])

    def truth(self, clip: Told, model: str) -> float:
        return float(clip.models[model][-1, self.classes.index(clip.emotion)])

    def right(self, clip: Told, model: str) -> bool:
        return self.answer(clip, model)[0] == clip.emotion

    def settled(self, clip: Told, model: str) -> int:
        """The first point from which on the final answer stays in the lead."""
        leads = clip.models[model].argmax(axis=1)
        other = np.flatnonzero(leads != leads[-1])
        return int(other[-1]) + 1 if other.size else 0

    @cached_property
    def usual(self) -> dict[str, list[str]]:
        """What most of all clips are answered at each point, by model."""
        found = {}
        for model in (self.frozen, *self.ranks):
            leads = np.array([clip.models[model].argmax(axis=1) for clip in self.everything])
            found[model] = [self.classes[int(np.bincount(column).argmax())] for column in leads.T]
        return found

    def best(self, fits: Callable[[Told], bool], score: Callable[[Told], float]) -> Told | None:
        return max(filter(fits, self.clips), key=score, default=None)


def _only_lora(view: _View) -> dict[str, Any] | None:
    """The frozen encoder is wrong, every LoRA model is right."""
    clip = view.best(
        lambda clip: not view.right(clip, view.frozen) and all(view.right(clip, model) for model in view.ranks),
        lambda clip: min(view.truth(clip, model) for model in view.ranks) - view.truth(clip, view.frozen),
    )
    if clip is None:
        return None
    wrong, sure = view.answer(clip, view.frozen)
    middle = view.ranks[len(view.ranks) // 2]
    return _story(
        clip,
        f"Heard by LoRA, not by the frozen encoder: {clip.emotion}",
        f"The frozen encoder takes {_whose(clip)} {clip.emotion} for {wrong} ({sure:.0%}), all "
        f"{len(view.ranks)} LoRA models hear {clip.emotion}; {middle} settles on it at point "
        f"{view.settled(clip, middle)} of {_last(clip, middle)}, with {view.truth(clip, middle):.0%} at the end.",
    )


def _only_high_rank(view: _View) -> dict[str, Any] | None:
    """The smallest rank is wrong, the largest is right."""
    low, high = view.ranks[0], view.ranks[-1]
    clip = view.best(
        lambda clip: not view.right(clip, low) and view.right(clip, high),
        lambda clip: view.truth(clip, high) - view.truth(clip, low),
    )
    if clip is None:
        return None
    wrong, sure = view.answer(clip, low)
    return _story(
        clip,
        f"Rank matters here: {clip.emotion}",
        f"{low} answers {wrong} ({sure:.0%}) to {_whose(clip)} {clip.emotion}, {high} answers {clip.emotion} "
        f"({view.truth(clip, high):.0%}). One clip is no proof that rank matters in general: compare the model card.",
    )


def _changes_its_mind(view: _View) -> dict[str, Any] | None:
    """A right answer that another emotion led, clearly, at some depth; the last such turn counts.

    Before its last layers an encoder gives most clips one and the same answer; that is no opinion of this clip.
    """
    found = [turn for model in view.ranks for clip in view.clips if (turn := _detour(view, clip, model)) is not None]
    if not found:
        return None
    turn = max(found, key=lambda turn: turn.sure + view.truth(turn.clip, turn.model))
    clip, model = turn.clip, turn.model
    return _story(
        clip,
        f"A change of mind: {clip.emotion}",
        f"Read at point {turn.point} of {_last(clip, model)}, {model} would answer {turn.said} ({turn.sure:.0%}) to "
        f"{_whose(clip)} {clip.emotion} (most clips read {turn.usual} there); at the end it answers {clip.emotion} "
        f"({view.truth(clip, model):.0%}).",
    )


@dataclass(frozen=True)
class _Turn:
    """Where a model would have given a clip another answer, and what most clips get there."""

    clip: Told
    model: str
    point: int
    said: str
    sure: float
    usual: str


def _detour(view: _View, clip: Told, model: str) -> _Turn | None:
    if not view.right(clip, model) or view.truth(clip, model) < _SURE:
        return None
    usual = view.usual[model]
    for point in range(_last(clip, model) - 1, 0, -1):
        said, sure = view.answer(clip, model, point)
        if said not in (clip.emotion, usual[point]) and sure >= _SURE:
            return _Turn(clip, model, point, said, sure, usual[point])
    return None


def _nobody(view: _View) -> dict[str, Any] | None:
    """Every model is wrong."""
    everyone = (view.frozen, *view.ranks)
    clip = view.best(
        lambda clip: not any(view.right(clip, model) for model in everyone),
        lambda clip: min(view.answer(clip, model)[1] for model in everyone),
    )
    if clip is None:
        return None
    said = ", ".join(f"{model} {view.answer(clip, model)[0]}" for model in everyone)
    return _story(clip, f"Nobody hears it: {clip.emotion}", f"{_whose(clip)} {clip.emotion} is lost: {said}.")


def _story(clip: Told, title: str, text: str) -> dict[str, Any]:
    return {"clip": clip.name, "title": title, "text": text}


def _whose(clip: Told) -> str:
    return f"{clip.speaker}'s"


def _last(clip: Told, model: str) -> int:
    return len(clip.models[model]) - 1
