"""Which demo clips to look at first: those its build found something in, else those the models disagree about."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from core import paths
from core.corpora.source import Listed
from core.emotions import canonical

_LOOKS = 4


@dataclass(frozen=True)
class Look:
    """A clip worth a look: what to call it and, where the build found something in it, what that is.

    `models` names those to look with, and `variant` how; empty where the usual ones do.
    """

    clip: Listed
    title: str
    text: str = ""
    models: tuple[str, ...] = ()
    variant: str = ""


def highlights(
    listed: Sequence[Listed], models: Collection[str], metrics: Path = paths.DEMO / "metrics.json"
) -> list[Look]:
    """A few clips to begin with, the best first; empty only where `listed` is.

    The stories in `metrics` that are about `models` (names in the registry). Where there are none: clips with different
    labels and, where they can, speakers, those where few models are wrong first.
    """
    return _stories(listed, models, metrics) or _disputed(listed, metrics)


def _stories(listed: Sequence[Listed], models: Collection[str], metrics: Path) -> list[Look]:
    """As the build wrote them; a story about models that are not there would say what cannot be seen."""
    clips = {clip.name: clip for clip in listed}
    try:
        told = [
            Look(clips[story["clip"]], story["title"], story["text"], tuple(story["models"]), story.get("variant", ""))
            for story in json.loads(metrics.read_text(encoding="utf-8"))["stories"]
            if story["clip"] in clips
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []
    return [look for look in told if set(look.models) <= set(models)]


def _disputed(listed: Sequence[Listed], metrics: Path) -> list[Look]:
    answers = _answers(metrics)
    ranked = sorted(listed, key=lambda clip: (_wrong(clip, answers), canonical(clip.label or "")))  # stable
    chosen: list[Listed] = []
    for clip in ranked:
        if clip.label in {one.label for one in chosen}:
            continue
        fresh = [one for one in ranked if one.label == clip.label and one.speaker not in {c.speaker for c in chosen}]
        best = _wrong(clip, answers)
        chosen.append(next((one for one in fresh if _wrong(one, answers) == best), clip))
    return [Look(clip, _what(clip)) for clip in chosen[:_LOOKS]]


def _what(clip: Listed) -> str:
    return f"{clip.label} ({clip.speaker})" if clip.label and clip.speaker else clip.label or clip.name


def _wrong(clip: Listed, answers: Sequence[Mapping[str, str]]) -> int:
    """How many models are wrong about it, 1 the best: where nobody or everybody is, there is nothing to compare."""
    given = [model[clip.name] for model in answers if clip.name in model]
    count = sum(canonical(answer) != canonical(clip.label or "") for answer in given)
    return count if 0 < count < len(given) else len(answers) + 1


def _answers(metrics: Path) -> list[Mapping[str, str]]:
    """Each model's answer to each clip."""
    try:
        models = json.loads(metrics.read_text(encoding="utf-8"))["shipped_clips"]["models"]
        return [model["answers"] for model in models.values()]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []
