"""What is written beside a trained checkpoint: all that is needed to cite it, repeat it, and see what it was shown."""

import importlib.metadata
import json
import platform
import shlex
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from core import __version__
from core.corpora.clip import Clip
from core.corpora.folds import Fold
from core.corpora.leakage import facts_of, shared

MANIFEST = "manifest.json"
_SCHEMA = 1
_LIBRARIES = ("torch", "transformers", "peft", "accelerate", "numpy", "soundfile", "soxr")


def about_versions() -> dict[str, str]:
    """Versions of everything that has a say in the weights."""
    ours = {"lorascope": __version__, "python": platform.python_version()}
    return ours | {name: importlib.metadata.version(name) for name in _LIBRARIES}


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
    when = {
        "schema": _SCHEMA,
        "command": "python -m core " + shlex.join(sys.argv[1:]),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": about_versions(),
    }
    write_json(folder / MANIFEST, when | facts)


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """A finished fold's manifest, None where it is not finished."""
    path = folder / MANIFEST
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def write_json(path: Path, data: dict[str, Any]) -> None:
    """As one replacement, so that nobody reads half a file."""
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    temporary.replace(path)
