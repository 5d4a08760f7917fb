"""The logit lens over depth: curves over clips, and what each class gets (Ma, Sang, Li, section 3.3, Fig. 2a)."""

from typing import Literal

import plotly.graph_objects as go

from core.analyses.tidy import Table
from core.emotions import canonical
from core.figures.clip.words import FORMULA
from core.figures.curves import MAX_LINES, Line, Panel, curves
from core.figures.depth_axis import DepthAxis
from core.figures.drawing import Drawing
from core.figures.groups import grouped
from core.figures.layout import axis, ellipsis
from core.figures.lens.answer import answer
from core.figures.say import listed
from core.figures.theme import RULE, class_order, emotion_styles
from core.figures.view import View

Measure = Literal["KL", "overlap", "accuracy", "UAR"]
CURVES = {"KL": "kl", "overlap": "overlap", "accuracy": "accuracy", "UAR": "uar"}
_TITLES = {
    "KL": "KL to the model's own answer",
    "overlap": "overlap with the model's own answer",
    "accuracy": "accuracy",
    "UAR": "UAR",
}
_UNITS = {"KL": "nats", "overlap": "share of clips", "accuracy": "share of clips", "UAR": "mean recall"}
_NEEDS_LABELS = ("accuracy", "UAR")
_MIDDLE = 0.06  # of the width between two columns whose y axes differ
BANDS = (
    "Shaded: 95 % intervals, Student t over speakers up to 19 of them, from 20 a bootstrap over speakers; of UAR a "
    "jackknife over speakers."
)
NOTES = {
    "published": "The head reads the raw residual stream h, averaged over the chosen frames F, without the final "
    "layer norm; so the last point need not be the model's own answer π, which is always over all frames.",
    "released": "As the authors' code: the head reads the raw residual stream h, and KL runs from the model's own "
    "answer π to the point. The last point need not be the model's own answer.",
    "corrected": "The head reads the residual stream h after the final layer norm LN, averaged over the chosen frames "
    "F. Over all frames the last point is the model's own answer π.",
}


def main(view: View, measure: Measure = "KL", *, difference: bool = False) -> Drawing:
    """KL, overlap, accuracy and UAR of each model, or of each minus the reference.

    With a split: `measure` alone, a panel a model, a line a group.
    """
    depth = DepthAxis.of(view.models, "point")
    if view.by:
        limits = None if difference or measure == "KL" else (-0.03, 1.03)
        figure, numbers = grouped(
            view,
            "lens",
            depth,
            "point",
            f"{measure}, {_UNITS[measure]}",
            difference=difference,
            limits=limits,
            statistic=CURVES[measure],
        )
    else:
        figure, rows = _four(view, depth, difference)
        numbers = {"": rows}
    # The marker that was pressed grows; Plotly's own way is to fade all others of its panel.
    pressed = {"selected": {"marker": {"size": 13}}, "unselected": {"marker": {"opacity": 1}}}
    figure.update_traces(pressed, selector={"mode": "lines+markers"})
    what = f", each model minus {view.reference.name}" if difference else ""
    return Drawing(
        figure,
        numbers,
        f"{measure if view.by else 'KL, overlap, accuracy and UAR'} of the lens over depth{what}. {answer(view)}",
        "Every point is what the model's own head would say there. KL 0 and overlap 1: it already says what the model "
        "will. Accuracy and UAR ask whether that is right; the dotted line is chance. "
        f"{BANDS}",
        r"\begin{gathered}"
        + r" \\ ".join(
            (
                FORMULA["layer_class_heatmaps"][view.variant],
                r"\mathrm{KL}: \; " + FORMULA["kl_curves"][view.variant],
                r"\text{overlap}: \; [\arg\max \pi_l = \arg\max \pi] \quad \text{accuracy}: \; [\arg\max \pi_l = y]",
                r"\mathrm{UAR} = \tfrac{1}{C} \sum_c \text{recall of class } c",
            )
        )
        + r"\end{gathered}",
        NOTES[view.variant],
    )


