"""The `set` record: what needs the gradients of a whole set of clips at once."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float64

from core.store.forward import unpack_gram
from core.store.lora import Scaled, pack_scaled, unpack_scaled

_GRAM, _KERNEL = "gram_b.", "kernel_b."


@dataclass(frozen=True)
class SetRecord:
    """A set of n clips under one model, by module `<layer>.<target>`; 2 = (all, audio) frames.

    packed     sum over clips of G_B^T G_B, packed upper triangles (see `gram_b`)
    kernel_b   inner products of the clips' G_B flattened over all frames, clips in the order of their ids;
               empty where the set was asked for without kernels
    g_b        of a single clip: G_B of its audio frames, whose rows then are what is compared
    """

    n: int
    packed: Mapping[str, Float64[np.ndarray, "2 packed"]]
    kernel_b: Mapping[str, Float64[np.ndarray, "clips clips"]] = field(default_factory=dict)
    g_b: Mapping[str, Scaled] = field(default_factory=dict)

    def gram_b(self, module: str, frames: int) -> Float64[np.ndarray, "outputs outputs"]:
        """Sum over clips of G_B^T G_B over all frames (0) or those that hold audio (1): its eigenvalues are the squared
        singular values of the stacked G_B, and of the stacked G_A = G_B B through B^T (G_B^T G_B) B."""
        return unpack_gram(self.packed[module][frames])

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Flat arrays for the store; `from_arrays` turns them back."""
        arrays = {"n": np.asarray(self.n)} | {_GRAM + module: array for module, array in self.packed.items()}
        arrays |= {_KERNEL + module: array for module, array in self.kernel_b.items()}
        return arrays | pack_scaled("g_b.", "scale_g_b.", self.g_b)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "SetRecord":
        """A record from what `to_arrays` gave; KeyError where something is missing."""

        def named(prefix: str) -> dict[str, np.ndarray]:
            return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}

        return cls(int(arrays["n"]), named(_GRAM), named(_KERNEL), unpack_scaled("g_b.", "scale_g_b.", arrays))
