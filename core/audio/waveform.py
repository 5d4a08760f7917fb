"""A decoded clip: 16 kHz mono float32, whatever it was before."""

import hashlib
import io
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import soundfile
from jaxtyping import Float32

SAMPLE_RATE = 16_000  # Hz, what Whisper's encoder takes


@dataclass(frozen=True)
class Waveform:
    """Samples at SAMPLE_RATE Hz (full scale is ±1), and what they were made from.

    `source_rate` is in Hz. `warnings` are plain sentences to show beside the clip.
    """

    samples: Float32[np.ndarray, " n"]
    source_rate: int
    channels: int
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.samples.ndim != 1 or self.samples.dtype != np.float32:
            raise ValueError(f"samples are {self.samples.dtype}{self.samples.shape}, not a row of float32")

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.samples) / SAMPLE_RATE

    @cached_property
    def clip_id(self) -> str:
        """SHA-256 (hex) of the samples as little-endian float32: the same on every machine for the same samples."""
        return hashlib.sha256(np.ascontiguousarray(self.samples, dtype="<f4").data).hexdigest()


def encode_wav(samples: Float32[np.ndarray, " n"]) -> bytes:
    """16 kHz 16-bit WAV file for the browser's player; what is beyond full scale is clipped."""
    file = io.BytesIO()
    soundfile.write(file, np.clip(samples, -1.0, 1.0), SAMPLE_RATE, format="WAV", subtype="PCM_16")
    return file.getvalue()
