"""What commands write, and how they say what they could not use."""

import contextlib
import hashlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from core.corpora.clip import Clip
from core.engine.interface import Failure
from core.errors import Refusal
from core.models.info import ModelInfo


def make_directory(directory: Path) -> None:
    """The output directory, made before any pass is made for it."""
    with writing(directory):
        directory.mkdir(parents=True, exist_ok=True)
        probe = directory / ".lorascope"
        probe.touch()
        probe.unlink()


@contextlib.contextmanager
def writing(out: Path) -> Iterator[None]:
    """Refuses what can't be written."""
    try:
        yield
    except OSError as error:
        raise Refusal(f"{out} can't be written ({error.strerror}): give another --out.") from error


def group_directory(out: Path, group: str) -> Path:
    """Where a group's files go: the output directory itself where nothing is split. Two groups never share one."""
    plain = re.sub(r"[^\w-]+", "-", group)
    return out / (plain if plain == group else f"{plain}-{hashlib.sha256(group.encode()).hexdigest()[:6]}")


def model_json(model: ModelInfo) -> dict[str, Any]:
    """What identifies a model in a file of results."""
    return {
        "name": model.name,
        "role": model.role.value,
        "rank": model.rank,
        "fingerprint": model.fingerprint,
        "labels": model.labels,
    }


def clip_json(clip: Clip) -> dict[str, Any]:
    """What identifies a clip in a file of results."""
    return {"clip_id": clip.clip_id, "name": clip.name, "label": clip.label}


def failed_passes(failures: Sequence[Failure]) -> list[str]:
    """One line for each model and reason, with how many clips and the first of them where it is about clips."""
    by_reason: dict[str, dict[str, None]] = {}
    for failure in failures:
        names = by_reason.setdefault(f"{failure.model}: {failure.reason}", {})
        if failure.clip is not None:
            names[failure.clip.name] = None
    return [
        f"{reason} ({len(clips)} clips: {', '.join(list(clips)[:5])})" if clips else reason
        for reason, clips in by_reason.items()
    ]
