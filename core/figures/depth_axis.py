"""The depth axis that all charts of a page share: layers 0..L-1, and the points 0..L between them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float64, Int

from core.figures.layout import axis, depth_ticks
from core.models.info import ModelInfo

Unit = Literal["layer", "point"]


@dataclass(frozen=True)
class DepthAxis:
    """Depth in layers or in points; a layer's quantity sits half-way between its two points.

    Models of different depth are drawn over relative depth, l / (L - 1) of layers and p / L of points.
    """

    unit: Unit
    layers: int
    relative: bool = False

    @classmethod
    def of(cls, models: Sequence[ModelInfo], unit: Unit) -> "DepthAxis":
        """The axis for these models (at least one)."""
        depths = {model.shape.layers for model in models}
        return cls(unit, max(depths), len(depths) > 1)

    def place(
        self, at: Int[np.ndarray, " k"] | Float64[np.ndarray, " k"], kind: Unit, layers: int
    ) -> Float64[np.ndarray, " k"]:
        """Where layers or points of a model with so many layers lie on the axis."""
        places = np.asarray(at, dtype=np.float64)
        if self.relative:
            return places / max(layers - 1 if kind == "layer" else layers, 1)
        if kind == self.unit:
            return places
        return places + 0.5 if kind == "layer" else places - 0.5

    @property
    def range(self) -> tuple[float, float]:
        """The same for layers and points."""
        if self.relative:
            return -0.03, 1.03
        low, high = (-0.5, self.layers - 0.5) if self.unit == "layer" else (0.0, float(self.layers))
        return low - 0.02 * self.layers, high + 0.02 * self.layers

    @property
    def title(self) -> str:
        return "relative depth" if self.relative else "layer" if self.unit == "layer" else "depth (point)"

    def draw(self, fig: go.Figure, panel: int, *, narrow: bool = False, title: bool = True) -> None:
        """Set the x axis of a panel; `narrow` for panels of some 200 pixels."""
        last = self.layers - 1 if self.unit == "layer" else self.layers
        ticks: list[float] = [0, 0.25, 0.5, 0.75, 1] if self.relative else list(depth_ticks(last, 5 if narrow else 9))
        fig.layout[axis("xaxis", panel)].update(
            range=self.range, tickvals=ticks, title={"text": self.title if title else None}
        )
