"""A folder of audio files, as the Hub's AudioFolder: metadata, else telling file names, else sub-folders as labels."""

import csv
import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from core.corpora.named import recognise
from core.corpora.source import Listed, Listing, readable, split_named
from core.errors import Refusal

AUDIO_SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".opus", ".mp3"})
_KNOWN = ("label", "speaker", "session", "dialog")
_TRANSCRIPTS = ("transcript", "transcription", "text")  # the first that a row has


def list_folder(directory: Path) -> Listing:
    """Clips below `directory`, sorted by name (their path within it); refuses a folder without audio.

    Where every top-level folder with audio is named as a split (train, validation, test, or as the Hub allows), each
    is read as a folder of its own.
    """
    if not directory.is_dir():
        raise Refusal(f"There is no folder {directory}: check the path.")
    parts = {} if _metadata(directory) else _parts(directory)
    if parts:
        clips, notes = [], []
        for part, split in parts.items():
            below = _plain(part)
            clips += [replace(c, name=f"{readable(part.name)}/{c.name}", split=c.split or split) for c in below.clips]
            notes += [note for note in below.notes if note not in notes]
        listing = Listing(tuple(clips), tuple(notes))
    else:
        listing = _plain(directory)
    if not listing.clips:
        raise Refusal(f"{directory} holds no audio ({', '.join(sorted(AUDIO_SUFFIXES))}): check the path.")
    return replace(listing, clips=tuple(sorted(listing.clips, key=lambda clip: clip.name)))


def _parts(directory: Path) -> dict[Path, str]:
    """Top-level folders and their splits; none where audio lies anywhere else."""
    tops = {directory / path.relative_to(directory).parts[0] for path in _audio(directory)}
    splits = {top: split_named(top.name) for top in sorted(tops)}
    known = {top: split for top, split in splits.items() if split is not None and top.is_dir()}
    return known if len(known) == len(splits) else {}


def _plain(directory: Path) -> Listing:
    metadata = _metadata(directory)
    return _from_tree(directory) if metadata is None else _from_metadata(metadata)


def _metadata(directory: Path) -> Path | None:
    return next((path for path in (directory / "metadata.csv", directory / "metadata.jsonl") if path.is_file()), None)


def _audio(directory: Path) -> list[Path]:
    """Audio files below, but for the `._…` that macOS leaves beside each."""
    found = (path for path in directory.rglob("*") if path.suffix.lower() in AUDIO_SUFFIXES)
    return [path for path in found if not path.name.startswith("._") and path.is_file()]


def _from_tree(directory: Path) -> Listing:
    found = _audio(directory)
    naming = recognise(path.name for path in found)
    clips = []
    for path in found:
        known = {"label": path.parent.name} if path.parent != directory else {}
        if naming is not None:
            known = naming.read(path.stem) or {}
        clips.append(Listed(name=readable(path.relative_to(directory).as_posix()), path=path, **known))
    if naming is None:
        return Listing(tuple(clips))
    return Listing(tuple(clips), (f"Labels, speakers and transcripts were read from the {naming.corpus} file names.",))


def _from_metadata(metadata: Path) -> Listing:
    rows = _jsonl_rows(metadata) if metadata.suffix == ".jsonl" else _csv_rows(metadata)
    clips = []
    odd_splits: dict[str, None] = {}
    for number, row in rows.items():
        name = row.get("file_name", "")
        # As written, not resolved: a data set from the Hub is a folder of links to elsewhere.
        path = Path(os.path.abspath(metadata.parent / name))  # noqa: PTH100  # resolve() would follow them
        if not name or not path.is_relative_to(metadata.parent.absolute()):
            raise Refusal(f"{metadata}, line {number}: {name!r} is no file below the folder.")
        known = {key: row[key] for key in _KNOWN if key in row}
        if words := next((row[key] for key in _TRANSCRIPTS if key in row), None):
            known["transcript"] = words
        split = split_named(row.get("split") or Path(name).parts[0])
        if split is not None:
            known["split"] = split
        elif "split" in row:
            odd_splits[row["split"]] = None
        clips.append(Listed(name=name, path=path, **known))
    if not odd_splits:
        return Listing(tuple(clips))
    note = f"Splits that are none of train, validation and test are ignored: {', '.join(odd_splits)} in {metadata}."
    return Listing(tuple(clips), (note,))


def _csv_rows(metadata: Path) -> dict[int, dict[str, str]]:
    """Cells that hold something, by line."""
    try:
        with metadata.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            rows, columns = list(reader), reader.fieldnames or ()
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise Refusal(f"{metadata} can't be read as CSV in UTF-8: {error}.") from error
    if rows and "file_name" not in columns:
        raise Refusal(f"{metadata} has no column file_name: its first line names the columns, {','.join(columns)} now.")
    return {number: _filled(row) for number, row in enumerate(rows, start=2)}


def _jsonl_rows(metadata: Path) -> dict[int, dict[str, str]]:
    rows = {}
    try:
        lines = metadata.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise Refusal(f"{metadata} can't be read as JSON lines in UTF-8: {error}.") from error
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                row = json.loads(line)
            except ValueError as error:
                raise Refusal(f"{metadata}, line {number} is no JSON: {error}.") from error
            if not isinstance(row, dict) or "file_name" not in row:
                raise Refusal(f"{metadata}, line {number} has no file_name: each line is one object that has.")
            rows[number] = _filled(row)
    return rows


def _filled(row: Mapping[str | None, Any]) -> dict[str, str]:
    """Cells as text, without those that hold nothing and those beyond the last column."""
    plain = {key: str(value).strip() for key, value in row.items() if key is not None and value is not None}
    return {key: value for key, value in plain.items() if value}
