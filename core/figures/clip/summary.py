"""The clip in short: each model's final class probabilities, and how far the lens is from them at each depth."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from core.emotions import canonical
from core.figures.clip.views import ClipView, Row, classes, need_views, styles
from core.figures.layout import AXIS, LEGEND_ROW, apply_layout, depth_ticks, ellipsis
from core.figures.layout import number as three
from core.figures.theme import GRID, Style

_STEP = 17  # pixels between two models of one class: markers of 11 never touch


def final_probabilities(views: Sequence[ClipView], *, label: str | None = None, stacked: bool = False) -> go.Figure:
    """Final class probabilities: one band per class with one dot per model; `label` marks the clip's class.

    `stacked`, for narrow screens, keeps room for one model a row in the legend.
    """
    need_views(views)
    names = classes(views)
    label = None if label is None else canonical(label)
    band = _STEP * len(views) + 14
    fig = go.Figure()
    for row in range(1, len(names)):
        fig.add_hline(y=row - 0.5, line={"color": GRID, "width": 1}, layer="below")
    for i, (view, style) in enumerate(zip(views, styles(views), strict=True)):
        offset = (i - (len(views) - 1) / 2) * _STEP / band
        rows = [names.index(name) + offset for name in view.names]
        stems = [(x, y) for y, p in zip(rows, view.final, strict=True) for x, y in ((0.0, y), (float(p), y), (None, y))]
        fig.add_scatter(
            x=[x for x, _ in stems],
            y=[y for _, y in stems],
            mode="lines",
            line={"color": style.color, "width": 2, "dash": style.dash},
            legendgroup=str(i),
            showlegend=False,
            hoverinfo="skip",
        )
        fig.add_scatter(
            x=view.final,
            y=rows,
            mode="markers",
            name=ellipsis(view.model, 30),
            legendgroup=str(i),
            marker=_marker(style, 11),
            customdata=list(view.names),
            hovertemplate=f"<b>{view.model}</b><br>%{{customdata}} %{{x:.3g}}<extra></extra>",
            cliponaxis=False,
        )
    ticks = [f"<b>{name} (label)</b>" if name == label else name for name in names]
    fig.update_yaxes(
        range=[len(names) - 0.5, -0.5],
        tickvals=list(range(len(names))),
        ticktext=ticks,
        ticklabelstandoff=10,  # a marker at 0 reaches over the axis
        showgrid=False,
    )
    fig.update_xaxes(range=[0, 1.02], tickvals=[0, 0.25, 0.5, 0.75, 1], title={"text": "probability"})
    left = 26 + 7 * max(len(name) + (8 if name == label else 0) for name in names)
    legend = len(views) if stacked else 1
    return apply_layout(fig, legend * LEGEND_ROW + 4 + band * len(names) + AXIS, legend_rows=legend, left=left)


def kl_curves(views: Sequence[ClipView], *, stacked: bool = False, panel: int = 260) -> go.Figure:
    """Divergence of the lens from the model's own prediction at each point, one line per model; a diamond marks where
    the prediction settles.

    Linear from zero, in nats: the end of the corrected lens is exactly 0, which a log axis cannot show, and "nearly
    there" (a tenth of the maximum) is a height on it. Models of different depth are drawn over relative depth.
    `stacked`, for narrow screens, keeps room for one model a row in the legend.
    """
    need_views(views)
    same = len({view.last for view in views}) == 1
    fig = go.Figure()
    for view, style in zip(views, styles(views), strict=True):
        depth = np.arange(view.last + 1) / (1 if same else view.last)
        points = list(range(view.last + 1))
        hover = f"<b>{view.model}</b><br>point %{{customdata}}<br>%{{y:.3g}} nats<extra></extra>"
        fig.add_scatter(
            x=depth,
            y=view.kl,
            mode="lines+markers",
            name=ellipsis(view.model, 30),
            legendgroup=view.model,
            line={"color": style.color, "width": 2.5, "dash": style.dash},
            marker={**_marker(style, 8), "maxdisplayed": 17},
            customdata=points,
            hovertemplate=hover,
        )
        if view.saturation is not None:
            fig.add_scatter(
                x=[depth[view.saturation]],
                y=[view.kl[view.saturation]],
                mode="markers",
                name=f"{view.model} settles",
                legendgroup=view.model,
                showlegend=False,
                marker={**_marker(style, 15), "symbol": "diamond-open", "line": {"color": style.edge, "width": 2.5}},
                customdata=[view.saturation],
                hovertemplate=hover.replace("<extra>", "<br>the prediction settles here<extra>"),
                cliponaxis=False,
            )
    if same:
        last = views[0].last
        pad = 0.03 * last
        fig.update_xaxes(range=[-pad, last + pad], tickvals=depth_ticks(last, 10), title={"text": "depth (point)"})
    else:
        fig.update_xaxes(range=[-0.03, 1.03], title={"text": "relative depth (point / layers)"})
    highest = max((float(np.nanmax(view.kl)) for view in views if np.isfinite(view.kl).any()), default=1.0)
    fig.update_yaxes(range=[-0.04 * highest, 1.06 * highest], title={"text": "KL divergence (nats)"}, nticks=6)
    legend = len(views) if stacked else 1
    return apply_layout(fig, legend * LEGEND_ROW + 4 + panel + AXIS, legend_rows=legend)


def _marker(style: Style, size: int) -> dict[str, object]:
    """A model's marker. An open one is its outline, so that one is drawn heavier."""
    width = 2 if style.symbol.endswith("-open") else 1
    return {"symbol": style.symbol, "size": size, "color": style.color, "line": {"color": style.edge, "width": width}}


def final_probabilities_alt(views: Sequence[ClipView]) -> str:
    """One sentence: what each model predicts, and how surely."""
    need_views(views)
    parts = [f"{v.model} predicts {v.predicted[0]} with probability {three(v.predicted[1])}" for v in views]
    return f"Final class probabilities: {'; '.join(parts)}."


def kl_curves_alt(views: Sequence[ClipView]) -> str:
    """One sentence: where each model's divergence is largest, and what is left at the last point."""
    need_views(views)
    parts = [
        f"{v.model} is furthest at point {int(np.nanargmax(v.kl))} ({three(float(np.nanmax(v.kl)))} nats) "
        f"and ends at {three(float(v.kl[-1]))}"
        if np.isfinite(v.kl).any()
        else f"{v.model} is undefined"
        for v in views
    ]
    return f"Divergence between each layer's reading and the model's own prediction: {'; '.join(parts)}."


def final_probabilities_table(views: Sequence[ClipView]) -> list[Row]:
    """One row per model and class."""
    return [
        {"model": v.model, "class": name, "probability": float(p)}
        for v in views
        for name, p in zip(v.names, v.final, strict=True)
    ]


def kl_curves_table(views: Sequence[ClipView]) -> list[Row]:
    """One row per model and point; `settles` is 1 at the saturation point."""
    return [
        {"model": v.model, "point": point, "kl_nats": float(value), "settles": int(point == v.saturation)}
        for v in views
        for point, value in enumerate(v.kl)
    ]
