"""Acted emotions as files: who says what, rendered one process a speaker.

espeak-ng's flutter goes on from call to call, so a sentence sounds a little different after another one. Each speaker
is therefore made by a process of its own, and a rebuild is the same to the bit, however the work was shared out.
"""

import csv
import multiprocessing
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from core.demo import speech
from core.demo.prosody import EMOTIONS, TEST_VARIANTS, VARIANTS, Speaker, draw_prosody, draw_speaker
from core.demo.sentences import SENTENCES

SPLITS = ("train", "validation", "test")
_PREFIX = {"train": "t", "validation": "v"}
_COLUMNS = ("file_name", "label", "speaker", "session", "transcript", "split")


@dataclass(frozen=True)
class Part:
    """What one speaker acts: sentences in the order they are made, each in all four emotions.

    `files` has the file of every (sentence, emotion); its suffix is the format. `seed` is the speaker's own.
    """

    speaker: Speaker
    sentences: tuple[int, ...]
    files: dict[tuple[int, str], Path]
    seed: tuple[int, ...]


def speakers(split: str, count: int, seed: int) -> list[Speaker]:
    """The speakers of a split, women and men in turn; a session is one of each.

    Names: tF001, tM001, tF002, … in training, vF001, … in validation, Ses01F, Ses01M, Ses02F, … in the test.
    """
    found = []
    for i in range(count):
        rng = np.random.default_rng((seed, SPLITS.index(split), i))
        sex, number = "FM"[i % 2], i // 2 + 1
        name = f"Ses{number:02d}{sex}" if split == "test" else f"{_PREFIX[split]}{sex}{number:03d}"
        pool = (TEST_VARIANTS if split == "test" else VARIANTS)[sex]
        found.append(draw_speaker(name, sex, pool[(i // 2) % len(pool)], rng))
    return found


def write_acted(folder: Path, train: int, validation: int, sentences: int, seed: int, processes: int = 1) -> None:
    """Make a training corpus in `folder`: 16 kHz mono 16-bit WAV files in a sub-folder a speaker, and `metadata.csv`.

    `train` and `validation` count speakers, each acting `sentences` random sentences in all four emotions. A killed
    run goes on where it was; `metadata.csv` comes last, so its presence says that the corpus is whole.
    """
    if (folder / "metadata.csv").exists():
        return
    parts, rows = [], []
    for split, count in (("train", train), ("validation", validation)):
        for i, speaker in enumerate(speakers(split, count, seed)):
            own = (seed, 7, SPLITS.index(split), i)
            chosen = np.random.default_rng((*own, 1)).permutation(len(SENTENCES))[:sentences]
            files = {}
            for sentence in map(int, chosen):
                for emotion in EMOTIONS:
                    name = f"{speaker.name}/s{sentence + 1:02d}_{emotion}.wav"
                    files[sentence, emotion] = folder / name
                    session = speaker.name.replace(speaker.sex, "")
                    rows.append((name, emotion, speaker.name, session, SENTENCES[sentence], split))
            parts.append(Part(speaker, tuple(map(int, chosen)), files, own))
    act_all(parts, processes)
    finished = folder / "metadata.csv.part"
    with finished.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([_COLUMNS, *rows])
    finished.rename(folder / "metadata.csv")


def act_all(parts: Sequence[Part], processes: int = 1) -> None:
    """Make the files of every part that lacks some, each part in a fresh process, `processes` at a time."""
    missing = [part for part in parts if not all(file.exists() for file in part.files.values())]
    # forkserver: children of a process that has imported this module and never spoken
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    with context.Pool(processes, maxtasksperchild=1) as pool:
        for done, name in enumerate(pool.imap_unordered(act, missing), start=1):
            if done % 20 == 0 or done == len(missing):
                print(f"acted: {done} of {len(missing)} speakers, last {name}", file=sys.stderr, flush=True)


def act(part: Part) -> str:
    """Render one part into its files and return the speaker's name; every file appears whole or not at all."""
    for (sentence, emotion), rendered in _takes(part):
        file = part.files[sentence, emotion]
        file.parent.mkdir(parents=True, exist_ok=True)
        growing = file.with_name(f".{file.name}.{os.getpid()}.part")  # a killed run's last child may still be at it
        kind = file.suffix[1:].upper()
        smallest = {"compression_level": 1.0} if kind == "FLAC" else {}
        soundfile.write(growing, rendered.samples, speech.RATE, subtype="PCM_16", format=kind, **smallest)
        growing.rename(file)
    return part.speaker.name


def _takes(part: Part) -> Iterator[tuple[tuple[int, str], speech.Rendered]]:
    rng = np.random.default_rng(part.seed)
    for sentence in part.sentences:
        utterance = speech.utter(SENTENCES[sentence], part.speaker.variant)
        for emotion in EMOTIONS:
            prosody = draw_prosody(part.speaker, emotion, rng)
            yield (sentence, emotion), speech.render(utterance, part.speaker, prosody, rng)
