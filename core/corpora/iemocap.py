"""IEMOCAP as its authors release it: five sessions, their label files, their true speakers.

Four classes as most papers use them: excitement counts as happiness, what is none of the four is left out.
"""

import os
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from core.corpora.iemocap_notes import count_note, first_names
from core.corpora.source import Listed, Listing
from core.errors import Refusal

CLASSES = {"ang": "anger", "hap": "happiness", "exc": "happiness", "neu": "neutral", "sad": "sadness"}
SESSIONS = tuple(f"Session{number}" for number in range(1, 6))
_LABEL = re.compile(r"^\[[^\]\n]*\][ \t]+(Ses\d\d[FM]_\w+_[FM]\w+)[ \t]+(\w+)", re.MULTILINE)
_WORDS = re.compile(r"^(\w+)[ \t]*(?:\[[^\]\n]*\])?[ \t]*:(.*)$", re.MULTILINE)
_DIALOG = re.compile(r"Ses\d\d[FM]_((?:impro|script)\w+)")


def script_of(dialog: str) -> str | None:
    """What a dialog was played from: `Ses02F_script02_1` → `script02_1`, `Ses05M_impro05a` → `impro05a`; else None.

    A name that begins with "script" was read from a play, one that begins with "impro" was improvised.
    """
    match = _DIALOG.fullmatch(dialog)
    return match[1] if match else None


@dataclass
class _Found:
    """What one session's folder holds, by utterance; `problems` are sentences."""

    codes: dict[str, str] = field(default_factory=dict)
    words: dict[str, str] = field(default_factory=dict)  # utterances in lower case
    sounds: dict[str, str] = field(default_factory=dict)  # paths
    problems: list[str] = field(default_factory=list)


def list_iemocap(directory: Path) -> Listing:
    """Clips of the release in `directory`, or in a folder of it, named by utterance and sorted.

    Notes count what is there and what was left out. A labelled clip without sound is listed all the same: reading it
    says what is missing. Refuses a directory without sessions, and sessions without a label of the four classes.
    """
    release = _release(directory)
    clips: list[Listed] = []
    codes: Counter[str] = Counter()
    unlabelled: list[str] = []
    silent: list[str] = []
    problems: list[str] = []
    there: set[str] = set()
    for name in SESSIONS:
        found = _session(release / name)
        problems += found.problems
        if found.sounds and not found.codes:
            where = release / name / "dialog" / "EmoEvaluation"
            problems.append(f"{name} has no labels ({where} holds none): its {len(found.sounds)} clips are left out.")
        else:
            unlabelled += found.sounds.keys() - found.codes.keys()
        codes.update(found.codes.values())
        taken = [_listed(utterance, code, found, release / name) for utterance, code in found.codes.items()]
        clips += [clip for clip in taken if clip is not None]
        there |= {name for clip in taken if clip is not None}
        silent += [clip.name for clip in taken if clip is not None and clip.name not in found.sounds]
    if not clips:
        raise Refusal(
            f"{release} has no label of the four classes: Session1/dialog/EmoEvaluation/*.txt and so on are missing."
        )
    clips.sort(key=lambda clip: clip.name)
    notes = [count_note(clips, codes, [name for name in SESSIONS if name not in there])]
    if others := {code: count for code, count in codes.most_common() if code not in CLASSES}:
        listed = ", ".join(f"{count} {code}" for code, count in others.items())
        notes.append(f"Left out, because their label is none of the four classes: {listed}.")
    if silent:
        notes.append(f"Labelled, but without a sound file: {len(silent)} ({first_names(silent)}).")
    if unlabelled:
        notes.append(f"Left out, because no label file names them: {len(unlabelled)} ({first_names(unlabelled)}).")
    return Listing(tuple(clips), (*notes, *problems))


def _release(directory: Path) -> Path:
    """The folder that holds the sessions: this one, or one in it."""
    if not directory.is_dir():
        raise Refusal(f"There is no folder {directory}: check the path.")
    for folder in (directory, *sorted(Path(entry.path) for entry in _entries(directory) if entry.is_dir())):
        if any((folder / session).is_dir() for session in SESSIONS):
            return folder
    raise Refusal(
        f"{directory} is no IEMOCAP release, Session1 to Session5 are missing: give the path of IEMOCAP_full_release."
    )


def _session(folder: Path) -> _Found:
    found = _Found()
    for text in _texts(folder / "dialog" / "EmoEvaluation", found.problems):
        found.codes.update((utterance, code.lower()) for utterance, code in _LABEL.findall(text))
    for text in _texts(folder / "dialog" / "transcriptions", found.problems):
        found.words.update((utterance.lower(), words.strip()) for utterance, words in _WORDS.findall(text))
    for dialog in _entries(folder / "sentences" / "wav"):
        if dialog.is_dir():
            sounds = {entry.name: entry.path for entry in _entries(dialog.path)}
            for suffix in (".flac", ".wav"):  # where there are both, the original
                here = {name: path for name, path in sounds.items() if name.lower().endswith(suffix)}
                found.sounds |= {name[: -len(suffix)]: path for name, path in here.items()}
    return found


def _listed(utterance: str, code: str, found: _Found, folder: Path) -> Listed | None:
    """The clip, or None where its label is none of the four classes."""
    if code not in CLASSES:
        return None
    dialog, _, turn = utterance.rpartition("_")
    path = found.sounds.get(utterance) or folder / "sentences" / "wav" / dialog / f"{utterance}.wav"
    return Listed(
        name=utterance,
        path=Path(path),
        label=CLASSES[code],
        speaker=dialog[:5] + turn[0],  # the letter before the turn's number: dialog[5] is the dialog's
        session=dialog[:5],
        dialog=dialog,
        transcript=found.words.get(utterance.lower()) or None,
    )


def _entries(directory: Path | str) -> list[os.DirEntry[str]]:
    """What is in a directory but for hidden files (macOS leaves `._…` beside each); nothing where there is none."""
    try:
        with os.scandir(directory) as entries:
            return [entry for entry in entries if not entry.name.startswith(".")]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise Refusal(f"{directory} can't be read ({error.strerror}): check its permissions and the disk.") from error


def _texts(directory: Path, problems: list[str]) -> list[str]:
    """The text files right in a directory; one that can't be read becomes a problem."""
    texts = []
    for entry in sorted(_entries(directory), key=lambda entry: entry.name):
        if entry.name.endswith(".txt"):
            try:
                data = Path(entry.path).read_bytes()
            except OSError as error:
                problems.append(f"{entry.path} can't be read ({error.strerror}).")
                continue
            try:
                texts.append(data.decode("utf-8"))
            except UnicodeDecodeError:
                texts.append(data.decode("latin-1"))
    return texts
