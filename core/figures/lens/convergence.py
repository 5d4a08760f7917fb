"""Do the landmarks coincide? Contributions, KL, CKA and the landmarks of depth over one axis."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from core.analyses.request import Row
from core.analyses.tidy import EMPTY, Table
from core.figures.curves import Line, Panel, curves, interval
from core.figures.depth_axis import DepthAxis, Unit
from core.figures.drawing import Drawing
from core.figures.layout import AXIS, axis
from core.figures.lens.charts import BANDS, NOTES
from core.figures.say import listed
from core.figures.theme import GRID, with_alpha
from core.figures.view import View
from core.models.info import ModelInfo

_STRIP, _GAP, _ROW = 105, 34, 44  # pixels
_SHARE = 0.84  # of a row's height that its models take
_LEFT = 96  # room for the landmarks' names


@dataclass(frozen=True)
class _Landmark:
    """A row of the strip: its name, the statistic over clips, that of each clip, and where it comes from."""

    name: str
    statistic: str
    by_clip: str = ""
    analysis: str = "lens"
    kind: Unit = "point"
    compared: bool = True  # whether `coincide` asks for it


_LANDMARKS = (
    _Landmark("saturation", "saturation", "saturation"),
    _Landmark("critical layer", "critical_mean", "critical", compared=False),
    _Landmark("critical (accuracy)", "critical", compared=False),
    _Landmark("KL minimum", "kl_min"),
    _Landmark("commitment", "commitment", compared=False),
    _Landmark("CKA jump", "cka_jump"),
    _Landmark("strongest contribution", "strongest", analysis="contributions", kind="layer"),
)
_TEXTS = {
    "published": r"D_{KL}(\pi_l \,\|\, \pi)",
    "released": r"D_{KL}(\pi \,\|\, \pi_l)",
    "corrected": r"D_{KL}(\pi_l \,\|\, \pi)",
}


def convergence(view: View, group: str = "") -> Drawing:
    """Strips under each other over points of depth: contribution of attention + MLP, KL, CKA with the last point, and
    a row a landmark. With a split over one group's clips."""
    depth = DepthAxis.of(view.models, "point")
    whole, written = view.table("lens", group), view.table("contributions", group)
    lens = whole.over_clips
    strips: Sequence[tuple[str, str, Table, Unit]] = (
        (
            "contribution of attention + MLP",
            "‖a + m‖ / ‖h‖",
            written.pick(statistic="relative", component="sum", versus=None),
            "layer",
        ),
        ("KL to the model's own answer", "nats", lens.pick(statistic="kl", versus=None), "point"),
        ("CKA with the last point", "CKA", lens.pick(statistic="cka_to_last"), "point"),
    )
    lines = [
        Line(
            model.name,
            f"{model.name}<br>{title}",
            view.styles[model.name],
            rows.curve(model=model.name),
            model.shape.layers,
            i,
            kind,
        )
        for i, (title, _, rows, kind) in enumerate(strips)
        for model in view.models
    ]
    panels = [Panel(title, y) for title, y, _, _ in strips] + [Panel("landmarks", "")]
    marks = lens.pick(component="landmark"), written.pick(component="landmark", versus=None)
    figure = curves(lines, panels, depth, columns=1, stacked=view.narrow, height=_STRIP)
    for i, (_, _, rows, _) in enumerate(strips):
        if not np.isfinite(rows.columns["value"]).any():
            figure.layout[axis("yaxis", i)].range = (0, 1)
    _stack(figure, len(strips))
    own = whole.pick(component="landmark", statistic=("saturation", "critical"))
    for model in view.models:
        _add_clips(figure, view, depth, own, model, len(strips))
        _add_marks(figure, view, depth, model, group, len(strips))
    return Drawing(
        figure,
        {group: _together([*(rows for _, _, rows, _ in strips), *marks])},
        f"Contribution, KL, CKA with the last point and landmarks over one depth axis. {coincide(view, group)}",
        "All strips share the depth axis; what a layer writes stands half-way between its points. Markers are over "
        "clips, with their interval where there is one; the boxes behind saturation and critical layer are the clips' "
        "own (quartiles, whiskers to 1.5 times their distance), of those that have one. Landmarks that coincide stand "
        f"under each other. {BANDS}",
        r"\begin{gathered}"
        + r" \\ ".join(
            (
                r"\frac{\lVert a + m \rVert_2}{\lVert h \rVert_2} \qquad "
                + _TEXTS[view.variant]
                + r" \qquad \mathrm{CKA}(h_l, h_L)",
                r"\text{saturation: } \min \{ l : \hat{c}_k = \hat{c} \;\; \forall k \geq l \}",
                r"\text{critical: } \tfrac{\sum_l l \, s_l [s_l \geq 1/C]}{\sum_l s_l [s_l \geq 1/C]}",
                r"\text{commitment: } \min \{ l : \mathrm{KL}_k < 0.1 \max \mathrm{KL} \;\; \forall k \geq l \}",
            )
        )
        + r"\end{gathered}",
        f"{NOTES[view.variant]} s is the label's probability or the lens accuracy, ĉ the most probable class; CKA is "
        f"linear, over clips, {'unbiased' if view.variant == 'corrected' else 'biased'}.",
    )


