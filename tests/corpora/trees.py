"""A made-up IEMOCAP release: the official layout and its oddities, and sounds that a small classifier can tell."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soundfile

RATE = 16_000
CLASSES = ("anger", "happiness", "neutral", "sadness")
CODES = {"anger": ("ang",), "happiness": ("hap", "exc"), "neutral": ("neu",), "sadness": ("sad",)}  # by turns
DIALOGS = {  # two in each session, one under each letter, one improvised and one scripted
    1: ("Ses01F_impro01", "Ses01M_script01_1"),
    2: ("Ses02F_impro04", "Ses02M_script02_1"),
    3: ("Ses03F_script03_2", "Ses03M_impro08b"),
    4: ("Ses04F_impro02", "Ses04M_script01_1"),
    5: ("Ses05F_script01_1b", "Ses05M_impro05a"),
}
SENTENCES = ("Excuse me.", "Do you have your forms?", "Yeah.", "Who told you to get in this line?")
_PITCH_HZ = {"F": 210.0, "M": 120.0}
_SHAPE = {  # times the speaker's pitch, tilt of the harmonics, beats a second
    "anger": (1.5, 0.3, 11.0),
    "happiness": (1.9, 1.0, 6.0),
    "neutral": (1.0, 1.6, 0.0),
    "sadness": (0.7, 2.6, 2.0),
}


@dataclass
class Turn:
    """One utterance: its name, the code in the label file, and the words."""

    name: str
    code: str
    words: str


@dataclass
class Dialog:
    """What is written of one dialog."""

    name: str
    turns: list[Turn] = field(default_factory=list)

    def add(self, speaker: str, code: str) -> str:
        """A further turn of "F" or "M"; its name."""
        number = sum(turn.name.rpartition("_")[2].startswith(speaker) for turn in self.turns)
        name = f"{self.name}_{speaker}{number:03d}"
        self.turns.append(Turn(name, code, SENTENCES[len(self.turns) % len(SENTENCES)]))
        return name


def iemocap_tree(root: Path, *, per_class: int = 2, seconds: float = 0.6, oddities: bool = True) -> Path:
    """A release below `root`; the path for `iemocap:`.

    Five sessions of two dialogs, both speakers in each dialog, `per_class` readable clips of each class and speaker:
    ten speakers, 40 x `per_class` clips. Happiness is `hap` and `exc` by turns. With `oddities`, on top:

    - in every dialog a turn labelled `xxx` and one labelled `fru`, which are not of the four classes;
    - in Session 1 a labelled turn without sound (`Ses01F_impro01_M…`, anger), a sound without label
      (`Ses01F_impro01_FXX0`) and an empty file (`Ses01M_script01_1_F…`, neutral);
    - in Session 2 Windows line ends, in Session 3 a Latin-1 byte and a transcript without times, in Session 4 FLAC;
    - the files that macOS leaves (`._…`, `.DS_Store`) and the raters' own folders.
    """
    release = root / "IEMOCAP_full_release"
    for session, (first, second) in DIALOGS.items():
        dialogs = (Dialog(first), Dialog(second))
        folder = release / f"Session{session}"
        suffix = ".flac" if oddities and session == 4 else ".wav"
        for kind, label in enumerate(CLASSES):
            for speaker in "FM":
                for take in range(per_class):
                    dialog = dialogs[(kind + take) % 2]
                    name = dialog.add(speaker, CODES[label][take % len(CODES[label])])
                    _save(folder, name, suffix, _sound(label, speaker, session, take, seconds))
        if oddities:
            _add_odd_turns(folder, dialogs, suffix, seconds)
        for dialog in dialogs:
            _write_labels(folder, dialog, "\r\n" if oddities and session == 2 else "\n")
            _write_transcript(folder, dialog, oddities and session == 3)
        if oddities:
            _add_odd_files(folder, dialogs[0].name)
    return release


def _sound(label: str, speaker: str, session: int, take: int, seconds: float) -> np.ndarray:
    """A buzz whose pitch, colour and beat belong to the class; drift and noise are each clip's own."""
    draw = np.random.default_rng([CLASSES.index(label), "FM".index(speaker), session, take])
    pitch, tilt, beats = _SHAPE[label]
    hz = _PITCH_HZ[speaker] * pitch * (1 + 0.02 * session) * draw.uniform(0.96, 1.04)
    time = np.arange(round(seconds * RATE)) / RATE
    tone = sum(np.sin(2 * np.pi * k * hz * time) / k**tilt for k in range(1, 9))
    tone = tone * (1 + 0.8 * np.sin(2 * np.pi * beats * time)) + 0.02 * draw.standard_normal(time.size)
    return 0.5 * tone / np.abs(tone).max()


