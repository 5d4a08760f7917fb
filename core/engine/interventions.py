"""Passes in which something is changed on the way, as tasks for the engine. No torch here: web pages import this."""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from core.corpora.clip import Clip
from core.interventions import Dial, Pairing, Patch
from core.models.info import ModelInfo
from core.store.key import Key, Kind, Precision


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
    """One layer of a patching sweep over a pair of runs under one head (`Patch`): each component's output copied from
    the clean run into the corrupt one (denoising) and the other way round (noising).

    `clip` is the clean run's; `source` the corrupt run's in a minimal pair.
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
        _ = self.patch  # which checks the rest

    @cached_property
    def patch(self) -> Patch:
        """What is copied."""
        return Patch(self.layer, self.pairing, self.frames, self.span)

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
