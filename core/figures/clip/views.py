"""What the Clip page's figures are given: one model's reading of one clip, and the clip's sound."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from core.emotions import canonical
from core.figures.theme import Style, class_order, model_styles
from core.models.info import Role

Row = dict[str, str | int | float | None]


def _expect(name: str, actual: tuple[int, ...], expected: tuple[int, ...]) -> None:
    if actual != expected:
        raise ValueError(f"{name} has shape {actual}, expected {expected}")


@dataclass(frozen=True, eq=False)
class ClipView:
    """One clip under one model, L layers, points 0..L, C classes, T frames.

    probabilities   lens class probabilities at each point
    final           the model's own class probabilities
    saturation      first point from which the lens never again disagrees with the model; None where there is none
    kl              divergence between lens and model at each point, nats
    frames          lens class probabilities of each frame, with `seconds_per_frame`, or None
    note            stands in for data that are not there (all NaN): why, in a few words
    """

    model: str
    role: Role
    rank: int | None
    classes: tuple[str, ...]
    probabilities: Float[np.ndarray, "points classes"]
    final: Float[np.ndarray, " classes"]
    saturation: int | None
    kl: Float[np.ndarray, " points"]
    frames: Float[np.ndarray, "points frames classes"] | None = None
    seconds_per_frame: float | None = None
    note: str = ""

    def __post_init__(self) -> None:
        points, count = self.probabilities.shape[0], len(self.classes)
        _expect("ClipView.probabilities", self.probabilities.shape, (points, count))
        _expect("ClipView.final", self.final.shape, (count,))
        _expect("ClipView.kl", self.kl.shape, (points,))
        if len(set(self.names)) != count:
            raise ValueError(f"ClipView.classes {self.classes} name a class twice")
        if points < 2:
            raise ValueError(f"ClipView.probabilities has {points} point, expected 2 or more (one layer)")
        if self.saturation is not None and not 0 <= self.saturation < points:
            raise ValueError(f"ClipView.saturation is {self.saturation}, expected 0 to {points - 1}")
        if (self.frames is None) != (self.seconds_per_frame is None):
            raise ValueError("ClipView.frames and seconds_per_frame come together")
        if self.frames is not None:
            _expect("ClipView.frames", self.frames.shape, (points, self.frames.shape[1], count))

    @property
    def names(self) -> tuple[str, ...]:
        """Class names as they are shown and matched."""
        return tuple(canonical(name) for name in self.classes)

    @property
    def last(self) -> int:
        """The last point, which is the number of layers."""
        return self.probabilities.shape[0] - 1

    def of(self, name: str) -> int | None:
        """Index of a class by canonical name, None where the model does not know it."""
        return self.names.index(name) if name in self.names else None

    @property
    def predicted(self) -> tuple[str, float]:
        """The model's own prediction and its probability."""
        best = int(np.argmax(self.final))
        return self.names[best], float(self.final[best])


@dataclass(frozen=True, eq=False)
class AudioTrack:
    """The clip's sound, all times in seconds from its start.

    low, high            smallest and largest sample of each of equally long bins over the audio
    mel_db               log-mel spectrogram in dB, lowest band first, columns `seconds_per_column` apart
    mel_hz               centre frequency of each band
    audio_seconds        where the audio ends within the window
    window_seconds       length of the models' window; the rest of it is padding
    """

    low: Float[np.ndarray, " bins"]
    high: Float[np.ndarray, " bins"]
    mel_db: Float[np.ndarray, "bands columns"]
    mel_hz: Float[np.ndarray, " bands"]
    seconds_per_column: float
    audio_seconds: float
    window_seconds: float

    def __post_init__(self) -> None:
        _expect("AudioTrack.high", self.high.shape, self.low.shape)
        _expect("AudioTrack.mel_hz", self.mel_hz.shape, (self.mel_db.shape[0],))
        if not 0 < self.audio_seconds <= self.window_seconds:
            raise ValueError(
                f"AudioTrack.audio_seconds is {self.audio_seconds}, expected more than 0, at most {self.window_seconds}"
            )


def styles(views: Sequence[ClipView]) -> tuple[Style, ...]:
    """Each view's model style."""
    return model_styles([(view.role, view.rank) for view in views])


def classes(views: Sequence[ClipView]) -> tuple[str, ...]:
    """All classes of the views, canonical, in the one order."""
    return class_order([name for view in views for name in view.classes])


def need_views(views: Sequence[ClipView]) -> None:
    """A figure of nothing is a caller's mistake: the page says what to do instead."""
    if not views:
        raise ValueError("no models to draw")
