"""The ten speakers nobody trains on, in IEMOCAP's layout: five sessions of one female and one male voice.

    Session1/sentences/wav/Ses01F_script01_1/Ses01F_script01_1_F000.flac
    Session1/dialog/EmoEvaluation/Ses01F_script01_1.txt
    Session1/dialog/transcriptions/Ses01F_script01_1.txt

As there, a script is played twice a session, and the letter after the session number names the play, not the speaker.
Here every speaker says each of a script's sentences in all four emotions, two in one play and two in the other.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from core.demo.acted import Part, act_all, speakers
from core.demo.prosody import EMOTIONS, Speaker
from core.demo.sentences import SENTENCES

SESSIONS = 5
SCRIPTS = ("script01_1", "script01_2", "script02_1", "script02_2")
SHIPPED_SCRIPTS = SCRIPTS[:1]
CODES = {"anger": "ang", "happiness": "hap", "neutral": "neu", "sadness": "sad"}
# Nobody rated these clips for valence, activation and dominance, but every line of the format has three numbers;
# IEMOCAP's ratings run from 1 to 5, so that zeros can't be taken for some.
_UNRATED = "[0.0000, 0.0000, 0.0000]"
_HEADER = "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n\n"


@dataclass(frozen=True)
class Turn:
    """A turn of a dialog: utterance id (`Ses01F_script01_1_F000`), who, which sentence, how."""

    name: str
    speaker: Speaker
    sentence: int
    emotion: str


def write_ten(folder: Path, seed: int, sentences: int = len(SENTENCES), processes: int = 1) -> None:
    """Make the whole tree in `folder` (`sentences` x 4 emotions x 10 speakers); a killed run goes on where it was."""
    dialogs = {name: turns for session in range(1, SESSIONS + 1) for name, turns in _dialogs(session, seed, sentences)}
    parts = []
    for i, speaker in enumerate(speakers("test", 2 * SESSIONS, seed)):
        files = {
            (turn.sentence, turn.emotion): _sound(folder, dialog, turn.name)
            for dialog, turns in dialogs.items()
            for turn in turns
            if turn.speaker == speaker
        }
        parts.append(Part(speaker, tuple(range(sentences)), files, (seed, 7, 2, i)))
    act_all(parts, processes)
    for dialog, turns in dialogs.items():
        _write_labels(folder, dialog, turns, np.random.default_rng((seed, 9, *dialog.encode())))


def ship(tree: Path, out: Path) -> None:
    """Copy the dialogs of SHIPPED_SCRIPTS with their label files from the tree of `write_ten` to `out`."""
    for labels in sorted(tree.glob("Session*/dialog/EmoEvaluation/*.txt")):
        if labels.stem.partition("_")[2] not in SHIPPED_SCRIPTS:
            continue
        for file in (labels, labels.parents[1] / "transcriptions" / labels.name):
            _copy(file, out / file.relative_to(tree))
        for file in sorted((labels.parents[2] / "sentences" / "wav" / labels.stem).glob("*.flac")):
            _copy(file, out / file.relative_to(tree))


def _copy(file: Path, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, to)


def _sound(folder: Path, dialog: str, turn: str) -> Path:
    return folder / f"Session{int(dialog[3:5])}" / "sentences" / "wav" / dialog / f"{turn}.flac"


def _dialogs(session: int, seed: int, sentences: int) -> list[tuple[str, list[Turn]]]:
    """A session's dialogs by name: each script twice, women and men taking turns, order and emotions at random."""
    pair = speakers("test", 2 * SESSIONS, seed)[2 * session - 2 : 2 * session]
    length = len(SENTENCES) // len(SCRIPTS)
    found = []
    for number, script in enumerate(SCRIPTS):
        rng = np.random.default_rng((seed, 8, session, number))
        said = [sentence for sentence in range(sentences) if sentence // length == number]
        if not said:
            continue
        lines: dict[str, dict[str, list[tuple[int, str]]]] = {"F": {"F": [], "M": []}, "M": {"F": [], "M": []}}
        for speaker in pair:
            for sentence in said:
                order = [EMOTIONS[i] for i in rng.permutation(len(EMOTIONS))]
                lines["F"][speaker.sex] += [(sentence, emotion) for emotion in order[:2]]
                lines["M"][speaker.sex] += [(sentence, emotion) for emotion in order[2:]]
        for play, own in lines.items():
            name = f"Ses{session:02d}{play}_{script}"
            mixed = [[own[speaker.sex][i] for i in rng.permutation(len(own[speaker.sex]))] for speaker in pair]
            turns = [
                Turn(f"{name}_{speaker.sex}{i:03d}", speaker, *said_how)
                for i, both in enumerate(zip(*mixed, strict=True))
                for speaker, said_how in zip(pair, both, strict=True)
            ]
            found.append((name, turns))
    return found


def _write_labels(folder: Path, dialog: str, turns: list[Turn], rng: np.random.Generator) -> None:
    """Labels and transcripts; turns follow each other with short gaps, in seconds from the start of the dialog."""
    labels, words, now = [_HEADER], [], 0.0
    for turn in turns:
        start = now + rng.uniform(0.3, 0.9)
        now = start + soundfile.info(_sound(folder, dialog, turn.name)).duration
        labels.append(f"[{start:.4f} - {now:.4f}]\t{turn.name}\t{CODES[turn.emotion]}\t{_UNRATED}\n\n")
        words.append(f"{turn.name} [{start:08.4f}-{now:08.4f}]: {SENTENCES[turn.sentence]}\n")
    session = folder / f"Session{int(dialog[3:5])}" / "dialog"
    for kind, lines in (("EmoEvaluation", labels), ("transcriptions", words)):
        (session / kind).mkdir(parents=True, exist_ok=True)
        (session / kind / f"{dialog}.txt").write_text("".join(lines), encoding="utf-8")
