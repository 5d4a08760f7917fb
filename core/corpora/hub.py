"""A `datasets` data set, saved on disk or on the Hub, where that package is installed."""

import hashlib
import sys
import uuid
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Any

from core.corpora.source import Listed, Listing, split_named
from core.errors import Refusal

_COLUMNS = {  # what a clip may know, and the columns that may say so; the first that is there counts
    "label": ("label", "emotion", "major_emotion", "labels", "emotions", "class"),
    "speaker": ("speaker", "speaker_id", "spk_id", "actor", "actor_id"),
    "session": ("session", "session_id"),
    "dialog": ("dialog", "dialogue", "dialog_id", "dialogue_id"),
    "transcript": ("transcript", "transcription", "text", "sentence"),
}


def list_dataset(where: str, kept: Path) -> Listing:
    """Clips of the data set `where`: a directory, or `hub/id`, either with `@config` at its end.

    Sound inside the tables is written once below `kept`, named by its content. Refuses what can't be loaded, and a
    data set without an audio column.
    """
    splits = _load(where)
    features = next(iter(splits.values())).features
    audio = next((name for name, feature in features.items() if type(feature).__name__ == "Audio"), None)
    if audio is None:
        raise Refusal(f"{where} has no audio column, only {', '.join(features)}: choose another data set.")
    columns = {field: name for field in _COLUMNS if (name := _column(field, features)) is not None}
    clips: list[Listed] = []
    soundless = 0
    for split, table in splits.items():
        known_split = split_named(split)
        stored = replace(features[audio], decode=False)  # bytes or a path; decoding would need torch
        for number, row in enumerate(table.select_columns([audio, *columns.values()]).cast_column(audio, stored)):
            path = _sound(row[audio] or {}, kept)
            if path is None:
                soundless += 1
                continue
            known = {field: _text(features[name], row[name]) for field, name in columns.items()}
            name = PurePath(row[audio]["path"] or "").name or f"{split}/{number:06d}"
            clips.append(Listed(name=name, path=path, split=known_split, **known))
    if not clips:
        raise Refusal(f"{where} holds no sound in its column {audio}: choose another data set.")
    read = ", ".join(f"{field} from {name}" for field, name in columns.items())
    notes = [f"Columns of the data set: sound from {audio}{', ' + read if read else ''}."]
    if "label" not in columns:
        notes.append(f"No column holds labels under a name that is known ({', '.join(_COLUMNS['label'])}).")
    if soundless:
        notes.append(f"{soundless} rows hold no sound and are left out.")
    return Listing(tuple(sorted(_distinct(clips), key=lambda clip: clip.name)), tuple(notes))


def _load(where: str) -> Mapping[str, Any]:
    """Tables by split."""
    try:
        import datasets
    except ImportError as error:
        raise Refusal("dataset: sources need the package datasets: `pip install datasets` first.") from error

    if not sys.stderr.isatty():
        datasets.disable_progress_bars()
    name, _, config = where.partition("@")
    folder = Path(name).expanduser()
    if not name:
        raise Refusal("dataset: names no data set: write dataset:/path or dataset:hub/id.")
    if not folder.is_dir() and (folder.is_absolute() or name.startswith((".", "~"))):
        raise Refusal(f"There is no folder {name}: check the path.")
    try:
        if any((folder / file).is_file() for file in ("dataset_dict.json", "state.json")):
            found = datasets.load_from_disk(str(folder))
        else:
            found = datasets.load_dataset(str(folder) if folder.is_dir() else name, config or None)
    except Exception as error:  # the package raises nearly everything
        raise Refusal(f"The data set {where} can't be loaded: {_reason(error)}") from error
    if isinstance(found, datasets.Dataset):
        found = {str(found.split or "all"): found}
    return found


def _reason(error: BaseException) -> str:
    """What the package says, on one line, and what lies behind it."""
    first = " ".join(str(error).split()) or type(error).__name__
    while behind := error.__cause__ or error.__context__:
        error = behind
    last = " ".join(str(error).split())
    return first[:300] if not last or last in first else f"{first[:300]} ({last[:300]})"


def _column(field: str, features: Mapping[str, Any]) -> str | None:
    """The column that says `field`: by its name, or for labels the only one whose type is a class label."""
    plain = [name for name, feature in features.items() if hasattr(feature, "dtype") and not hasattr(feature, "decode")]
    named = next((name for name in _COLUMNS[field] if name in plain), None)
    if named is None and field == "label":
        classes = [name for name in plain if hasattr(features[name], "int2str")]
        return classes[0] if len(classes) == 1 else None
    return named


def _text(feature: Any, value: Any) -> str | None:
    """A cell as text; a class label, which is stored as a number, by its name (-1 is the package's "none")."""
    if value is None or (hasattr(feature, "int2str") and value == -1):
        return None
    return str(feature.int2str(value) if hasattr(feature, "int2str") else value).strip() or None


def _sound(cell: Mapping[str, Any], kept: Path) -> Path | None:
    """Where a cell's sound lies as a file; None where it holds neither bytes nor a path."""
    data, path = cell.get("bytes"), cell.get("path")
    if data is None:
        return Path(path) if path else None
    file = kept / (hashlib.sha256(data).hexdigest() + PurePath(path or "").suffix)
    if not file.is_file():
        temporary = file.with_name(f".{uuid.uuid4().hex}.tmp")
        try:
            kept.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(data)
            temporary.replace(file)
        except OSError as error:
            raise Refusal(f"{kept} can't be written ({error.strerror}): set LORASCOPE_CACHE_DIR to one.") from error
    return file


def _distinct(clips: list[Listed]) -> list[Listed]:
    """The same clips; those whose name others have too are numbered."""
    count = Counter(clip.name for clip in clips)
    seen: Counter[str] = Counter()
    named = []
    for clip in clips:
        if count[clip.name] == 1:
            named.append(clip)
            continue
        seen[clip.name] += 1
        named.append(replace(clip, name=f"{clip.name} ({seen[clip.name]})"))
    return named
