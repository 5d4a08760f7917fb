"""Which demo clips to look at first: those its build found something in, else one of each emotion."""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from core import paths
from core.corpora.source import Listed
from core.emotions import canonical

_LOOKS = 4


@dataclass(frozen=True)
class Look:
    """A clip worth a look: what to call it and, where the build found something in it, what that is.

    `models` names those to look with, `variant` and `frames` say how; empty where the usual ones do.
    """

    clip: Listed
    title: str
    text: str = ""
    models: tuple[str, ...] = ()
    variant: str = ""
    frames: str = ""


def highlights(
    listed: Sequence[Listed], models: Collection[str], metrics: Path = paths.DEMO / "metrics.json"
) -> list[Look]:
    """A few clips to begin with, the best first; empty only where `listed` is.

    The stories in `metrics` that are about `models` (names in the registry). Where there are none: clips with different
    labels and, where they can, speakers.
    """
    return _stories(listed, models, metrics) or _varied(listed)


def _stories(listed: Sequence[Listed], models: Collection[str], metrics: Path) -> list[Look]:
    """As the build wrote them; a story about models that are not there would say what cannot be seen."""
    clips = {clip.name: clip for clip in listed}
    try:
        told = [
            Look(
                clips[story["clip"]],
                story["title"],
                story["text"],
                tuple(story["models"]),
                story.get("variant", ""),
                story.get("frames", ""),
            )
            for story in json.loads(metrics.read_text(encoding="utf-8"))["stories"]
            if story["clip"] in clips
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []
    return [look for look in told if set(look.models) <= set(models)]


def _varied(listed: Sequence[Listed]) -> list[Look]:
    chosen: list[Listed] = []
    for clip in sorted(listed, key=lambda clip: canonical(clip.label or "")):  # stable
        if clip.label not in {one.label for one in chosen}:
            alike = [one for one in listed if one.label == clip.label]
            heard = {one.speaker for one in chosen}
            chosen.append(next((one for one in alike if one.speaker not in heard), clip))
    return [Look(clip, _what(clip)) for clip in chosen[:_LOOKS]]


def _what(clip: Listed) -> str:
    return f"{clip.label} ({clip.speaker})" if clip.label and clip.speaker else clip.label or clip.name