def _four(view: View, depth: DepthAxis, difference: bool) -> tuple[go.Figure, Table]:
    versus = view.reference.name if difference else None
    rows = view.table("lens").over_clips.pick(versus=versus, statistic=tuple(CURVES.values()))
    lines = [
        Line(
            model.name,
            f"{model.name}<br>{name}" + (f" minus {versus}" if versus else ""),
            view.styles[model.name],
            rows.curve(model=model.name, statistic=statistic),
            model.shape.layers,
            i,
            "point",
        )
        for i, (name, statistic) in enumerate(CURVES.items())
        for model in (view.others if difference else view.models)
    ]
    minus = f" − {view.reference.name}" if difference else ""
    panels = [
        Panel(
            f"{_TITLES[name]}{minus}",
            _UNITS[name],
            "" if name == "KL" else "share",
            zero=difference,
            range=None if difference or name == "KL" else (-0.03, 1.03),
        )
        for name in CURVES
    ]
    figure = curves(lines, panels, depth, columns=2, stacked=view.narrow, height=165)
    for i, name in enumerate(CURVES):
        y = figure.layout[axis("yaxis", i)]
        y.showticklabels = True
        y.title.text = _UNITS[name]
        if not view.narrow:
            left = i % 2 * (1 + _MIDDLE) / 2
            figure.layout[axis("xaxis", i)].domain = (left, left + (1 - _MIDDLE) / 2)
        if name in _NEEDS_LABELS:
            _say_labels(view, figure, i, rows, difference)
    return figure, rows


def _say_labels(view: View, figure: go.Figure, panel: int, rows: Table, difference: bool) -> None:
    """Chance as a dotted line; or why the panel stays empty."""
    where = {"xref": f"{axis('x', panel)} domain", "yref": axis("y", panel)}
    classes = {len(model.labels) for model in view.models}
    if len(rows.pick(statistic="kl")) and not len(rows.pick(statistic="accuracy")):
        where["yref"] += " domain"
        figure.add_annotation(text="no labels", x=0.5, y=0.6, showarrow=False, font={"size": 14}, **where)
    elif len(classes) == 1 and not difference:
        chance = 1 / classes.pop()
        line = {"color": RULE, "width": 1, "dash": "dot"}
        figure.add_shape(type="line", x0=0, x1=1, y0=chance, y1=chance, line=line, layer="below", **where)


def pointed(view: View, drawing: Drawing, trace: int, index: int, *, difference: bool = False) -> tuple[str, int, str]:
    """Model, point and group of a marker of `main`, by its place in the figure. Points begin at 0 in every line."""
    line = drawing.figure.data[trace]
    if not view.by:
        return line.legendgroup, index, ""
    panel = int(line.xaxis.removeprefix("x") or 1) - 1
    return (view.others if difference else view.models)[panel].name, index, line.legendgroup


def trajectories(view: View, group: str = "") -> Drawing:
    """What each class gets on average at each point, a panel a model; with a split over one group's clips.

    Of more than 7 classes, the 7 that rise highest anywhere.
    """
    depth = DepthAxis.of(view.models, "point")
    rows = view.table("lens", group).over_clips.pick(statistic="mean_prob", versus=None)
    found = [
        (canonical(label), i, model, rows.curve(model=model.name, component=label))
        for i, model in enumerate(view.models)
        for label in model.labels
    ]
    classes = class_order([label for model in view.models for label in model.labels])
    styles = emotion_styles(classes)
    peak = {
        name: max((curve.value.max(initial=0.0) for label, _, _, curve in found if label == name)) for name in classes
    }
    kept = sorted(classes, key=lambda name: -peak[name])[:MAX_LINES]
    lines = [
        Line(name, f"{model.name}<br>{name}", styles[name], curve, model.shape.layers, i, "point")
        for name in classes
        if name in kept
        for label, i, model, curve in found
        if label == name
    ]
    panels = [Panel(ellipsis(model.name, 24), "mean probability", "all", range=(-0.03, 1.03)) for model in view.models]
    whose = f" of {group} clips" if group else ""
    left_out = f" Of {len(classes)} classes, the {MAX_LINES} that rise highest." if len(classes) > MAX_LINES else ""
    return Drawing(
        curves(lines, panels, depth, columns=min(4, len(panels)), stacked=view.narrow, height=260),
        {group: rows},
        f"Mean probability{whose} of {listed(classes)} over depth, a panel a model.",
        "What the head would say at each depth, averaged over the clips"
        f"{whose}: over all classes' clips alike, a class that stays on top is a bias; split by emotion, you see where "
        f"in depth its clips are taken for what.{left_out} {BANDS}",
        FORMULA["layer_class_heatmaps"][view.variant].replace(r"\end{gathered}", "")
        + r" \\ \bar{\pi}_l(c) = \tfrac{1}{n} \sum_{\text{clips}} \pi_l(c) \end{gathered}",
        NOTES[view.variant],
    )
