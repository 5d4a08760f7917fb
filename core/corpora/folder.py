"""A folder of audio files: `metadata.csv` as in the Hub's AudioFolder, else sub-folder names as labels."""

import csv
import os
from pathlib import Path

from core.corpora.source import Listed, readable
from core.errors import Refusal

AUDIO_SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".opus", ".mp3"})
_KNOWN = ("label", "speaker", "session", "dialog")


def list_folder(directory: Path) -> list[Listed]:
    """Clips below `directory`, sorted by name (their path within it); refuses a folder without audio."""
    if not directory.is_dir():
        raise Refusal(f"There is no folder {directory}: check the path.")
    metadata = directory / "metadata.csv"
    listed = _from_metadata(metadata) if metadata.is_file() else _from_tree(directory)
    if not listed:
        raise Refusal(f"{directory} holds no audio ({', '.join(sorted(AUDIO_SUFFIXES))}): check the path.")
    return sorted(listed, key=lambda clip: clip.name)


def _from_tree(directory: Path) -> list[Listed]:
    found = [path for path in directory.rglob("*") if path.suffix.lower() in AUDIO_SUFFIXES and path.is_file()]
    return [
        Listed(
            name=readable(path.relative_to(directory).as_posix()),
            path=path,
            label=path.parent.name if path.parent != directory else None,
        )
        for path in found
    ]


def _from_metadata(metadata: Path) -> list[Listed]:
    try:
        with metadata.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            rows, columns = list(reader), reader.fieldnames or ()
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise Refusal(f"{metadata} can't be read as CSV in UTF-8: {error}.") from error
    if rows and "file_name" not in columns:
        raise Refusal(f"{metadata} has no column file_name: its first line names the columns, {','.join(columns)} now.")
    listed = []
    for number, row in enumerate(rows, start=2):
        name = (row["file_name"] or "").strip()
        # As written, not resolved: a data set from the Hub is a folder of links to elsewhere.
        path = Path(os.path.abspath(metadata.parent / name))  # noqa: PTH100  # resolve() would follow them
        if not name or not path.is_relative_to(metadata.parent.absolute()):
            raise Refusal(f"{metadata}, line {number}: {name!r} is no file below the folder.")
        known = {key: value.strip() for key in _KNOWN if (value := row.get(key)) and value.strip()}
        listed.append(Listed(name=name, path=path, **known))
    return listed
