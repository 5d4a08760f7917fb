"""One clip as every layer knows it: an id, a name, and what its source says about it."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Clip:
    """A clip that has been decoded once, so that its id and length are known.

    `clip_id` is the SHA-256 of its 16 kHz mono float32 samples; `path` is None for an upload, whose samples
    live in memory only. `label` is the source's own word (match it with `core.emotions`); `split` is "train",
    "validation" or "test" where the source says so.
    """

    clip_id: str
    name: str
    n_samples: int
    path: Path | None = None
    label: str | None = None
    speaker: str | None = None
    session: str | None = None
    dialog: str | None = None
    transcript: str | None = None
    split: str | None = None
