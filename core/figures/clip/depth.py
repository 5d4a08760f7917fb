"""Class probabilities over depth: trajectories (the page's main chart) and the same numbers as heatmaps."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from core.emotions import canonical
from core.figures.clip.views import ClipView, Row, classes, need_views, styles
from core.figures.layout import (
    AXIS,
    LEFT,
    LEGEND_ROW,
    TITLE,
    WIDE_LEFT,
    Panels,
    apply_layout,
    axis,
    color_bar,
    depth_ticks,
    panel_label,
    titles,
)
from core.figures.layout import number as three
from core.figures.theme import OTHER_CLASSES, PROBABILITY_SCALE, RULE, SHADE, Style, emotion_styles

MAX_LINES = 7
OTHER = "other classes"  # no class name: corpora do have one called "other"
_DEPTH = "depth (point)"


def final_x(last: int, narrow: bool) -> float:
    """Where the model's own prediction stands on the depth axis: right of the last point, clear of its tick label."""
    return last + _gap(last, narrow)


def _gap(last: int, narrow: bool) -> float:
    """Width of the strip for the model's own prediction, and its distance from the last point."""
    return max(2.0, 0.24 * last) if narrow else max(1.0, 0.18 * last)


def trajectories(
    views: Sequence[ClipView], *, stacked: bool = False, label: str | None = None, panel: int = 300
) -> go.Figure:
    """Lens class probabilities over points 0..L, one panel per model, all on the same 0..1.

    One line per class; the model's own probabilities stand apart at the right end, and a thin line marks the
    saturation point. `label` draws the clip's labelled class thicker. `stacked` puts the panels under each
    other for narrow screens, `panel` is a panel's height in pixels. With more than 7 classes the six that rise highest
    anywhere (the label's always) keep their lines and the rest is summed into one.
    """
    need_views(views)
    panels = Panels(len(views), panel, stacked)
    fig = panels.figure()
    label = None if label is None else canonical(label)
    shown, rest = _split_classes(views, label)
    named = titles([v.model for v in views], [s.color for s in styles(views)], panels.title_characters())
    drawn = (*shown, OTHER) if rest else shown
    looks = {**emotion_styles(classes(views)), OTHER: OTHER_CLASSES}
    place = {name: 0.7 * ((j + 0.5) / len(drawn) - 0.5) for j, name in enumerate(drawn)}
    for i, view in enumerate(views):
        for name in drawn:
            values, own = _series(view, name, rest)
            if values is not None:
                where = final_x(view.last, panels.narrow) + place[name] * _gap(view.last, panels.narrow)
                shown_as = f"{len(rest)} {OTHER}" if name == OTHER else name
                _add_class(fig, i, view, shown_as, looks[name], (values, own), where, thick=name == label)
        panel_label(fig, i, named[i])
        _add_saturation(fig, i, view, panels.narrow)
        _depth_axis(fig, i, view.last, panels.narrow)
    fig.update_yaxes(range=[-0.03, 1.03], tickvals=[0, 0.25, 0.5, 0.75, 1])
    for i in panels.leading():
        fig.layout[axis("yaxis", i)].title = {"text": "probability"}
    rows = 2 if stacked else 1
    height = rows * LEGEND_ROW + TITLE + 4 + panels.plot_height + AXIS
    return apply_layout(fig, height, legend_rows=rows, top=TITLE, left=LEFT if stacked else WIDE_LEFT)


def _split_classes(views: Sequence[ClipView], label: str | None) -> tuple[tuple[str, ...], frozenset[str]]:
    """Classes with a line of their own, and those summed into one so that no panel has more than `MAX_LINES`."""
    names = classes(views)
    if len(names) <= MAX_LINES:
        return names, frozenset()
    peak = {
        name: max(
            float(np.nan_to_num([*v.probabilities[:, c], v.final[c]]).max())
            for v in views
            if (c := v.of(name)) is not None
        )
        for name in names
    }
    kept = set(sorted(names, key=lambda name: (name != label, -peak[name]))[: MAX_LINES - 1])
    return tuple(name for name in names if name in kept), frozenset(names) - kept


