"""The `forward` record: everything one pass of one model over one clip leaves behind."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields

import numpy as np
from jaxtyping import Float, Float32, Float64

FRAMES = ("all", "audio")  # index of the leading axis of every per-frame mean
COMPONENTS = ("attention", "mlp", "sum")
_GRAM = "gram_a."


@dataclass(frozen=True)
class ForwardRecord:
    """One clip under one model. L layers, points 0..L, T frames, width d, C classes, 2 = (all, audio) frames.

    relative, cosine   contributions of attention, MLP and their sum, means over frames (spec: contributions)
    residual_norm      mean over frames of ||h|| at each point
    mean_raw           residual stream averaged over frames, float32
    mean_normed        the same after the encoder's final layer_norm
    lens_raw           head logits of each frame of the raw residual stream
    lens_normed        the same after the final layer_norm
    logits             the model's own logits
    gram_a             LoRA-A Gram X_A^T X_A per module `<layer>.<target>`, packed upper triangle in float64
    audio_frames       how many frames hold audio; n_samples is what the clip's window held of it
    """

    relative: Float64[np.ndarray, "2 3 layers"]
    cosine: Float64[np.ndarray, "2 3 layers"]
    residual_norm: Float64[np.ndarray, "2 points"]
    mean_raw: Float32[np.ndarray, "2 points width"]
    mean_normed: Float32[np.ndarray, "2 points width"]
    lens_raw: Float32[np.ndarray, "points frames classes"]
    lens_normed: Float32[np.ndarray, "points frames classes"]
    logits: Float64[np.ndarray, " classes"]
    audio_frames: int
    n_samples: int
    gram_a: Mapping[str, Float64[np.ndarray, "2 packed"]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        points, frames, classes = self.lens_raw.shape
        layers, width = points - 1, self.mean_raw.shape[-1]
        expected = {
            "relative": (2, 3, layers),
            "cosine": (2, 3, layers),
            "residual_norm": (2, points),
            "mean_raw": (2, points, width),
            "mean_normed": (2, points, width),
            "lens_normed": (points, frames, classes),
            "logits": (classes,),
        }
        for name, shape in expected.items():
            if getattr(self, name).shape != shape:
                raise ValueError(f"ForwardRecord.{name} has shape {getattr(self, name).shape}, expected {shape}")
        if not 1 <= self.audio_frames <= frames:
            raise ValueError(f"ForwardRecord.audio_frames is {self.audio_frames}, expected 1 to {frames}")

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Flat arrays for the store; `from_arrays` turns them back."""
        arrays = {f.name: np.asarray(getattr(self, f.name)) for f in fields(self) if f.name != "gram_a"}
        return arrays | {_GRAM + module: gram for module, gram in self.gram_a.items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "ForwardRecord":
        """A record from what `to_arrays` gave; KeyError or ValueError where something is missing or misshapen."""
        plain = {f.name: arrays[f.name] for f in fields(cls) if f.name not in ("gram_a", "audio_frames", "n_samples")}
        grams = {name.removeprefix(_GRAM): array for name, array in arrays.items() if name.startswith(_GRAM)}
        return cls(**plain, audio_frames=int(arrays["audio_frames"]), n_samples=int(arrays["n_samples"]), gram_a=grams)


def unpack_gram(packed: Float64[np.ndarray, " packed"]) -> Float[np.ndarray, "rank rank"]:
    """The symmetric matrix whose upper triangle, row by row, is `packed`."""
    rank = int((np.sqrt(8 * packed.size + 1) - 1) / 2)
    full = np.zeros((rank, rank))
    full[np.triu_indices(rank)] = packed
    return full + np.triu(full, 1).T
