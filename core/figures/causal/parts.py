"""What the causal figures share: whose rows, how each kind of run is drawn, and panels of unequal height."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from core.analyses.request import Row
from core.analyses.tidy import Curve, Table
from core.figures.curves import interval
from core.figures.layout import AXIS, axis
from core.figures.theme import RULE, Dash, Style
from core.figures.view import View
from core.models.info import ModelInfo

BANDS = "Shaded: 95 % intervals, Student t over speakers up to 19 of them, from 20 a bootstrap over speakers."
# One model at a time, so colour is free to say what was done; line and marker say it too.
LOST, RESTORED, THIRD = "#c2571a", "#2a7fa5", "#8a6bb8"
_MIDDLE = 0.03  # of the width between two columns whose y axes differ
_ROOM = 0.12  # of a panel from 0 to 1, which a line's name takes
_GAP = 30  # pixels between two strips, which the lower one's title takes


def model_of(view: View) -> ModelInfo:
    """The one model that is shown."""
    return view.models[0]


def rows_of(view: View) -> Table:
    """Its rows over clips."""
    return view.table("causal").over_clips.pick(model=model_of(view).name)


def style(color: str, symbol: str, dash: Dash = "solid") -> Style:
    """A look whose markers need no darker edge: these colours stand out from both backgrounds."""
    return Style(color, color, symbol, dash)


def known(curve: Curve) -> bool:
    """Whether there is a number in it."""
    return bool(np.isfinite(curve.value).any())


def sized(curve: Curve, at: int) -> str:
    """`0.620 [0.500, 0.700]` of the curve's place `at`."""
    return interval(float(curve.value[at]), float(curve.low[at]), float(curve.high[at])).replace("-", "−")


def row_sized(row: Row) -> str:
    """The same of a row."""
    bounds = (np.nan if one is None else one for one in (row.value, row.ci_low, row.ci_high))
    return interval(*bounds).replace("-", "−")


def level(
    fig: go.Figure, panel: int, value: float | None, text: str, *, left: bool = False, under: bool = False
) -> None:
    """A dotted line across a panel at a height that is no layer's, with its name at the right or left end, above or
    `under` it."""
    if value is None:
        return
    where = {"xref": f"{axis('x', panel)} domain", "yref": axis("y", panel)}
    line = {"color": RULE, "width": 1.2, "dash": "dot"}
    fig.add_shape(type="line", x0=0, x1=1, y0=value, y1=value, line=line, layer="below", **where)
    small = {"showarrow": False, "font": {"size": 11}, "opacity": 0.85}
    side = {"x": 0, "xanchor": "left"} if left else {"x": 1, "xanchor": "right"}
    fig.add_annotation(text=text, y=value, yanchor="top" if under else "bottom", **side, **small, **where)


def lower(one: Row | None, other: Row | None) -> bool:
    """Whether one's line lies below the other's, with room for a name under it in a panel from 0 to 1."""
    values = [row.value for row in (one, other) if row is not None and row.value is not None]
    return len(values) == 2 and _ROOM < values[0] < values[1]


def column(fig: go.Figure, panel: int, place: int, columns: int) -> None:
    """Put a panel into one of so many columns, far enough apart for a y axis of its own."""
    left = place * (1 + _MIDDLE) / columns
    fig.layout[axis("xaxis", panel)].domain = (left, left + (1 + _MIDDLE) / columns - _MIDDLE)


def stack(fig: go.Figure, heights: Sequence[int]) -> None:
    """Panels of one column under each other at these heights; only the last one carries the depth axis."""
    total = sum(heights) + _GAP * (len(heights) - 1)
    top = total
    for i, height in enumerate(heights):
        fig.layout[axis("yaxis", i)].domain = (max(0.0, (top - height) / total), top / total)
        x = fig.layout[axis("xaxis", i)]
        x.showgrid = True
        if i < len(heights) - 1:
            x.update(showticklabels=False, title={"text": None})
        top -= height + _GAP
    fig.update_layout(height=fig.layout.margin.t + total + AXIS)
