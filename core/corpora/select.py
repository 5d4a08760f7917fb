"""Which of a source's clips: slices, balanced samples, and their ids."""

import contextlib
import re
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core import commas
from core.audio.decoder import Decoder
from core.corpora.clip import Clip
from core.corpora.folds import FEWEST_SPEAKERS, natural_order
from core.corpora.source import Listed
from core.emotions import canonical
from core.errors import Refusal
from core.store.index import Index

_KNOWN = ("label", "speaker", "session", "dialog", "transcript", "split")  # what a source may say of a clip
FIELDS = ("name", "emotion", "speaker", "session", "dialog", "split", "fold")
_NUMBERED = {  # 1, Ses01, Session1; 1, fold1
    "session": re.compile(r"(?:ses(?:sion)?)? ?0*(\d+)", re.IGNORECASE),
    "fold": re.compile(r"(?:fold)? ?0*(\d+)", re.IGNORECASE),
}


@dataclass(frozen=True)
class Slice:
    """Which clips to take: `where` maps a field to a value, `balanced` clips of each class, at most `limit`."""

    where: Mapping[str, str]
    balanced: int | None = None
    limit: int | None = None
    seed: int = 0


@dataclass(frozen=True)
class Unusable:
    """A clip that was chosen but can't be read, and why."""

    name: str
    reason: str


def parse_where(text: str) -> dict[str, str]:
    """`emotion=anger,speaker=Ses01F` → a mapping; refuses unknown fields. Commas as in core/commas.py."""
    where = {}
    for part in commas.split(text):
        field, equals, value = (word.strip() for word in part.partition("="))
        if field not in FIELDS or not equals or not value:
            raise Refusal(f"{part!r} in --where is not understood: write {'=…, '.join(FIELDS)}=…, separated by commas.")
        where[field] = value
    return where


def write_where(where: Mapping[str, str]) -> str:
    """What `parse_where` understands."""
    return commas.join(f"{field}={value}" for field, value in where.items())


def choose(listed: Sequence[Listed], chosen: Slice) -> list[Listed]:
    """The slice of a source's clips, in the source's order; refuses a slice that is empty."""
    wanted = {field: _comparable(field, value) for field, value in chosen.where.items()}
    folds = folds_of(listed) if "fold" in wanted else {}

    def fits(clip: Listed) -> bool:
        values = {field: folds.get(clip.speaker) if field == "fold" else value_of(clip, field) for field in wanted}
        return all(_comparable(field, values[field]) == value for field, value in wanted.items())

    kept = [clip for clip in listed if fits(clip)]
    if not kept:
        asked = ", ".join(f"{field}={value}" for field, value in chosen.where.items()) or "the source"
        raise Refusal(f"No clip fits {asked}: `python -m core clips` lists what there is.")
    if chosen.balanced is not None:
        kept = _balanced(kept, chosen.balanced, chosen.seed)
    return kept if chosen.limit is None else kept[: chosen.limit]


def folds_of(listed: Sequence[Listed]) -> dict[str | None, str]:
    """Which fold of `train --folds speakers` tests each speaker; empty where speakers are unknown or too few."""
    speakers = [clip.speaker for clip in listed if clip.speaker is not None]
    order = natural_order(speakers)
    if len(speakers) < len(listed) or len(order) < FEWEST_SPEAKERS:
        return {}
    return {speaker: f"fold{i}" for i, speaker in enumerate(order, 1)}


def value_of(clip: Listed | Clip, field: str) -> str | None:
    """What the source says of a clip under one of FIELDS but the fold; emotions go by their canonical names."""
    if field == "emotion":
        return None if clip.label is None else canonical(clip.label)
    return getattr(clip, field)


def _comparable(field: str, value: str | None) -> str | None:
    """A value as it is compared: emotions by their canonical names, what is numbered by its number."""
    if value is None:
        return None
    if field == "emotion":
        return canonical(value)
    match = _NUMBERED[field].fullmatch(value) if field in _NUMBERED else None
    return match[1] if match else value


def _balanced(clips: list[Listed], per_class: int, seed: int) -> list[Listed]:
    """`per_class` clips of each class, drawn without replacement; all of a class that has fewer."""
    if any(clip.label is None for clip in clips):
        raise Refusal("A balanced sample needs labels, and some of these clips have none: leave --balanced out.")
    draw = np.random.default_rng(seed)
    taken: set[int] = set()
    by_name = sorted(range(len(clips)), key=lambda i: clips[i].name)  # so that the listing's order does not matter
    for label in sorted({canonical(clip.label or "") for clip in clips}):
        members = [i for i in by_name if canonical(clips[i].label or "") == label]
        taken |= set(draw.permutation(members)[:per_class].tolist())
    return [clip for i, clip in enumerate(clips) if i in taken]


def identify(
    listed: Sequence[Listed],
    decoder: Decoder,
    index: Index,
    progress: Callable[[int], None] = lambda done: None,
) -> tuple[list[Clip], list[Unusable]]:
    """Clips with id and length (remembered by path, size and time), and those that can't be used."""
    clips: list[Clip] = []
    unusable: list[Unusable] = []
    for done, clip in enumerate(listed, start=1):
        try:
            clip_id, n_samples = _identity(clip.path, decoder, index)
            known = {name: getattr(clip, name) for name in _KNOWN}
            clips.append(Clip(clip_id, clip.name, n_samples, clip.path, **known))
        except Refusal as error:
            unusable.append(Unusable(clip.name, str(error)))
        progress(done)
    return clips, unusable


def _identity(path: Path, decoder: Decoder, index: Index) -> tuple[str, int]:
    try:
        known = index.recall(path, "clip")
    except OSError:
        known = None  # the decoder says what is wrong with it
    if known is None:
        waveform = decoder.decode_file(path)
        known = f"{waveform.clip_id} {waveform.samples.size}"
        with contextlib.suppress(OSError, sqlite3.OperationalError):  # gone meanwhile, or no room: then decode it again
            index.remember(path, "clip", known)
    clip_id, n_samples = known.split()
    return clip_id, int(n_samples)
