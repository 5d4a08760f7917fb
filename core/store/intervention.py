"""`intervention` records of one layer: what the model says when something is changed there."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

# What is done at layer l, for every model: out_l := h_l at that layer, at all up to it, at it and all above.
ERASURES = ("erase", "erase_first", "erase_last")
# With LoRA: its update off at layer l alone, on there alone, on up to it, on from it; and controls in which one factor
# of the layer is its untrained draw N(0, 0.02^2): `without_a` has A drawn and all else as trained, `only_a` has the
# trained A with B drawn, and the update on at this layer alone.
SWITCHES = ("without", "only", "first", "last")
CONTROLS = ("without_a", "without_b", "only_a", "only_b")
ABLATIONS = (*ERASURES, *SWITCHES, *CONTROLS)
# What can be copied from one run into another at layer l: attention and MLP before they are added, what the layer's
# LoRA modules add to their projections, and the layer's output.
COMPONENTS = ("attention", "mlp", "lora", "residual")
DIRECTIONS = ("denoised", "noised")  # clean into corrupt, corrupt into clean

Logits = Float64[np.ndarray, " classes"]


@dataclass(frozen=True)
class AblationRecord:
    """Logits of one clip by ablation of one layer; without LoRA only the erasures."""

    logits: Mapping[str, Logits]

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Flat arrays for the store; `from_arrays` turns them back."""
        return {f"logits.{name}": values for name, values in self.logits.items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "AblationRecord":
        """A record from what `to_arrays` gave."""
        return cls({name.removeprefix("logits."): values for name, values in arrays.items()})


@dataclass(frozen=True)
class PatchRecord:
    """One layer of a patching sweep over a pair of runs.

    clean, corrupt  logits of the two runs as they are
    patched         by component, of the denoised and of the noised run
    norm_ratio      by component and direction, ||out_l|| patched over ||out_l|| as the run has it itself, mean over the
                    patched frames: far from 1 the layers above read what they never see
    """

    clean: Logits
    corrupt: Logits
    patched: Mapping[str, Float64[np.ndarray, "2 classes"]]
    norm_ratio: Mapping[str, Float64[np.ndarray, " 2"]]

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Flat arrays for the store; `from_arrays` turns them back."""
        arrays = {"clean": self.clean, "corrupt": self.corrupt}
        arrays |= {f"patched.{name}": values for name, values in self.patched.items()}
        return arrays | {f"norm_ratio.{name}": values for name, values in self.norm_ratio.items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "PatchRecord":
        """A record from what `to_arrays` gave; KeyError where a run is missing."""

        def of(kind: str) -> dict[str, np.ndarray]:
            return {
                name.removeprefix(f"{kind}."): values for name, values in arrays.items() if name.startswith(f"{kind}.")
            }

        return cls(arrays["clean"], arrays["corrupt"], of("patched"), of("norm_ratio"))
