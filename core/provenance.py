"""What a file of results says of how it came about."""

import importlib.metadata
import platform
import shlex
import sys
from datetime import UTC, datetime
from typing import Any

from core import __version__

_LIBRARIES = ("torch", "transformers", "peft", "nnsight", "numpy", "scikit-learn", "soundfile", "soxr")


def origin() -> dict[str, Any]:
    """The exact command, the date (UTC) and the versions of whatever the numbers depend on."""
    return {
        "command": "python -m core " + shlex.join(sys.argv[1:]),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {"lorascope": __version__, "python": platform.python_version()}
        | {name: importlib.metadata.version(name) for name in _LIBRARIES},
    }
