"""Pictures of a clip: the right shape, range and place."""

import subprocess
import sys

import numpy as np
import pytest

from core import paths
from core.audio.mel import log_mel
from tests.audio.sounds import tone


def test_log_mel_of_a_tone() -> None:
    mel = log_mel(tone(16_000, seconds=2.0)[:, 0])
    assert mel.shape == (80, 200) and mel.dtype == np.float32
    assert mel.max() == 0.0 and mel.min() == -80.0
    assert set(mel.argmax(axis=0)) <= {11, 12}  # Slaney mels are linear here, about 37 Hz apart: 440 Hz is the 12th


def test_log_mel_follows_whispers_own_filters() -> None:
    """Same up to the scale: Whisper's log10 is clamped 8 decades (80 dB) below the maximum."""
    extractor = pytest.importorskip("transformers").WhisperFeatureExtractor()
    noise = np.random.default_rng(0).normal(0, 0.1, 16_000).astype(np.float32)
    theirs = extractor(noise, sampling_rate=16_000, padding=False, return_tensors="np").input_features[0]
    ours = log_mel(noise)
    shared = min(ours.shape[1], theirs.shape[1])
    difference = ours[:, :shared] - (theirs[:, :shared] * 4 - 4) * 10
    assert np.ptp(difference) < 0.05


def test_silence_is_the_floor() -> None:
    assert (log_mel(np.zeros(16_000, np.float32)) == -80).all()


def test_no_torch_for_a_picture() -> None:
    code = (
        "import numpy as np, sys; from core.audio.mel import log_mel\n"
        "log_mel(np.ones(1600, 'f4')); print('torch' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], cwd=paths.ROOT, capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"
