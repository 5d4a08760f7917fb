"""The two synthetic corpora as files: random sentences for the recogniser, acted emotions for the adapters.

Each is a folder with `features.npy` (n x mel bins x mel frames, float16) and `index.json`; made once, then only read.
"""

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import WhisperFeatureExtractor

from core.demo import speech
from core.demo.prosody import (
    EMOTIONS,
    TEST_VARIANTS,
    VARIANTS,
    Speaker,
    any_prosody,
    draw_prosody,
    draw_speaker,
)
from core.demo.sentences import SENTENCES, random_sentence

MEL_BINS = 80
CHUNK_S = int(speech.WINDOW_S)
IGNORED = -100  # phone index of frames after the clip: they count for nothing


@dataclass(frozen=True)
class Take:
    """One clip: who, what, how. `emotion` is "" in the recogniser's corpus."""

    split: str
    speaker: str
    sex: str
    sentence: int
    emotion: str
    text: str


@dataclass(frozen=True)
class Corpus:
    """`features` n x mel bins x mel frames (memory-mapped float16), `takes` n, `phones` n x frames (recogniser)."""

    features: NDArray[np.float16]
    takes: tuple[Take, ...]
    phones: NDArray[np.int16] | None
    phone_names: tuple[str, ...]

    def rows(self, split: str) -> NDArray[np.int64]:
        """Positions of a split's clips."""
        return np.flatnonzero([take.split == split for take in self.takes])

    def batch(self, rows: NDArray[np.int64]) -> torch.Tensor:
        """Log-mel of `rows` as float32, ready for the encoder."""
        return torch.from_numpy(self.features[np.sort(rows)].astype(np.float32))


def feature_extractor() -> WhisperFeatureExtractor:
    """Whisper's own, with a window of 4 s."""
    return WhisperFeatureExtractor(feature_size=MEL_BINS, chunk_length=CHUNK_S, sampling_rate=speech.RATE)


def through_16_bits(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """What is left of samples after a 16-bit file: the models train on what the shipped FLAC files hold."""
    return (np.round(samples * 32767).astype(np.int16) / np.float32(32768)).astype(np.float32)


def recogniser_takes(utterances: int, renderings: int, seed: int) -> Iterator[tuple[Take, speech.Rendered]]:
    """Random sentences, each by a few random speakers of one espeak variant, prosody all over the place."""
    for i in range(utterances):
        rng = np.random.default_rng((seed, i))
        sex = "FM"[i % 2]
        variant = str(rng.choice(VARIANTS[sex]))
        text = random_sentence(rng) if rng.uniform() < 0.8 else str(rng.choice(SENTENCES))
        utterance = speech.utter(text, variant)
        split = "valid" if i % 20 == 0 else "train"
        for _ in range(renderings):
            speaker = draw_speaker(f"r{i}", sex, variant, rng)
            yield Take(split, speaker.name, sex, -1, "", text), speech.render(utterance, speaker, any_prosody(rng), rng)


def speakers(split: str, count: int, seed: int) -> list[Speaker]:
    """The speakers of a split, women and men in turn: F01, M01, F02, … for the test, prefixed otherwise."""
    prefix = {"train": "t", "valid": "v", "test": ""}[split]
    found = []
    for i in range(count):
        rng = np.random.default_rng((seed, ("train", "valid", "test").index(split), i))
        sex = "FM"[i % 2]
        pool = (TEST_VARIANTS if split == "test" else VARIANTS)[sex]
        found.append(draw_speaker(f"{prefix}{sex}{i // 2 + 1:02d}", sex, pool[(i // 2) % len(pool)], rng))
    return found


def acted_takes(split: str, count: int, sentences: int, seed: int) -> Iterator[tuple[Take, speech.Rendered]]:
    """`count` speakers of a split, each acting `sentences` sentences in all four emotions."""
    for i, speaker in enumerate(speakers(split, count, seed)):
        rng = np.random.default_rng((seed, 7, ("train", "valid", "test").index(split), i))
        # test speakers say the same sentences, so that shipped clips pair across speakers as well
        chosen = np.arange(sentences) if split == "test" else rng.permutation(len(SENTENCES))[:sentences]
        for sentence in map(int, chosen):
            utterance = speech.utter(SENTENCES[sentence], speaker.variant)
            for emotion in EMOTIONS:
                take = Take(split, speaker.name, speaker.sex, sentence, emotion, SENTENCES[sentence])
                yield take, speech.render(utterance, speaker, draw_prosody(speaker, emotion, rng), rng)


def write_corpus(
    folder: Path,
    total: int,
    takes: Iterator[tuple[Take, speech.Rendered]],
    keep: Callable[[Take, NDArray[np.float32]], None] | None = None,
) -> None:
    """Compute the features of `total` takes into `folder`; `keep` sees each clip's samples (to ship some)."""
    if (folder / "index.json").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    extractor = feature_extractor()
    frames = round(speech.WINDOW_S / speech.FRAME_S)
    features = np.lib.format.open_memmap(
        folder / "features.npy", mode="w+", dtype=np.float16, shape=(total, MEL_BINS, 2 * frames)
    )
    listed: list[Take] = []
    names = [speech.SILENCE]
    phones = np.full((total, frames), IGNORED, dtype=np.int16)
    for i, (take, rendered) in enumerate(takes):
        samples = through_16_bits(rendered.samples)
        if keep is not None:
            keep(take, samples)
        mel = extractor(samples, sampling_rate=speech.RATE, return_tensors="np", do_normalize=False)
        features[i] = mel["input_features"][0]
        for name in rendered.phones:
            if name not in names:
                names.append(name)
        phones[i, : len(rendered.phones)] = [names.index(name) for name in rendered.phones]
        listed.append(take)
        if i % 200 == 199 or i + 1 == total:
            print(f"{folder.name}: {i + 1} of {total} clips", file=sys.stderr, flush=True)
    features.flush()
    np.save(folder / "phones.npy", phones)
    index = {"phone_names": names, "takes": [asdict(take) for take in listed]}
    (folder / "index.json").write_text(json.dumps(index))  # last: its presence says that the corpus is whole


def read_corpus(folder: Path) -> Corpus:
    """A corpus that `write_corpus` finished."""
    index = json.loads((folder / "index.json").read_text())
    return Corpus(
        features=np.load(folder / "features.npy", mmap_mode="r"),
        takes=tuple(Take(**take) for take in index["takes"]),
        phones=np.load(folder / "phones.npy"),
        phone_names=tuple(index["phone_names"]),
    )
