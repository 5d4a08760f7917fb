"""What is written beside a trained checkpoint: all that is needed to cite it, repeat it, and see what it was shown."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from core.corpora.clip import Clip
from core.corpora.folds import Fold
from core.corpora.leakage import facts_of, shared
from core.provenance import origin, write_json

MANIFEST = "manifest.json"
_SCHEMA = 1


def about_fold(fold: Fold, clips: Sequence[Clip]) -> dict[str, Any]:
    """The fold's three parts, by clip and by what is known of them, and what they share."""
    train, validation, test = (facts_of([clips[i] for i in part]) for part in (fold.train, fold.validation, fold.test))
    return {
        "fold": fold.name,
        "held_out": fold.held_out,
        "leaking": fold.leaking,
        "splits": {"train": train.lists(), "validation": validation.lists(), "test": test.lists()},
        "audit": {
            "train_test": shared(train, test),
            "train_validation": shared(train, validation),
            "selection_on_test": bool(validation.clip_ids & test.clip_ids),
        },
    }


def write_manifest(folder: Path, facts: dict[str, Any]) -> None:
    """Write it whole or not at all: its presence says that the fold is done."""
    write_json(folder / MANIFEST, {"schema": _SCHEMA, **origin(), **facts})


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """A finished fold's manifest, None where it is not finished."""
    path = folder / MANIFEST
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