def _series(view: ClipView, name: str, rest: frozenset[str]) -> tuple[np.ndarray | None, float]:
    """A class's probabilities over points and its final one; for `OTHER` the sums over `rest`."""
    index = [i for i, n in enumerate(view.names) if (n in rest if name == OTHER else n == name)]
    if not index:
        return None, 0.0
    return view.probabilities[:, index].sum(axis=1), float(view.final[index].sum())


def _add_class(
    fig: go.Figure,
    i: int,
    view: ClipView,
    name: str,
    style: Style,
    probabilities: tuple[np.ndarray, float],
    final_at: float,
    *,
    thick: bool,
) -> None:
    values, own = probabilities
    marker = {"symbol": style.symbol, "color": style.color, "line": {"color": style.edge, "width": 1}}
    axes = {"xaxis": axis("x", i), "yaxis": axis("y", i), "legendgroup": name}
    fig.add_scatter(
        x=np.arange(len(values)),
        y=values,
        mode="lines+markers",
        name=f"{name} (label)" if thick else name,
        line={"color": style.color, "width": 4 if thick else 2.5, "dash": style.dash},
        marker={**marker, "size": 8, "maxdisplayed": 13},
        hovertemplate=f"<b>{view.model}</b><br>point %{{x}}<br>{name} %{{y:.3g}}<extra></extra>",
        showlegend=not any(trace.legendgroup == name for trace in fig.data),
        **axes,
    )
    fig.add_scatter(
        x=[final_at],  # side by side: small probabilities would hide each other
        y=[own],
        mode="markers",
        name=f"{name}, model",
        marker={**marker, "size": 10},
        hovertemplate=f"<b>{view.model}</b><br>the model's own prediction<br>{name} %{{y:.3g}}<extra></extra>",
        showlegend=False,
        cliponaxis=False,
        **axes,
    )


def _add_saturation(fig: go.Figure, i: int, view: ClipView, narrow: bool) -> None:
    """A thin line where the prediction settles, its label above the panel, where no data can be."""
    if view.note:
        panel_label(fig, i, view.note, shift=2, size=12)
        return
    if view.saturation is None:
        panel_label(fig, i, "never settles on the model's answer", shift=2, size=12)
        return
    axes = {"xref": axis("x", i), "yref": f"{axis('y', i)} domain"}
    fig.add_shape(
        type="line",
        x0=view.saturation,
        x1=view.saturation,
        y0=0,
        y1=1,
        line={"color": RULE, "width": 1.5, "dash": "dot"},
        layer="below",
        **axes,
    )
    share = view.saturation / final_x(view.last, narrow)
    fig.add_annotation(
        text=f"settles at {view.saturation}",
        x=view.saturation,
        y=1,
        xanchor="left" if share < 0.3 else "right" if share > 0.7 else "center",
        yanchor="bottom",
        yshift=2,
        showarrow=False,
        font={"size": 12},
        **axes,
    )


def _depth_axis(fig: go.Figure, i: int, last: int, narrow: bool) -> None:
    end, strip = final_x(last, narrow), _gap(last, narrow)
    ticks = depth_ticks(last, 4 if narrow else 6)
    fig.layout[axis("xaxis", i)].update(
        range=[-0.04 * end, end + strip / 2],
        tickvals=[*ticks, end],
        ticktext=[*map(str, ticks), "model"],
        title={"text": _DEPTH},
        hoverformat="d",
    )
    fig.add_shape(
        type="rect",
        x0=end - strip / 2,
        x1=end + strip / 2,
        y0=0,
        y1=1,
        fillcolor=SHADE,
        line_width=0,
        layer="below",
        xref=axis("x", i),
        yref=f"{axis('y', i)} domain",
    )


