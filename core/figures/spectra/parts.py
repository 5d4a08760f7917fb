"""What the spectra's charts share: four kinds of spectrum, adapters with untrained counterparts, curves over k."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float64, Int

from core.analyses.tidy import VALUES, Table, Wanted
from core.figures.adapters import adapters, untrained, untrained_style
from core.figures.layout import AXIS, LEGEND_ROW, Panels, axis, panel_label
from core.figures.theme import Style
from core.figures.view import View
from core.models.info import ModelInfo, Role

COLUMNS = 4  # a column a kind, in every chart that shows them all


@dataclass(frozen=True)
class Kind:
    """A stacked matrix: what lora_A or lora_B puts out, or the loss' gradient with respect to it."""

    name: str
    component: str
    gradient: bool

    def statistic(self, name: str) -> str:
        """What the rows call this statistic of this kind."""
        return f"grad_{name}" if self.gradient else name


KINDS = {
    kind.name: kind
    for kind in (
        Kind("A activations", "A", False),
        Kind("A gradients", "A", True),
        Kind("B activations", "B", False),
        Kind("B gradients", "B", True),
    )
}


@dataclass(frozen=True)
class Drawn:
    """A trained adapter, or its untrained counterpart: in the same colour, dashed, with open markers."""

    name: str
    model: ModelInfo
    style: Style
    untrained: bool = False


@dataclass(frozen=True, eq=False)
class OverK:
    """`name:<k>` rows in the order of k, with their 95 % bounds (NaN where there is none)."""

    k: Int[np.ndarray, " k"]
    value: Float64[np.ndarray, " k"]
    low: Float64[np.ndarray, " k"]
    high: Float64[np.ndarray, " k"]


def drawn(view: View) -> list[Drawn]:
    """Each adapter, followed by its untrained counterpart."""
    found = []
    for model in adapters(view):
        style = view.styles[model.name]
        found.append(Drawn(model.name, model, style))
        if model.role is Role.LORA:
            found.append(Drawn(untrained(model), model, untrained_style(style), untrained=True))
    return found


def whole(view: View) -> Table:
    """The rows of what needs no clips; under a split every group has the same."""
    return view.table("spectra", view.groups[0] if view.groups else "")


def over_k(rows: Table, name: str, **equal: Wanted) -> OverK:
    """The picked rows called `name:<k>`."""
    names = tuple(word for word in rows.words if word.startswith(f"{name}:"))
    picked = rows.pick(statistic=names, **equal)
    k = np.array([int(str(text).rpartition(":")[2]) for text in picked.texts("statistic")], dtype=np.int64)
    order = np.argsort(k, kind="stable")
    value, low, high = (picked.columns[column][order] for column in VALUES)
    return OverK(k[order], value, low, high)


def doubling(last: float, first: float = 1) -> list[float]:
    """`first`, twice that, and so on to `last` at most: ticks of a logarithmic axis."""
    ticks = [first]
    while ticks[-1] * 2 <= last:
        ticks.append(ticks[-1] * 2)
    return ticks


def log_axis(fig: go.Figure, kind: str, panel: int, low: float, high: float, title: str | None) -> None:
    """Make an axis of a panel logarithmic, from `low` to `high`, with a tick at each power of two."""
    margin = (high / low) ** 0.03
    ticks = doubling(high, 2.0 ** np.ceil(np.log2(low)))
    fig.layout[axis(f"{kind}axis", panel)].update(
        type="log",
        range=[np.log10(low / margin), np.log10(high * margin)],
        tickvals=ticks,
        ticktext=[f"{tick:g}" for tick in ticks],
        title={"text": title},
    )


def panels(count: int, height: int, view: View, columns: int = COLUMNS) -> tuple[Panels, go.Figure]:
    """A grid of panels that are independent of each other's y axes but for their size."""
    grid = Panels(count, height, view.narrow, fixed_columns=min(columns, count))
    return grid, grid.figure()


def name_panels(fig: go.Figure, names: Sequence[str]) -> None:
    """A title above each panel."""
    for i, name in enumerate(names):
        panel_label(fig, i, f"<b>{name}</b>", shift=6)


def height(grid: Panels, *, top: int, rows: int = 0, below: int = 0) -> int:
    """A figure's height in pixels: legend, titles, panels, axis, and what is `below`."""
    return rows * LEGEND_ROW + top + 4 + grid.plot_height + AXIS + below
