"""Sound files made for the tests, as bytes."""

import io
import struct

import numpy as np
import soundfile

TONE_HZ = 440.0
LEVEL = 0.4  # amplitude, of full scale


def tone(rate: int, channels: int = 1, seconds: float = 1.0) -> np.ndarray:
    """A sine, frames x channels, the same in every channel."""
    sine = LEVEL * np.sin(2 * np.pi * TONE_HZ * np.arange(round(rate * seconds)) / rate)
    return np.repeat(sine[:, None], channels, axis=1).astype(np.float32)


def encode(samples: np.ndarray, rate: int, kind: str, subtype: str | None = None) -> bytes:
    """A file of libsndfile's format `kind`."""
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=kind, subtype=subtype)
    return file.getvalue()


def zeros_flac(rate: int, channels: int, seconds: int) -> bytes:
    """Zeros as FLAC: a few bytes a second, however many channels."""
    file = io.BytesIO()
    block = np.zeros((rate, channels), dtype=np.int16)
    with soundfile.SoundFile(file, "w", rate, channels, format="FLAC", subtype="PCM_16") as out:
        for _ in range(seconds):
            out.write(block)
    return file.getvalue()


def wav_header(rate: int, channels: int, data_size: int, riff_size: int | None = None) -> bytes:
    """The 44 bytes in front of 16-bit samples."""
    size = 36 + data_size if riff_size is None else riff_size
    fields = (16, 1, channels, rate, rate * channels * 2 % 2**32, channels * 2 % 2**16, 16)
    return (
        b"RIFF" + struct.pack("<I", size) + b"WAVEfmt " + struct.pack("<IHHIIHH", *fields)
        + b"data" + struct.pack("<I", data_size)
    )  # fmt: skip


def frequency_and_level(samples: np.ndarray, rate: int = 16_000) -> tuple[float, float]:
    """Hz of the strongest partial and its amplitude, from the middle of the clip (a Hann window's peak)."""
    middle = samples[len(samples) // 4 : -len(samples) // 4].astype(float)
    window = np.hanning(len(middle))
    spectrum = np.abs(np.fft.rfft(middle * window, n=16 * len(middle)))
    peak = int(np.argmax(spectrum))
    return peak * rate / (16 * len(middle)), 2 * spectrum[peak] / window.sum()
