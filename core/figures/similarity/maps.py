"""CKA of every point of one model with every point of another, as heatmaps."""

from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Bool, Float64

from core.analyses.tidy import VALUES, Table
from core.figures.curves import interval
from core.figures.drawing import Drawing
from core.figures.layout import AXIS, TITLE, Panels, apply_layout, axis, color_bar, depth_ticks, ellipsis, panel_label
from core.figures.layout import number as three
from core.figures.similarity.rows import Estimator, layers_statistic
from core.figures.similarity.words import estimator_note, formula, unbiased
from core.figures.theme import PROBABILITY_SCALE
from core.figures.view import View
from core.models.info import ModelInfo

_SQUARE = 300  # pixels
_BAR = 70
_BRIGHT = 0.55  # from here on the colours are light, and what lies on them must be dark


@dataclass(frozen=True, eq=False)
class Grid:
    """CKA at each point of `rows` (first axis) with each of `columns`; NaN where it is not known or undefined."""

    rows: ModelInfo
    columns: ModelInfo
    value: Float64[np.ndarray, "p q"]
    low: Float64[np.ndarray, "p q"]
    high: Float64[np.ndarray, "p q"]
    null: Float64[np.ndarray, "p q"]  # the upper end of the null band

    @property
    def unrelated(self) -> Bool[np.ndarray, "p q"]:
        """Where CKA is no higher than what unrelated features give."""
        return self.value <= self.null

    @property
    def title(self) -> str:
        return f"{ellipsis(self.rows.name, 16)} × {ellipsis(self.columns.name, 16)}"


def grid(table: Table, rows: ModelInfo, columns: ModelInfo, statistic: str) -> Grid:
    """A heatmap's numbers. The rows hold each pair of models once, whichever of the two comes first."""
    turned = not len(table.pick(model=rows.name, versus=columns.name, statistic=statistic))
    first, second = (columns, rows) if turned else (rows, columns)
    shape = first.shape.layers + 1, second.shape.layers + 1

    def filled(name: str, *wanted: str) -> list[Float64[np.ndarray, "p q"]]:
        picked = table.pick(model=first.name, versus=second.name, statistic=name)
        place = picked.columns["layer"], [int(str(text)) for text in picked.texts("module")]
        arrays = []
        for column in wanted:
            array = np.full(shape, np.nan)
            array[place] = picked.columns[column]
            arrays.append(array.T if turned else array)
        return arrays

    return Grid(rows, columns, *filled(statistic, *VALUES), *filled(f"{statistic}_null", "ci_high"))


def heatmaps(view: View, rows: ModelInfo, columns: ModelInfo, estimator: Estimator, group: str = "") -> Drawing:
    """Each of the two models with itself, and the one with the other, over all clips or one group of them."""
    statistic = layers_statistic(view.variant, estimator)
    table = view.table("cka", group)
    pairs = [(rows, columns)] if rows == columns else [(rows, rows), (columns, columns), (rows, columns)]
    found = [grid(table, *pair, statistic) for pair in pairs]
    panels = Panels(len(found), _SQUARE, view.narrow, fixed_columns=3)
    fig = panels.figure()
    for i, one in enumerate(found):
        _add_map(fig, i, one, leading=i in panels.leading())
    apply_layout(fig, TITLE + 4 + panels.plot_height + AXIS + _BAR, legend_rows=0, top=TITLE, bottom=AXIS + _BAR)
    bar = color_bar("CKA", below=(AXIS + 2) / panels.plot_height, ticks=(0, 0.25, 0.5, 0.75, 1))
    fig.update_layout(coloraxis={"cmin": 0, "cmax": 1, "colorscale": PROBABILITY_SCALE, "colorbar": bar})
    names = (rows.name, columns.name)
    return Drawing(
        fig,
        {group: table.pick(model=names, versus=names, statistic=(statistic, f"{statistic}_null"))},
        "CKA of points with points. " + " ".join(_alt(one) for one in found),
        "Yellow: two points hold the clips in the same arrangement. The dotted line is equal depth; a bright block "
        "around it is a stretch of layers that change little. In the last panel the line says how far the two models "
        "part. A cross marks a place that is no more alike than unrelated features, the same ones with the clips of "
        "one side shuffled; the hover says where their band ends.",
        formula(view.variant, "rbf" if estimator == "rbf" else "linear", unbiased=unbiased(view.variant, estimator)),
        "X and Y: the residual stream at two points, averaged over the chosen frames of each clip. "
        + estimator_note(view.variant, unbiased=unbiased(view.variant, estimator)),
    )


def _add_map(fig: go.Figure, i: int, one: Grid, *, leading: bool) -> None:
    p, q = one.value.shape
    where = {"xaxis": axis("x", i), "yaxis": axis("y", i)}
    fig.add_heatmap(
        z=one.value,
        customdata=_hover(one),
        hovertemplate="%{customdata}<extra></extra>",
        coloraxis="coloraxis",
        **where,
    )
    if p == q:  # dark on light: seen on every colour
        ends = {"x0": -0.5, "y0": -0.5, "x1": q - 0.5, "y1": p - 0.5, "xref": where["xaxis"], "yref": where["yaxis"]}
        fig.add_shape(type="line", line={"color": "rgba(255,255,255,0.75)", "width": 3}, **ends)
        fig.add_shape(type="line", line={"color": "#000000", "width": 1.5, "dash": "dot"}, **ends)
    at_row, at_column = np.nonzero(one.unrelated)
    size = min(9.0, 0.4 * _SQUARE / max(p, q))
    fig.add_scatter(
        x=at_column,
        y=at_row,
        mode="markers",
        marker={
            "symbol": "x-thin",
            "size": size,
            "line": {
                "width": 1.5,
                "color": ["#000000" if value > _BRIGHT else "#ffffff" for value in one.value[one.unrelated]],
            },
        },
        hoverinfo="skip",
        showlegend=False,
        **where,
    )
    panel_label(fig, i, f"<b>{one.title}</b>", shift=6)
    own = "point" if one.rows == one.columns else f"point of {ellipsis(one.columns.name, 20)}"
    fig.layout[axis("xaxis", i)].update(
        range=[-0.5, q - 0.5], tickvals=depth_ticks(q - 1, 8), title={"text": own}, showgrid=False
    )
    fig.layout[axis("yaxis", i)].update(
        range=[-0.5, p - 0.5], tickvals=depth_ticks(p - 1, 8), matches=None, showticklabels=True, showgrid=False
    )
    if leading:
        fig.layout[axis("yaxis", i)].title = {"text": "point"}


def _hover(one: Grid) -> list[list[str]]:
    p, q = one.value.shape
    return [[_cell(one, row, column) for column in range(q)] for row in range(p)]


def _cell(one: Grid, row: int, column: int) -> str:
    text = (
        f"<b>{one.rows.name}</b>, point {row}<br><b>{one.columns.name}</b>, point {column}<br>"
        f"{interval(one.value[row, column], one.low[row, column], one.high[row, column])}"
    )
    if np.isnan(one.null[row, column]):
        return text
    within = "no more alike than these" if one.unrelated[row, column] else "more alike"
    return f"{text}<br>unrelated: up to {three(one.null[row, column])} ({within})"


def _alt(one: Grid) -> str:
    known = np.isfinite(one.value)
    if not known.any():
        return f"{one.title}: not known."
    row, column = np.unravel_index(int(np.nanargmin(one.value)), one.value.shape)
    return (
        f"{one.title}: lowest {three(one.value[row, column])} at points {row} and {column}, "
        f"{int(one.unrelated.sum())} of {int(known.sum())} places no more alike than unrelated features."
    )
