"""A clip source as people write it: `demo`, `iemocap:/path`, `folder:/path`, `dataset:…`, `uploads`, or audio files."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from core import paths
from core.errors import Refusal
from core.settings import settings

UPLOADS = "uploads"
DEMO = "demo"
FOLDER = "folder:"
IEMOCAP = "iemocap:"
DATASET = "dataset:"
_SPLITS = {  # as the Hub reads names of splits
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing", "eval", "evaluation"),
}


@dataclass(frozen=True, slots=True)
class Listed:
    """A clip as its source lists it, before it is decoded; `name` tells it from the source's others."""

    name: str
    path: Path
    label: str | None = None
    speaker: str | None = None
    session: str | None = None
    dialog: str | None = None
    transcript: str | None = None
    split: str | None = None


@dataclass(frozen=True)
class Listing:
    """A source's clips in a stable order, and what is worth saying about it: one sentence each."""

    clips: tuple[Listed, ...]
    notes: tuple[str, ...] = ()


def list_source(source: str | Sequence[str], cache_dir: Path | None = None) -> Listing:
    """Clips of a source, ordered by name; refuses a source that does not exist or holds no audio.

    Sound that lies inside a data set's tables is written below `cache_dir` (default: the setting).
    """
    from core.corpora import folder, hub, iemocap

    words = [source] if isinstance(source, str) else list(source)
    if not words:
        raise Refusal("No clips were given: use --clips demo, --clips folder:/path or audio files.")
    if len(words) == 1:
        word = words[0]
        if word == DEMO:
            return Listing(iemocap.list_iemocap(paths.DEMO_CLIPS).clips)  # it is no IEMOCAP: the counts mean nothing
        if word.startswith(FOLDER):
            return folder.list_folder(Path(word.removeprefix(FOLDER)).expanduser())
        if word.startswith(IEMOCAP):
            return iemocap.list_iemocap(Path(word.removeprefix(IEMOCAP)).expanduser())
        if word.startswith(DATASET):
            return hub.list_dataset(word.removeprefix(DATASET), (cache_dir or settings().cache_dir) / "datasets")
        if ":" in word and not Path(word).expanduser().exists():
            raise Refusal(
                f"{word!r} is no clip source: use demo, iemocap:/path, folder:/path, dataset:…, or audio files."
            )
        if Path(word).expanduser().is_dir():
            raise Refusal(f"{word} is a directory: write folder:{word}.")
    listed = []
    for word in words:
        path = Path(word).expanduser()
        if not path.is_file():
            raise Refusal(f"There is no audio file {word}: check the path, or use demo or folder:/path.")
        listed.append(Listed(readable(path.name), path))
    return Listing(tuple(listed))


def from_anywhere(source: Sequence[str]) -> list[str]:
    """The same source whatever the working directory: paths in it become absolute."""
    words = []
    for word in source:
        kind = next((kind for kind in (IEMOCAP, FOLDER, DATASET) if word.startswith(kind)), "")
        path = Path(word.removeprefix(kind)).expanduser()
        # what is no path here is a name: demo, or a data set's on the Hub
        words.append(f"{kind}{path.absolute()}" if path.exists() and word != DEMO else word)
    return words


def split_named(word: str) -> str | None:
    """The split that data sets call `word` ("train", "validation" or "test"), or None: `"dev"` → `"validation"`."""
    plain = word.strip().lower()
    return next((split for split, words in _SPLITS.items() if plain in words), None)


def readable(name: str) -> str:
    """A file's name as text that can be shown and written, also where its bytes are no UTF-8."""
    return os.fsencode(name).decode(errors="replace")