def coincide(view: View, group: str = "") -> str:
    """For each model its landmarks in the order of depth, and how far apart they lie; empty before they are known."""
    depth = DepthAxis.of(view.models, "point")
    lines, close = [], []
    for model in view.models:
        places = {
            one.name: float(_places(depth, [row.value], one, model)[0])
            for one in _LANDMARKS
            if one.compared and (row := _row(view, one, model, group)) and row.value is not None
        }
        if len(places) < 2:
            continue
        ordered = sorted(places.items(), key=lambda pair: pair[1])
        apart = ordered[-1][1] - ordered[0][1]
        if apart <= (1 / model.shape.layers if depth.relative else 1):
            close.append(f"**{model.name}**")
        what = "of the depth" if depth.relative else "points"
        where = ", ".join(f"{name} {place:.3g}" for name, place in ordered)
        lines.append(f"- **{model.name}**: {where}: {apart:.3g} {what} apart")
    if not lines:
        return ""
    verdict = f"Within one layer of each other for {listed(close) if close else 'none of the models'}."
    return "\n".join([verdict, "", *lines])


def missing(view: View, group: str = "") -> str:
    """Which landmarks do not exist for which models, and why."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for landmark in _LANDMARKS:
        notes = {note.about: note.reason for note in view.table(landmark.analysis, group).notes}
        for model in view.models:
            reason = notes.get(f"{model.name} {landmark.statistic}")
            if reason:
                why = reason.removeprefix("None, because ")
                reasons.setdefault((landmark.name, why), []).append(model.name)
    return "  \n".join(f"No **{name}** for {listed(models)}: {why}" for (name, why), models in reasons.items())


def _row(view: View, landmark: _Landmark, model: ModelInfo, group: str) -> Row | None:
    return view.table(landmark.analysis, group).over_clips.one(
        component="landmark", statistic=landmark.statistic, model=model.name, versus=None
    )


def _places(
    depth: DepthAxis, values: Sequence[float | None] | np.ndarray, landmark: _Landmark, model: ModelInfo
) -> np.ndarray:
    return depth.place(np.array(values, dtype=np.float64), landmark.kind, model.shape.layers)


def _stack(figure: go.Figure, strips: int) -> None:
    """Strips of one height closely under each other, and the landmarks' below; the last one carries the depth axis."""
    rows = _ROW * len(_LANDMARKS)
    total = strips * (_STRIP + _GAP) + rows
    for i in range(strips + 1):
        top = total - i * (_STRIP + _GAP)
        x, y = figure.layout[axis("xaxis", i)], figure.layout[axis("yaxis", i)]
        y.domain = (max(0.0, (top - (_STRIP if i < strips else rows)) / total), top / total)
        if i < strips:
            x.update(showticklabels=False, title={"text": None})
        x.showgrid = True
        if i == strips:
            y.title.text = None
    margin = figure.layout.margin
    margin.update(l=_LEFT)
    figure.update_layout(height=margin.t + total + AXIS, boxmode="overlay")
    names = [one.name.replace(" ", "<br>", 1) if len(one.name) > 10 else one.name for one in _LANDMARKS]
    lines = [{"type": "line", "x0": 0, "x1": 1, "y0": i + 0.5, "y1": i + 0.5} for i in range(len(names) - 1)]
    where = {"xref": f"{axis('x', strips)} domain", "yref": axis("y", strips), "line": {"color": GRID, "width": 1}}
    for line in lines:
        figure.add_shape(**line, **where)
    figure.layout[axis("yaxis", strips)].update(
        range=[len(names) - 0.5, -0.5], tickvals=list(range(len(names))), ticktext=names, showgrid=False
    )


