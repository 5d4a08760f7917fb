"""Passes in which something is changed on the way, as tasks for the engine. No torch here: web pages import this.

After Heimersheim and Nanda (2024), "How to use and interpret activation patching".
"""

import math
from dataclasses import dataclass
from typing import Literal, get_args

from core.corpora.clip import Clip
from core.models.info import ModelInfo
from core.store.key import Key, Kind, Precision

Pairing = Literal["dial", "minimal", "noise"]
PAIRINGS: tuple[Pairing, ...] = get_args(Pairing)
MAX_GAIN = 1.5  # of a layer on the dial; further out nothing was ever trained


@dataclass(frozen=True)
class Dial:
    """How much of each layer's LoRA update is on (`gains`, one a layer: 0 off, 1 as trained), and `rank`: each module's
    update dW is cut to that many of its largest singular values (None: whole). The head is always the LoRA model's.
    """

    gains: tuple[float, ...]
    rank: int | None = None

    def __post_init__(self) -> None:
        if not self.gains or not all(math.isfinite(gain) and 0 <= gain <= MAX_GAIN for gain in self.gains):
            raise ValueError(f"gains are {self.gains}, expected one of 0 to {MAX_GAIN} for each layer")
        if self.rank is not None and self.rank < 1:
            raise ValueError(f"rank is {self.rank}, expected at least 1")

    @classmethod
    def even(cls, gain: float, layers: int, rank: int | None = None) -> "Dial":
        """The same for every layer."""
        return cls((gain,) * layers, rank)


@dataclass(frozen=True)
class DialPass:
    """One forward pass over a clip's window with the LoRA dial at `dial`."""

    model: ModelInfo
    clip: Clip
    window_start: int
    dial: Dial

    @classmethod
    def over(cls, model: ModelInfo, clip: Clip, window_start: int, dial: Dial) -> "DialPass":
        """As `Pass.over`; ValueError where the dial has not one gain for each layer, or there is no LoRA to dial."""
        if len(dial.gains) != model.shape.layers or not model.lora:
            raise ValueError(f"{model.name} has {model.shape.layers} layers and {len(model.lora)} LoRA modules")
        return cls(model, clip, model.shape.start_of(clip.n_samples, window_start), dial)

    def keys(self, precision: Precision) -> tuple[Key, ...]:
        """The record this pass is for: a `ForwardRecord` of the dialled model."""
        spec = {"window_start": self.window_start, "gains": [float(g) for g in self.dial.gains], "rank": self.dial.rank}
        return (Key(Kind.INTERVENTION, self.model.fingerprint, self.clip.clip_id, precision, spec),)


@dataclass(frozen=True)
class LayerPass:
    """Everything that is switched off or on at one layer, over one clip's window (`core.store.intervention.ABLATIONS`).

    The layers of a clip share their runs up to that layer; tasks of one clip are best asked for together.
    """

    model: ModelInfo
    clip: Clip
    window_start: int
    layer: int

    @classmethod
    def over(cls, model: ModelInfo, clip: Clip, window_start: int, layer: int) -> "LayerPass":
        """As `Pass.over`."""
        return cls(model, clip, model.shape.start_of(clip.n_samples, window_start), layer)

    def keys(self, precision: Precision) -> tuple[Key, ...]:
        """The record this pass is for: an `AblationRecord`."""
        spec = {"window_start": self.window_start, "ablated": self.layer}
        return (Key(Kind.INTERVENTION, self.model.fingerprint, self.clip.clip_id, precision, spec),)


@dataclass(frozen=True)
class PatchPass:
    """One layer of a patching sweep over a pair of runs under one head: each component's output copied from the clean
    run into the corrupt one (denoising) and the other way round (noising).

    dial      the clip with LoRA on (clean) and off (corrupt)
    minimal   the clip (clean) and `source`, another clip (corrupt), under the model as it is
    noise     the clip (clean) and white noise of its length and RMS (corrupt)

    `frames` and `span` (seconds within the clean run's window) choose the patched frames; in a pair of clips they are
    mapped linearly over the frames that hold audio. Without either the whole window is patched, padding included, and
    there is no component `residual`: copying all of it is the other run.
    """

    model: ModelInfo
    clip: Clip
    window_start: int
    layer: int
    pairing: Pairing
    source: Clip | None = None
    frames: Literal["all", "audio"] = "all"
    span: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if (self.pairing == "minimal") != (self.source is not None):
            raise ValueError(f"a {self.pairing} pair with source {self.source}")
        if self.pairing == "dial" and not self.model.lora:
            raise ValueError(f"{self.model.name} has no LoRA to dial")
        if self.span is not None and not 0 <= self.span[0] < self.span[1]:
            raise ValueError(f"the span is {self.span}, expected two rising seconds")

    @property
    def whole(self) -> bool:
        """Whether every frame is patched."""
        return self.frames == "all" and self.span is None

    def keys(self, precision: Precision) -> tuple[Key, ...]:
        """The record this pass is for: a `PatchRecord`."""
        spec = {
            "window_start": self.window_start,
            "patched": self.layer,
            "pairing": self.pairing,
            "source": self.source.clip_id if self.source else None,
            "frames": "audio" if self.span else self.frames,
            "span": list(self.span) if self.span else None,
        }
        return (Key(Kind.INTERVENTION, self.model.fingerprint, self.clip.clip_id, precision, spec),)


Intervention = DialPass | LayerPass | PatchPass