def _save(folder: Path, name: str, suffix: str, sound: np.ndarray) -> Path:
    path = folder / "sentences" / "wav" / name.rpartition("_")[0] / (name + suffix)
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, sound, RATE, subtype="PCM_16")
    return path


def _add_odd_turns(folder: Path, dialogs: tuple[Dialog, Dialog], suffix: str, seconds: float) -> None:
    session = int(folder.name[-1])
    for number, dialog in enumerate(dialogs):
        for take, code in enumerate(("xxx", "fru"), start=100 + 2 * number):
            _save(folder, dialog.add("F", code), suffix, _sound("neutral", "F", session, take, seconds))
    if session == 1:
        dialogs[0].add("M", "ang")  # and no sound
        _save(folder, f"{dialogs[0].name}_FXX0", suffix, _sound("sadness", "F", session, 100, seconds))
        _save(folder, dialogs[1].add("F", "neu"), suffix, np.zeros(0)).write_bytes(b"")


def _write_labels(folder: Path, dialog: Dialog, newline: str) -> None:
    lines = ["% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]", ""]
    for number, turn in enumerate(dialog.turns):
        times = f"[{6.2901 + 3 * number:.4f} - {8.2357 + 3 * number:.4f}]"
        lines += [f"{times}\t{turn.name}\t{turn.code}\t[2.5000, 2.5000, 2.5000]"]
        lines += ["C-E2:\tNeutral;\t()", "C-E4:\tNeutral; Anger;\t()", "C-F1:\tNeutral;\t(curious)"]
        lines += ["A-E3:\tval 3; act 2; dom  2;\t()", "A-F1:\tval 3; act 2; dom  1;\t()", ""]
    path = folder / "dialog" / "EmoEvaluation" / f"{dialog.name}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(newline.join([*lines, ""]).encode())


def _write_transcript(folder: Path, dialog: Dialog, odd: bool) -> None:
    times = [f"[{6.2901 + 3 * i:08.4f}-{8.2357 + 3 * i:08.4f}]" for i in range(len(dialog.turns))]
    lines = [f"{turn.name} {time}: {turn.words}" for turn, time in zip(dialog.turns, times, strict=True)]
    lines.append(f"{dialog.name}_MXX0 [001.0000-002.0000]: Mm-hm.")
    if odd:
        first, second, *_ = dialog.turns
        lines[0] = f"{first.name}: No times in the caf\xe9."
        lines[1] = f"{second.name.lower()} {times[1]}: {second.words}"
        lines += ["M: A line that belongs to nobody.", ""]
    path = folder / "dialog" / "transcriptions" / f"{dialog.name}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("\n".join([*lines, ""]).encode("latin-1"))


def _add_odd_files(folder: Path, dialog: str) -> None:
    labels, sounds = folder / "dialog" / "EmoEvaluation", folder / "sentences" / "wav"
    for rater in ("Categorical", "Attribute", "Self-evaluation"):
        (labels / rater).mkdir()
        (labels / rater / f"{dialog}_e1_cat.txt").write_text(f"{dialog}_F000 :Anger; ()\n")
    for path in (labels / f"._{dialog}.txt", labels / ".DS_Store", sounds / "._.DS_Store"):
        path.write_bytes(b"\x00\x05\x16\x07[1.0 - 2.0]\t" + f"{dialog}_F999\tang\t[1]\n".encode())
    (sounds / dialog / f"._{dialog}_F000.wav").write_bytes(b"\x00\x05\x16\x07")
