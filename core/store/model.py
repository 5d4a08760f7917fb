"""The `model` record: a model's adapter and head as arrays, and the spectra of its weights."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64


@dataclass(frozen=True)
class WeightsRecord:
    """One module's LoRA factors and what they do to the projection's own weight W. dW = scaling B A.

    a             A, rank x inputs; b is B, outputs x rank
    scaling       PEFT's own, rsLoRA and alpha patterns included
    s_w           singular values of W, s_wdw those of W + dW, s_dw those of dW (rank of them), descending
    v_dw          right singular vectors of dW as rows, rank x inputs
    cos_intruder  of each of the top 10 left singular vectors of W + dW, the largest |cosine| with one of W
    overlap_u     share of dW's top k left singular directions inside W's top k, k = 1 to rank:
                  ||U_k^T U'_k||_F^2 / k (Hu et al. 2021, section 7); overlap_v the same of right ones
    """

    a: Float32[np.ndarray, "rank inputs"]
    b: Float32[np.ndarray, "outputs rank"]
    scaling: float
    s_w: Float64[np.ndarray, " smaller"]
    s_wdw: Float64[np.ndarray, " smaller"]
    s_dw: Float64[np.ndarray, " rank"]
    v_dw: Float32[np.ndarray, "rank inputs"]
    cos_intruder: Float64[np.ndarray, " top"]
    overlap_u: Float64[np.ndarray, " rank"]
    overlap_v: Float64[np.ndarray, " rank"]


_FIELDS = tuple(f.name for f in fields(WeightsRecord))


@dataclass(frozen=True)
class ModelRecord:
    """A model by module `<layer>.<target>` (none without LoRA), and its head composed to logits = weight h + bias."""

    modules: Mapping[str, WeightsRecord]
    head_weight: Float64[np.ndarray, "classes width"]
    head_bias: Float64[np.ndarray, " classes"]

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Flat arrays for the store; `from_arrays` turns them back."""
        arrays = {"head.weight": self.head_weight, "head.bias": self.head_bias}
        for module, weights in self.modules.items():
            arrays |= {f"{name}.{module}": np.asarray(getattr(weights, name)) for name in _FIELDS}
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "ModelRecord":
        """A record from what `to_arrays` gave; KeyError where something is missing."""
        modules = {}
        for module in (name.removeprefix("scaling.") for name in arrays if name.startswith("scaling.")):
            found: dict[str, Any] = {name: arrays[f"{name}.{module}"] for name in _FIELDS}
            modules[module] = WeightsRecord(**found | {"scaling": float(found["scaling"])})
        return cls(modules, arrays["head.weight"], arrays["head.bias"])
