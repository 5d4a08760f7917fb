"""Small hand-made inputs for the figures."""

import numpy as np

from core.figures.clip import AudioTrack, ClipView
from core.models.info import Role

SPELLED = ("neutral", "happy", "angry", "sad")


def spread(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Random probabilities over the last axis."""
    raw = np.random.default_rng(seed).uniform(0.05, 1, shape)
    return raw / raw.sum(axis=-1, keepdims=True)


def view(
    model: str = "lora-r32",
    role: Role = Role.LORA,
    rank: int | None = 32,
    *,
    classes: tuple[str, ...] = SPELLED,
    layers: int = 4,
    frames: int = 10,
    saturation: int | None = 2,
    seed: int = 0,
    seconds_per_frame: float = 0.02,
) -> ClipView:
    points, count = layers + 1, len(classes)
    return ClipView(
        model=model,
        role=role,
        rank=rank,
        classes=classes,
        probabilities=spread((points, count), seed),
        final=spread((count,), seed + 1),
        saturation=saturation,
        kl=np.linspace(1.5, 0, points),
        frames=spread((points, frames, count), seed + 2),
        seconds_per_frame=seconds_per_frame,
    )


def track(audio_seconds: float = 0.12, window_seconds: float = 0.2) -> AudioTrack:
    return AudioTrack(
        low=np.array([-0.5, -0.2, -0.1]),
        high=np.array([0.4, 0.3, 0.1]),
        mel_db=np.linspace(-80, 0, 40 * 20).reshape(40, 20),
        mel_hz=np.linspace(50, 8000, 40),
        seconds_per_column=0.01,
        audio_seconds=audio_seconds,
        window_seconds=window_seconds,
    )