def layer_class_heatmaps(views: Sequence[ClipView], *, stacked: bool = False) -> go.Figure:
    """The same numbers as `trajectories`: points across, classes down, colour is probability, 0..1 in every panel.

    The model's own probabilities are the separate column at the right.
    """
    need_views(views)
    names = classes(views)
    panels = Panels(len(views), max(90, 30 * len(names)), stacked)
    fig = panels.figure()
    named = titles([v.model for v in views], [s.color for s in styles(views)], panels.title_characters())
    for i, view in enumerate(views):
        index = [view.of(name) for name in names]
        table = np.array([np.full(view.last + 1, np.nan) if c is None else view.probabilities[:, c] for c in index])
        own = np.array([[np.nan] if c is None else [view.final[c]] for c in index])
        end = final_x(view.last, panels.narrow)
        half = _gap(view.last, panels.narrow) / 4
        shared = {
            "y": list(names),
            "coloraxis": "coloraxis",
            "xaxis": axis("x", i),
            "yaxis": axis("y", i),
            "hoverongaps": False,
        }
        where = f"<b>{view.model}</b><br>%{{y}} %{{z:.3g}}<br>"
        fig.add_heatmap(
            x=np.arange(view.last + 1), z=table, hovertemplate=f"{where}point %{{x}}<extra></extra>", **shared
        )
        fig.add_heatmap(
            x=[end - half, end + half],
            z=own,
            hovertemplate=f"{where}the model's own prediction<extra></extra>",
            **shared,
        )
        panel_label(fig, i, named[i], shift=4)
        ticks = depth_ticks(view.last, 4 if panels.narrow else 6)
        fig.layout[axis("xaxis", i)].update(
            range=[-0.5, end + 2 * half],
            tickvals=[*ticks, end],
            ticktext=[*map(str, ticks), "model"],
            title={"text": _DEPTH},
            showgrid=False,
        )
    bar = 62
    height = TITLE + 4 + panels.plot_height + AXIS + bar
    fig.update_yaxes(autorange="reversed", showgrid=False)
    fig.update_layout(
        coloraxis={
            "colorscale": PROBABILITY_SCALE,
            "cmin": 0,
            "cmax": 1,
            "colorbar": color_bar(
                "probability",
                below=(AXIS + 4) / panels.plot_height,
                ticks=(0, 0.25, 0.5, 0.75, 1),
                share=1 if stacked else 0.4,
            ),
        }
    )
    return apply_layout(fig, height, legend_rows=0, top=TITLE, bottom=AXIS + bar, left=WIDE_LEFT)


def trajectories_alt(views: Sequence[ClipView]) -> str:
    """One sentence for who cannot see the chart: each model's prediction and where it settles."""
    need_views(views)
    parts = []
    for view in views:
        name, probability = view.predicted
        settles = "never settles on it" if view.saturation is None else f"settles at point {view.saturation}"
        parts.append(f"{view.model} predicts {name} ({three(probability)}) and {settles} of {view.last}")
    return f"Class probabilities read from each layer of {_count(views)}: {'; '.join(parts)}."


def layer_class_heatmaps_alt(views: Sequence[ClipView]) -> str:
    """One sentence: where each model's leading class over depth changes."""
    need_views(views)
    parts = []
    for view in views:
        best = view.probabilities.argmax(axis=1)
        starts = [0, *(np.flatnonzero(np.diff(best)) + 1)]
        runs = ", ".join(f"{view.names[best[start]]} from point {start}" for start in starts)
        parts.append(f"{view.model}: {runs}")
    return f"Heatmaps of class probability by depth, most probable class of {_count(views)}: {'; '.join(parts)}."


def _count(views: Sequence[ClipView]) -> str:
    return f"{len(views)} model{'s' if len(views) > 1 else ''}"


def trajectories_table(views: Sequence[ClipView]) -> list[Row]:
    """The chart's numbers, one row per model, point and class; point None is the model's own prediction."""
    return [
        {"model": view.model, "point": point, "class": name, "probability": float(value)}
        for view in views
        for point, row in [*enumerate(view.probabilities), (None, view.final)]
        for name, value in zip(view.names, row, strict=True)
    ]


layer_class_heatmaps_table = trajectories_table
