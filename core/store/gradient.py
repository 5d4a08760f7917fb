"""The `gradient` record: the gradients of one clip's loss with respect to what LoRA's A and B give."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64

from core.store.lora import Scaled, pack_scaled, unpack_scaled

_PER_MODULE = ("norm_a.", "norm_b.", "mean_b.")


@dataclass(frozen=True)
class GradientRecord:
    """One clip under one model, its cross-entropy against one class; 2 = (all, audio) frames, by `<layer>.<target>`.

    loss       the clip's own cross-entropy
    g_a        G_A, T x r: gradient of the loss with respect to lora_A's output
    norm_a     Frobenius norm of G_A over the frames; norm_b of G_B, the gradient with respect to lora_B's output
    mean_b     G_B averaged over the frames (2 x outputs), G_A's mean is its product with B; G_B itself is kept of sets
               of clips only, as sums
    audio_frames  how many frames hold audio
    """

    loss: float
    audio_frames: int
    g_a: Mapping[str, Scaled]
    norm_a: Mapping[str, Float64[np.ndarray, " 2"]]
    norm_b: Mapping[str, Float64[np.ndarray, " 2"]]
    mean_b: Mapping[str, Float32[np.ndarray, "2 _"]]

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Flat arrays for the store; `from_arrays` turns them back."""
        arrays = {"loss": np.asarray(self.loss), "audio_frames": np.asarray(self.audio_frames)}
        arrays |= pack_scaled("g_a.", "scale_g_a.", self.g_a)
        for prefix in _PER_MODULE:
            arrays |= {prefix + module: array for module, array in getattr(self, prefix.rstrip(".")).items()}
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "GradientRecord":
        """A record from what `to_arrays` gave; KeyError where something is missing."""
        g_a = unpack_scaled("g_a.", "scale_g_a.", arrays)
        rest = {prefix.rstrip("."): {module: arrays[prefix + module] for module in g_a} for prefix in _PER_MODULE}
        return cls(float(arrays["loss"]), int(arrays["audio_frames"]), g_a, **rest)
