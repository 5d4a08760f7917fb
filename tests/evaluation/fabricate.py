"""Groups of models that answered as told, without models."""

from collections.abc import Sequence

import numpy as np

from core.evaluation.audit import audit
from core.evaluation.outcome import Group, Member, Outcome
from tests.analyses.fabricate import make_clips, make_model

CLASSES = ("anger", "neutral", "sadness")


def make_outcome(
    truth: Sequence[int], guess: Sequence[int], speakers: Sequence[str | None] | None = None, first: int = 0
) -> Outcome:
    """Answers to clips number `first` and on."""
    labels = [None] * first + [CLASSES[k] for k in truth]
    clips = make_clips(labels, [None] * first + list(speakers or [None] * len(truth)))[first:]
    return Outcome(clips, np.array(guess, dtype=np.int64), np.array(truth, dtype=np.int64))


def make_group(name: str, *outcomes: Outcome, folds: Sequence[str] = (), seeds: Sequence[int] = ()) -> Group:
    """A row with one member an outcome."""
    members = []
    for i, outcome in enumerate(outcomes):
        fold, seed = (folds[i] if folds else ""), (seeds[i] if seeds else None)
        model = make_model(f"{name} {i}", labels=CLASSES)
        members.append(Member(f"member {i}", model, outcome, audit(None, outcome.clips), fold, seed))
    return Group(name, CLASSES, tuple(members))
