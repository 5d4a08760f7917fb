"""How well emotions are separated in A's outputs, rank by rank over depth (Ma, Sang, Li, section 3.4)."""

from dataclasses import replace

from core.analyses.request import Variant
from core.figures.curves import Line, Panel, curves
from core.figures.depth_axis import DepthAxis
from core.figures.drawing import Drawing
from core.figures.ranks.chosen import curve, pairs
from core.figures.ranks.verdicts import ALL, METRICS, Metric, verdicts
from core.figures.theme import FROZEN_COLOR, Dash, Style
from core.figures.view import View

CONTROL = "shuffled labels"
BANDS = "Shaded: 95 % intervals, Student t over speakers up to 19 of them, from 20 a bootstrap over speakers."
_CONTROL_STYLE = Style(FROZEN_COLOR, FROZEN_COLOR, "line-ew", "dot")
_PAIRS = 3
_DASHES: tuple[Dash, ...] = ("solid", "dash", "dot", "longdashdot")
_FORMULA = (
    r"\begin{gathered} s_i = \frac{b_i - a_i}{\max(a_i, b_i)} \qquad \text{purity}_i = \tfrac{1}{10} \sum_{j \in "
    r"N_{10}(i)} [y_j = y_i] \\ \mathrm{UAR} = \tfrac{1}{C} \sum_c \text{recall of class } c \text{ by a linear probe} "
    r"\end{gathered}"
)


def separation(view: View, target: str, of: str = ALL) -> Drawing:
    """Silhouette, kNN purity and probe UAR over layers, a line a rank; below, higher minus lower rank.

    `of` an emotion: the same of its clips alone, with the probe's recall in UAR's place.
    """
    rows = view.table("ranks").over_clips
    one = None if of == ALL else of
    lines, panels = [], []
    for i, metric in enumerate(METRICS):
        title, unit = metric.named(one)
        panels.append(Panel(title, unit, metric.name))
        for model in view.models:
            found = curve(rows, model, target, metric.statistic(one), one)
            what = f"{model.name}<br>{title}"
            lines.append(Line(model.name, what, view.styles[model.name], found, model.shape.layers, i))
            if metric.control and one is None:
                shuffled = curve(rows, model, target, metric.control)
                control = Line(
                    CONTROL, f"{what}<br>{CONTROL}", _CONTROL_STYLE, shuffled, model.shape.layers, i, band=False
                )
                lines.append(control)
    for i, metric in enumerate(METRICS, len(METRICS)) if len(view.models) > 1 else ():
        panels.append(Panel(f"{metric.named(one)[0]}: more rank", "difference", f"{metric.name} difference", zero=True))
        lines += _differences(view, metric, target, one, i)
    depth = DepthAxis.of(view.models, "layer")
    figure = curves(lines, panels, depth, columns=len(METRICS), stacked=view.narrow, height=165)
    names = tuple(metric.statistic(one) for metric in METRICS) + tuple(m.control for m in METRICS if m.control)
    numbers = rows.pick(statistic=names, component=one)
    whose = "all clips" if one is None else f"{of} clips"
    return Drawing(
        figure,
        {"": numbers},
        f"Separation of emotions over layers, {whose}. {' '.join(verdicts(view, target, one))}",
        "All are measured in the space of A's outputs, never in the map. Silhouette: 1 where a clip is among its own, "
        "0 between two emotions, below 0 among others. Purity: share of a clip's 10 nearest clips of other speakers "
        "that have its emotion. Probe: a linear classifier that never heard the speaker; grey, the same on shuffled "
        "labels. Where a band of the lower row leaves zero, two ranks differ; of many layers one in twenty does so by "
        f"chance. {BANDS}",
        _FORMULA,
        _note(view.variant),
    )


def _differences(view: View, metric: Metric, target: str, of: str | None, panel: int) -> list[Line]:
    rows = view.table("ranks").over_clips
    place = {model.name: i for i, model in enumerate(view.models)}
    found = []
    every = pairs(view.models)
    # of many ranks only the differences to the lowest: more lines than that can't be told apart
    for lower, higher in every if len(every) <= _PAIRS else [one for one in every if one[0] is view.models[0]]:
        name = f"{higher.name} − {lower.name}"
        style = replace(view.styles[higher.name], dash=_DASHES[place[lower.name] % len(_DASHES)])
        difference = curve(rows, higher, target, metric.statistic(of), of, lower.name)
        what = f"{name}<br>{metric.named(of)[0]}"
        found.append(Line(name, what, style, difference, higher.shape.layers, panel))
    return found


def _note(variant: Variant) -> str:
    rows = (
        "Corrected: a clip's row is A's output averaged over the chosen frames, standardised."
        if variant == "corrected"
        else "A clip's row is A's output flattened over all frames, padding included, and standardised."
    )
    return (
        f"{rows} a: mean distance to clips of its emotion, b: to those of the nearest other one. Values are computed "
        "clip by clip once, then averaged; differences are paired clip by clip."
    )
