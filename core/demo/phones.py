"""What the recogniser learns from: random sentences by random speakers, each 20 ms frame with its phone.

A folder with `features.npy` (n x mel bins x mel frames, float16), `phones.npy` (n x frames) and `index.json`; made
once, then only read.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import WhisperFeatureExtractor

from core.demo import speech
from core.demo.prosody import VARIANTS, any_prosody, draw_speaker
from core.demo.sentences import SENTENCES, random_sentence

MEL_BINS = 80
CHUNK_S = int(speech.WINDOW_S)
IGNORED = -100  # phone index of frames after the clip: they count for nothing
_VALIDATION = 20  # one sentence of so many


@dataclass(frozen=True)
class Phones:
    """`features` n x mel bins x mel frames (memory-mapped float16), `phones` n x frames, `splits` n ("train", …)."""

    features: NDArray[np.float16]
    phones: NDArray[np.int16]
    splits: tuple[str, ...]
    names: tuple[str, ...]

    def rows(self, split: str) -> NDArray[np.int64]:
        """Positions of a split's clips."""
        return np.flatnonzero(np.array(self.splits) == split)

    def batch(self, rows: NDArray[np.int64]) -> torch.Tensor:
        """Log-mel of `rows` (ascending) as float32, ready for the encoder."""
        return torch.from_numpy(self.features[np.sort(rows)].astype(np.float32))


def feature_extractor() -> WhisperFeatureExtractor:
    """Whisper's own, with a window of 4 s."""
    return WhisperFeatureExtractor(feature_size=MEL_BINS, chunk_length=CHUNK_S, sampling_rate=speech.RATE)


def write_phones(folder: Path, sentences: int, renderings: int, seed: int) -> None:
    """Make `sentences` x `renderings` clips in `folder`."""
    if (folder / "index.json").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    extractor, total = feature_extractor(), sentences * renderings
    frames = round(speech.WINDOW_S / speech.FRAME_S)
    features = np.lib.format.open_memmap(
        folder / "features.npy", mode="w+", dtype=np.float16, shape=(total, MEL_BINS, 2 * frames)
    )
    splits: list[str] = []
    names = [speech.SILENCE]
    phones = np.full((total, frames), IGNORED, dtype=np.int16)
    for i, (split, rendered) in enumerate(_sounds(sentences, renderings, seed)):
        mel = extractor(_through_16_bits(rendered.samples), sampling_rate=speech.RATE, return_tensors="np")
        features[i] = mel["input_features"][0]
        names += sorted(set(rendered.phones) - set(names))
        phones[i, : len(rendered.phones)] = [names.index(name) for name in rendered.phones]
        splits.append(split)
        if i % 200 == 199 or i + 1 == total:
            print(f"{folder.name}: {i + 1} of {total} clips", file=sys.stderr, flush=True)
    features.flush()
    np.save(folder / "phones.npy", phones)
    index = {"phone_names": names, "splits": splits}
    (folder / "index.json").write_text(json.dumps(index))  # last: its presence says that the corpus is whole


def read_phones(folder: Path) -> Phones:
    """What `write_phones` finished."""
    index = json.loads((folder / "index.json").read_text())
    return Phones(
        features=np.load(folder / "features.npy", mmap_mode="r"),
        phones=np.load(folder / "phones.npy"),
        splits=tuple(index["splits"]),
        names=tuple(index["phone_names"]),
    )


def _sounds(sentences: int, renderings: int, seed: int) -> Iterator[tuple[str, speech.Rendered]]:
    """Each sentence by a few random speakers of one espeak variant, prosody all over the place."""
    for i in range(sentences):
        rng = np.random.default_rng((seed, i))
        sex = "FM"[i % 2]
        variant = str(rng.choice(VARIANTS[sex]))
        text = random_sentence(rng) if rng.uniform() < 0.8 else str(rng.choice(SENTENCES))
        utterance = speech.utter(text, variant)
        for _ in range(renderings):
            speaker = draw_speaker(f"r{i}", sex, variant, rng)
            split = "train" if i % _VALIDATION else "valid"
            yield split, speech.render(utterance, speaker, any_prosody(rng), rng)


def _through_16_bits(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """What is left of samples after a 16-bit file, which all other clips come from."""
    return (np.round(samples * 32767).astype(np.int16) / np.float32(32768)).astype(np.float32)
