"""What models said of labelled clips, by class names, and which models make one row."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from core.analyses.predict import ModelPredictions
from core.corpora.clip import Clip
from core.emotions import canonical, class_index
from core.evaluation.audit import Audit
from core.models.info import ModelInfo


@dataclass(frozen=True)
class Outcome:
    """Guess and truth of each clip, as indices into the classes of the row it belongs to."""

    clips: tuple[Clip, ...]
    guess: Int[np.ndarray, " n"]
    truth: Int[np.ndarray, " n"]


@dataclass(frozen=True)
class Member:
    """One model of a row: a fold, a seed, or simply the model."""

    title: str
    model: ModelInfo
    outcome: Outcome
    audit: Audit
    fold: str = ""
    seed: int | None = None


@dataclass(frozen=True)
class Group:
    """Models that differ in fold or seed alone, or a single one: one row of the table."""

    name: str
    classes: tuple[str, ...]
    members: tuple[Member, ...]


@dataclass(frozen=True)
class Pooled:
    """All answers of a group. A clip is there once for each member that was asked about it."""

    clips: tuple[Clip, ...]
    guess: Int[np.ndarray, " n"]
    truth: Int[np.ndarray, " n"]

    def only(self, clip_ids: frozenset[str]) -> "Pooled":
        """The answers to these clips."""
        kept = [i for i, clip in enumerate(self.clips) if clip.clip_id in clip_ids]
        return Pooled(tuple(self.clips[i] for i in kept), self.guess[kept], self.truth[kept])


def scorable(model: ModelInfo, clips: Sequence[Clip]) -> list[Clip]:
    """The clips whose label is among the model's classes."""
    return [clip for clip in clips if class_index(clip.label, model.labels) is not None]


def class_names(model: ModelInfo) -> tuple[str, ...]:
    """The model's classes, by the names they go by here."""
    return tuple(dict.fromkeys(map(canonical, model.labels)))


def outcome(predictions: ModelPredictions, classes: tuple[str, ...]) -> Outcome:
    """Guess and truth of the clips that have a label among the classes and defined probabilities."""
    columns = np.array([classes.index(canonical(label)) for label in predictions.model.labels])
    truth = [class_index(clip.label, classes) for clip in predictions.clips]
    defined = np.isfinite(predictions.probabilities).all(axis=1)
    kept = [i for i, true in enumerate(truth) if true is not None and defined[i]]
    return Outcome(
        clips=tuple(predictions.clips[i] for i in kept),
        guess=columns[predictions.probabilities[kept].argmax(axis=1)] if kept else np.zeros(0, dtype=np.int64),
        truth=np.array([truth[i] for i in kept], dtype=np.int64),
    )


def pool(group: Group) -> Pooled:
    """All members' answers, one after the other."""
    outcomes = [member.outcome for member in group.members]
    return Pooled(
        clips=tuple(clip for one in outcomes for clip in one.clips),
        guess=np.concatenate([one.guess for one in outcomes]),
        truth=np.concatenate([one.truth for one in outcomes]),
    )
