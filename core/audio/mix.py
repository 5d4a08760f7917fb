"""Blocks of any rate and channel count to 16 kHz mono, without ever holding the whole source."""

import numpy as np
import soxr
from jaxtyping import Float32

from core.audio.waveform import SAMPLE_RATE
from core.errors import Refusal

SILENCE = 1e-4  # of full scale, -80 dB: where 16-bit dither lies
LOUD = 8.0  # of full scale: honest float recordings stay below
LOUDEST = 2.0**31  # of full scale: 32-bit integers stored as floats; far beyond, the model's power spectra overflow


class Mix:
    """Takes a clip block by block: mean of the channels, then soxr (high quality, the same for any block length)."""

    def __init__(self, rate: int, channels: int, name: str) -> None:
        """`rate` in Hz; `name` for the sentences."""
        self.rate, self.channels, self.name = rate, channels, name
        self.frames = 0
        self._low, self._high = np.inf, -np.inf
        self._parts: list[np.ndarray] = []
        self._resampler: soxr.ResampleStream | None = None

    @property
    def duration_s(self) -> float:
        """Seconds taken so far."""
        return self.frames / self.rate

    def add(self, block: Float32[np.ndarray, "frames channels"]) -> None:
        """Take the next frames; refuses NaN, Inf and numbers that are no sound."""
        low, high = float(block.min()), float(block.max())
        if not (low >= -LOUDEST and high <= LOUDEST):  # so that NaN is caught too
            what = "goes far beyond full scale" if np.isfinite([low, high]).all() else "holds NaN or infinite samples"
            raise Refusal(
                f"{self.name} {what} (first within {self.duration_s:.1f} to "
                f"{self.duration_s + len(block) / self.rate:.1f} s); export it again, as 16-bit PCM for example."
            )
        mono = block.mean(axis=1)
        self.frames += len(block)
        self._low, self._high = min(self._low, float(mono.min())), max(self._high, float(mono.max()))
        if self.rate != SAMPLE_RATE:
            # Only now: the rate was checked after construction, and soxr plans filters for it.
            self._resampler = self._resampler or soxr.ResampleStream(self.rate, SAMPLE_RATE, 1, dtype="float32")
            mono = self._resampler.resample_chunk(mono)
        self._parts.append(mono)

    def finish(self) -> tuple[Float32[np.ndarray, " n"], tuple[str, ...]]:
        """All samples at 16 kHz, and what the user should know about their level."""
        if self._resampler:
            self._parts.append(self._resampler.resample_chunk(np.empty(0, np.float32), last=True))
        samples = np.concatenate([np.empty(0, np.float32), *self._parts])
        warnings = []
        if self.frames and (self._high - self._low) / 2 < SILENCE:  # a constant offset is silent too
            warnings.append(f"{self.name} is silent: nothing in it is above {20 * np.log10(SILENCE):.0f} dB.")
        peak = max(self._high, -self._low)
        if peak > LOUD:
            warnings.append(f"{self.name} goes up to {peak:.3g} times full scale; integers saved as floats?")
        return samples, tuple(warnings)
