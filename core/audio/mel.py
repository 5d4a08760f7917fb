"""What a clip looks like: its log-mel spectrogram, for display only."""

import numpy as np
from jaxtyping import Float, Float32

from core.audio.waveform import SAMPLE_RATE

# Whisper's own constants (openai/whisper audio.py), so that the picture shows what the model is given.
N_FFT = SAMPLE_RATE * 25 // 1000  # samples, 25 ms
HOP = SAMPLE_RATE // 100  # samples, 10 ms
FLOOR_DB = -80.0  # below the loudest point
_NO_POWER = 1e-20


def log_mel(samples: Float32[np.ndarray, " n"], n_mels: int = 80) -> Float32[np.ndarray, "mels frames"]:
    """Log-mel spectrogram in dB below its maximum, in [FLOOR_DB, 0]; one frame every HOP samples (n // HOP of them).

    Silence is FLOOR_DB everywhere. Not what the model gets: that is scaled differently and padded to its window.
    """
    # Here, because scipy and numba behind it take a second (ten from a cold disk) that only this picture needs.
    import librosa

    power = librosa.feature.melspectrogram(
        y=samples, sr=SAMPLE_RATE, n_fft=N_FFT, hop_length=HOP, n_mels=n_mels, pad_mode="reflect"
    )[:, : max(len(samples) // HOP, 1)]
    peak = float(power.max())
    if peak <= _NO_POWER:
        return np.full(power.shape, FLOOR_DB, dtype=np.float32)
    below = np.maximum(power / peak, _NO_POWER)  # keeps log10 away from 0
    return np.maximum(10 * np.log10(below), FLOOR_DB).astype(np.float32)


def mel_centres(n_mels: int = 80) -> Float[np.ndarray, " mels"]:
    """Centre frequency of each band of `log_mel`, in Hz."""
    import librosa

    return librosa.mel_frequencies(n_mels=n_mels + 2, fmin=0.0, fmax=SAMPLE_RATE / 2)[1:-1]
