"""What is known of a model without loading it."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class Role(StrEnum):
    """What a model is in a comparison."""

    FROZEN = "frozen"
    LORA = "lora"
    UNTRAINED = "untrained"
    FULL = "full"


@dataclass(frozen=True, slots=True)
class LoraModule:
    """One adapted projection: layer index, target (`v_proj`, `fc1`, …), rank; A is rank x inputs, B outputs x rank."""

    layer: int
    target: str
    rank: int
    inputs: int
    outputs: int

    @property
    def name(self) -> str:
        return f"{self.layer}.{self.target}"


@dataclass(frozen=True, slots=True)
class EncoderShape:
    """The encoder's dimensions as its config says; nothing here is a constant of Whisper.

    `frames` after the conv stem, `samples_per_frame` = hop length x stride, `mel_frames` before it.
    """

    layers: int
    width: int
    frames: int
    samples_per_frame: int
    mel_bins: int
    mel_frames: int
    sampling_rate: int

    @property
    def window_samples(self) -> int:
        """Length of the model's window in samples."""
        return self.frames * self.samples_per_frame

    def start_of(self, n_samples: int, window_start: int) -> int:
        """Where a clip's window begins (samples): at `window_start`, but a clip that fits the window is taken whole."""
        return 0 if n_samples <= self.window_samples else window_start

    @property
    def seconds_per_frame(self) -> float:
        return self.samples_per_frame / self.sampling_rate


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """Local files of one model. `encoder` and `head` may be several (shards); `head` is where projector and classifier
    lie: the adapter's file for LoRA, empty where a head is to be drawn."""

    config: Path
    encoder: tuple[Path, ...]
    head: tuple[Path, ...] = ()
    adapter: Path | None = None
    adapter_config: Path | None = None
    preprocessor: Path | None = None


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A registry entry whose files were found and whose headers fit together. `fingerprint` is of file bytes."""

    name: str
    role: Role
    group: str
    fingerprint: str
    base_fingerprint: str
    labels: tuple[str, ...]
    shape: EncoderShape
    lora: tuple[LoraModule, ...]
    files: ModelFiles
    parameters: int
    weighted_layer_sum: bool = False
    synthetic: bool = False
    notes: tuple[str, ...] = ()
    seed: int = 0  # of what is drawn for it: an untrained adapter's A and B, a head where it has none

    @property
    def rank(self) -> int | None:
        """The adapter's (largest) rank; None without LoRA."""
        return max((m.rank for m in self.lora), default=None)
