"""Curves with their intervals over depth, in panels of one figure: what most corpus charts are made of."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from core.analyses.tidy import Curve
from core.figures.depth_axis import DepthAxis, Unit
from core.figures.layout import AXIS, LEGEND_ROW, TITLE, WIDE_LEFT, Panels, apply_layout, axis, ellipsis, panel_label
from core.figures.layout import number as three
from core.figures.theme import RULE, Style, emotion_styles, with_alpha

LEGEND_NAME = 38  # characters
_BAND = 0.16  # opacity of an interval
_GROUPS = (  # of clips that are no emotions; readable on both backgrounds, told apart by colour-blind readers
    Style("#0072b2", "#0072b2", "circle"),
    Style("#d55e00", "#d55e00", "square"),
    Style("#009e73", "#009e73", "diamond"),
    Style("#cc79a7", "#a5608a", "triangle-up"),
    Style("#9a7b1f", "#9a7b1f", "cross"),
    Style("#56b4e9", "#3d7fa5", "star"),
    Style("#8c8c8c", "#707070", "hexagon"),
)
MAX_LINES = len(_GROUPS)


@dataclass(frozen=True, eq=False)
class Line:
    """A curve in panel number `panel`. `name` is its entry in the legend, `what` the first line of its hover label.

    `kind` says whether the curve is over layers or over points, `layers` how deep its model is.
    """

    name: str
    what: str
    style: Style
    curve: Curve
    layers: int
    panel: int = 0
    kind: Unit = "layer"
    band: bool = True


@dataclass(frozen=True)
class Panel:
    """A panel's title and y axis. Panels with the same `scale` share their y range; `zero` draws the zero line."""

    title: str
    y: str
    scale: str = ""
    zero: bool = False
    range: tuple[float, float] | None = None


def curves(
    lines: Sequence[Line],
    panels: Sequence[Panel],
    depth: DepthAxis,
    *,
    columns: int,
    stacked: bool = False,
    height: int = 230,
) -> go.Figure:
    """Lines in a grid of panels, `columns` a row, or all under each other; `height` is one panel's in pixels.

    Lines without values leave their panel empty, so that nothing moves when they come.
    """
    grid = Panels(len(panels), height, stacked, fixed_columns=columns)
    fig = grid.figure()
    scales: dict[str, int] = {}
    for i, panel in enumerate(panels):
        first = scales.setdefault(panel.scale or str(i), i)
        y = fig.layout[axis("yaxis", i)]
        y.update(matches=None if first == i else axis("y", first), range=panel.range)
        new_scale = i > 0 and panels[i - 1].scale != panel.scale
        y.showticklabels = i in grid.leading() or new_scale or not panel.scale
        if i in grid.leading():
            y.title = {"text": panel.y}
        panel_label(fig, i, f"<b>{panel.title}</b>", shift=6)
        depth.draw(fig, i, narrow=grid.narrow)
        if panel.zero:
            ends = {"x0": 0, "x1": 1, "y0": 0, "y1": 0}
            where = {"xref": f"{axis('x', i)} domain", "yref": axis("y", i)}
            fig.add_shape(type="line", line={"color": RULE, "width": 1}, **ends, **where)
    for line in lines:
        if line.band:
            _add_band(fig, line, depth)
    for line in lines:
        _add_line(fig, line, depth)
    names = {line.name for line in lines}
    # no line yet: groups of clips are coming, and nothing should move when they do
    rows = legend_rows(list(names), narrow=stacked) if len(names) > 1 else int(not names)
    total = rows * LEGEND_ROW + TITLE + 4 + grid.plot_height + AXIS
    apply_layout(fig, total, legend_rows=rows, top=TITLE, left=WIDE_LEFT - 14)
    fig.update_layout(meta={"depth": True})
    return fig


def group_styles(by: str, groups: Sequence[str]) -> dict[str, Style]:
    """A style for each group of clips; emotions keep theirs."""
    if by == "emotion":
        found = emotion_styles(groups)
        return {name: found[name] for name in groups}
    return {name: _GROUPS[i % MAX_LINES] for i, name in enumerate(groups)}


def hover(what: str, kind: Unit, curve: Curve) -> list[str]:
    """Hover labels: what it is, where, its value and interval."""
    return [
        f"<b>{what}</b><br>{kind} {at}<br>{interval(value, low, high)}"
        for at, value, low, high in zip(curve.at, curve.value, curve.low, curve.high, strict=True)
    ]


def interval(value: float, low: float, high: float) -> str:
    """`0.212 [0.180, 0.240]`; without the brackets where there is no interval."""
    return f"{three(value)} [{three(low)}, {three(high)}]" if np.isfinite(low) and np.isfinite(high) else three(value)


def legend_rows(names: Sequence[str], *, narrow: bool) -> int:
    """Rows that these entries take: where one is not enough, Plotly gives each the longest one's width."""
    lengths, width = [len(ellipsis(name, LEGEND_NAME)) + 9 for name in names], 48 if narrow else 150
    if sum(lengths) <= width:
        return 1
    return -(-len(lengths) // max(1, width // max(lengths)))


def _add_band(fig: go.Figure, line: Line, depth: DepthAxis) -> None:
    curve = line.curve
    there = np.isfinite(curve.low) & np.isfinite(curve.high)
    if there.sum() < 2:
        return
    x = depth.place(curve.at[there], line.kind, line.layers)
    fig.add_scatter(
        x=np.concatenate([x, x[::-1]]),
        y=np.concatenate([curve.high[there], curve.low[there][::-1]]),
        mode="lines",
        line={"width": 0},
        fill="toself",
        fillcolor=with_alpha(line.style.color, _BAND),
        legendgroup=line.name,
        showlegend=False,
        hoverinfo="skip",
        xaxis=axis("x", line.panel),
        yaxis=axis("y", line.panel),
    )


def _add_line(fig: go.Figure, line: Line, depth: DepthAxis) -> None:
    style = line.style
    marker = {"symbol": style.symbol, "color": style.color, "size": 7, "line": {"color": style.edge, "width": 1}}
    fig.add_scatter(
        x=depth.place(line.curve.at, line.kind, line.layers),
        y=line.curve.value,
        mode="lines+markers",
        name=ellipsis(line.name, LEGEND_NAME),
        legendgroup=line.name,
        line={"color": style.color, "width": 2.5, "dash": style.dash},
        marker={**marker, "maxdisplayed": 13},
        customdata=hover(line.what, line.kind, line.curve),
        hovertemplate="%{customdata}<extra></extra>",
        showlegend=not any(trace.legendgroup == line.name and trace.showlegend is not False for trace in fig.data),
        xaxis=axis("x", line.panel),
        yaxis=axis("y", line.panel),
    )
