"""Any curve split by groups of clips: a panel a model, a line a group; many groups as rows of a heatmap."""

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from core.analyses.tidy import Table, Wanted
from core.figures.curves import MAX_LINES, Line, Panel, curves, group_styles, interval
from core.figures.depth_axis import DepthAxis, Unit
from core.figures.layout import AXIS, TITLE, Panels, apply_layout, axis, color_bar, ellipsis, panel_label
from core.figures.view import View
from core.models.info import ModelInfo

_ROW = 20  # pixels of a heatmap's row
_BAR = 70  # and of the colour bar under it
_NAME = 18  # characters of a group


def grouped(
    view: View,
    analysis: str,
    depth: DepthAxis,
    kind: Unit,
    y: str,
    *,
    difference: bool = False,
    diverging: bool = False,
    limits: tuple[float, float] | None = None,
    **pick: Wanted,
) -> tuple[go.Figure, dict[str, Table]]:
    """The figure of one curve per group and model, and its rows by group.

    `pick` chooses the curve's rows beyond model and `versus`; `difference` takes those held against the reference.
    `diverging` values, as differences are, have a meaning on either side of zero.
    """
    models = view.others if difference else view.models
    versus = view.reference.name if difference else None
    numbers = {
        group: view.table(analysis, group).over_clips.pick(versus=versus, model=tuple(m.name for m in models), **pick)
        for group in view.groups
    }
    draw = _lines if len(numbers) <= MAX_LINES else _heatmaps
    return draw(view, numbers, models, depth, kind, y, difference or diverging, limits), numbers


def _lines(
    view: View,
    numbers: Mapping[str, Table],
    models: Sequence[ModelInfo],
    depth: DepthAxis,
    kind: Unit,
    y: str,
    diverging: bool,
    limits: tuple[float, float] | None,
) -> go.Figure:
    styles = group_styles(str(view.by), tuple(numbers))
    lines = [
        Line(
            group, f"{model.name}<br>{group}", styles[group], rows.curve(model=model.name), model.shape.layers, i, kind
        )
        for i, model in enumerate(models)
        for group, rows in numbers.items()
    ]
    panels = [Panel(ellipsis(model.name, 24), y, "all", zero=diverging, range=limits) for model in models]
    return curves(lines, panels, depth, columns=min(4, len(models)), stacked=view.narrow, height=300)


def _heatmaps(
    view: View,
    numbers: Mapping[str, Table],
    models: Sequence[ModelInfo],
    depth: DepthAxis,
    kind: Unit,
    y: str,
    diverging: bool,
    limits: tuple[float, float] | None,
) -> go.Figure:
    names = list(numbers)
    grid = Panels(len(models), _ROW * len(names), view.narrow, fixed_columns=min(4, len(models)))
    fig = grid.figure()
    found = [[numbers[name].curve(model=model.name) for name in names] for model in models]
    values = np.concatenate([curve.value for of in found for curve in of] or [np.empty(0)])
    values = values[np.isfinite(values)]
    low, high = limits or ((float(values.min()), float(values.max())) if values.size else (0.0, 1.0))
    if diverging:
        high = max(abs(low), abs(high)) or 1.0
        low = -high
    for i, (model, rows) in enumerate(zip(models, found, strict=True)):
        at = max((curve.at for curve in rows), key=len)
        fig.add_heatmap(
            x=depth.place(at, kind, model.shape.layers),
            y=list(range(len(names))),
            z=[curve.value if len(curve) == len(at) else np.full(len(at), np.nan) for curve in rows],
            customdata=[
                [
                    f"<b>{model.name}</b><br>{name}<br>{kind} {one}<br>{interval(v, a, b)}"
                    for one, v, a, b in zip(curve.at, curve.value, curve.low, curve.high, strict=True)
                ]
                for name, curve in zip(names, rows, strict=True)
            ],
            hovertemplate="%{customdata}<extra></extra>",
            coloraxis="coloraxis",
            xaxis=axis("x", i),
            yaxis=axis("y", i),
        )
        panel_label(fig, i, f"<b>{ellipsis(model.name, 24)}</b>", shift=6)
        depth.draw(fig, i, narrow=grid.narrow)
        fig.layout[axis("yaxis", i)].update(
            tickvals=list(range(len(names))), ticktext=[ellipsis(name, _NAME) for name in names], autorange="reversed"
        )
    height = TITLE + 4 + grid.plot_height + AXIS + _BAR
    left = 24 + 7 * max(len(ellipsis(name, _NAME)) for name in names)
    apply_layout(fig, height, legend_rows=0, top=TITLE, bottom=AXIS + _BAR, left=left, right=24)
    ticks = [low, (low + high) / 2, high]
    fig.update_layout(
        coloraxis={
            "cmin": low,
            "cmax": high,
            "colorscale": "RdBu_r" if diverging else "Cividis",
            "colorbar": color_bar(y, below=AXIS / grid.plot_height, ticks=ticks) | {"tickformat": ".2g"},
        },
        meta={"depth": True},
    )
    return fig
