"""The `states` record: one clip's residual stream frame by frame, for what needs frames as rows."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from core.store.lora import Scaled, pack_scaled, unpack_scaled


@dataclass(frozen=True)
class StatesRecord:
    """The residual stream of the frames that hold audio (frames x width), at each point 0..L."""

    points: tuple[Scaled, ...]

    def at(self, point: int) -> Float64[np.ndarray, "frames width"]:
        """One point's."""
        return self.points[point].values

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Flat arrays for the store; `from_arrays` turns them back."""
        return pack_scaled("h.", "scale.", {str(point): states for point, states in enumerate(self.points)})

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "StatesRecord":
        """A record from what `to_arrays` gave; KeyError where a point is missing."""
        found = unpack_scaled("h.", "scale.", arrays)
        return cls(tuple(found[str(point)] for point in range(len(found))))