def _add_clips(figure: go.Figure, view: View, depth: DepthAxis, rows: Table, model: ModelInfo, panel: int) -> None:
    """The clips' own landmarks as light boxes behind their means."""
    style = view.styles[model.name]
    x, y = [np.empty(0)], [np.empty(0)]
    for i, landmark in enumerate(_LANDMARKS):
        if landmark.by_clip:
            columns = rows.pick(statistic=landmark.by_clip, model=model.name).columns
            own = columns["value"][(columns["clip_id"] != EMPTY) & np.isfinite(columns["value"])]
            x.append(_places(depth, own, landmark, model))
            y.append(np.full(len(own), _height(view, i, model)))
    figure.add_box(
        x=np.concatenate(x).astype(np.float32),
        y=np.concatenate(y).astype(np.float32),
        orientation="h",
        width=0.8 * _SHARE / len(view.models),
        boxpoints=False,
        fillcolor=with_alpha(style.color, 0.14),
        line={"color": with_alpha(style.color, 0.55), "width": 1},
        hoverinfo="skip",
        **_where(model, panel),
    )


def _add_marks(figure: go.Figure, view: View, depth: DepthAxis, model: ModelInfo, group: str, panel: int) -> None:
    """A model's marker in each landmark's row, with its interval where it has one."""
    style = view.styles[model.name]
    x, y, more, less, text = [], [], [], [], []
    for i, landmark in enumerate(_LANDMARKS):
        found = _row(view, landmark, model, group)
        if found is None or found.value is None:
            continue
        low, high = (np.nan if bound is None else bound for bound in (found.ci_low, found.ci_high))
        at, start, end = _places(depth, [found.value, low, high], landmark, model).tolist()
        x.append(at)
        y.append(_height(view, i, model))
        more.append(end - at if np.isfinite(end) else 0.0)
        less.append(at - start if np.isfinite(start) else 0.0)
        what = f"{landmark.name}: {landmark.kind} {interval(found.value, low, high)}"
        text.append(f"<b>{model.name}</b><br>{what}<br>{found.n} clips")
    error = {"type": "data", "symmetric": False, "array": more, "arrayminus": less}
    figure.add_scatter(
        x=x,
        y=y,
        mode="markers",
        marker={"symbol": style.symbol, "color": style.color, "size": 9, "line": {"color": style.edge, "width": 1}},
        error_x=error | {"color": style.color, "thickness": 1.5, "width": 3},
        customdata=text,
        hovertemplate="%{customdata}<extra></extra>",
        cliponaxis=False,
        **_where(model, panel),
    )


def _height(view: View, row: int, model: ModelInfo) -> float:
    """Models of a row lie under each other."""
    return row + _SHARE / len(view.models) * (view.models.index(model) - (len(view.models) - 1) / 2)


def _where(model: ModelInfo, panel: int) -> dict[str, object]:
    axes = {"xaxis": axis("x", panel), "yaxis": axis("y", panel)}
    return axes | {"legendgroup": model.name, "showlegend": False}


def _together(tables: Sequence[Table]) -> Table:
    """The rows of several tables under each other."""
    return Table.of([row for table in tables for row in table.rows()])
