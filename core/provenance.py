"""What a file of results says of how it came about, and how it is written."""

import importlib.metadata
import json
import platform
import shlex
import sys
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from core import __version__

_LIBRARIES = ("torch", "transformers", "peft", "accelerate", "nnsight", "numpy", "scikit-learn", "soundfile", "soxr")


def origin() -> dict[str, Any]:
    """The exact command, the date (UTC) and the versions of whatever the numbers depend on."""
    return {
        "command": "python -m core " + shlex.join(sys.argv[1:]),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {"lorascope": __version__, "python": platform.python_version()}
        | {name: importlib.metadata.version(name) for name in _LIBRARIES},
    }


def write_json(path: Path, data: dict[str, Any]) -> None:
    """A JSON file, which appears whole or not at all."""
    write_text(path, json.dumps(data, indent=2, ensure_ascii=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """A file, which appears whole or not at all. Raises OSError."""
    path = path.resolve()  # through a link, to what it points at
    temporary = path.with_name(f".{uuid.uuid4().hex}.tmp")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
