"""The `lora` record: one clip's LoRA-A outputs under one model."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float16, Float32, Float64

_SPAN = 1024.0  # activations are scaled to this largest magnitude: well inside float16, far above its underflow


@dataclass(frozen=True)
class Scaled:
    """An array kept as float16 times one number of its own."""

    scaled: Float16[np.ndarray, "..."]
    scale: float

    @classmethod
    def of(cls, array: np.ndarray) -> "Scaled":
        peak = float(np.abs(array).max(initial=0))
        scale = peak / _SPAN if peak > 0 else 1.0
        return cls((array / scale).astype(np.float16), scale)

    @property
    def values(self) -> Float64[np.ndarray, "..."]:
        return self.scaled.astype(np.float64) * self.scale


@dataclass(frozen=True)
class LoraRecord:
    """One clip's lora_A outputs by module `<layer>.<target>`; 2 = (all, audio) frames.

    x      X_A, T x r, all frames. X_B = X_A B^T, with B in the model's own record
    mean   X_A averaged over the frames, before it was rounded to float16
    """

    x: Mapping[str, Scaled]
    mean: Mapping[str, Float32[np.ndarray, "2 _"]]

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Flat arrays for the store; `from_arrays` turns them back."""
        return pack_scaled("x.", "scale.", self.x) | {f"mean.{module}": mean for module, mean in self.mean.items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "LoraRecord":
        """A record from what `to_arrays` gave; KeyError where something is missing."""
        x = unpack_scaled("x.", "scale.", arrays)
        return cls(x, {module: arrays[f"mean.{module}"] for module in x})


def pack_scaled(prefix: str, scale: str, modules: Mapping[str, Scaled]) -> dict[str, np.ndarray]:
    """`<prefix><module>` and `<scale><module>` of each."""
    arrays = {prefix + module: one.scaled for module, one in modules.items()}
    return arrays | {scale + module: np.asarray(one.scale) for module, one in modules.items()}


def unpack_scaled(prefix: str, scale: str, arrays: Mapping[str, np.ndarray]) -> dict[str, Scaled]:
    """What `pack_scaled` packed."""
    modules = [name.removeprefix(prefix) for name in arrays if name.startswith(prefix)]
    return {module: Scaled(arrays[prefix + module], float(arrays[scale + module])) for module in modules}
