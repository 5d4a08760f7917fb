"""CKA of A with B in every module, trained and untrained (Ma, Sang, Li, section 3.6, Fig. 3e-f)."""

from dataclasses import replace

import numpy as np
import plotly.graph_objects as go

from core.analyses.cka_result import Kernel
from core.analyses.tidy import Curve, Table
from core.figures.adapters import adapters, untrained_style
from core.figures.curves import Line, Panel, curves
from core.figures.depth_axis import DepthAxis
from core.figures.drawing import Drawing
from core.figures.groups import grouped
from core.figures.layout import ellipsis
from core.figures.similarity.answer import answer
from core.figures.similarity.rows import Series, series, y_range
from core.figures.similarity.words import BANDS, NULL, NULL_STYLE, UNRELATED, caution, estimator_note, formula
from core.figures.theme import INK, Style
from core.figures.view import View

_ROW = 160  # pixels of a panel where there are two rows of them
_ALONE = 320  # and where there is one
_MOST = 4  # panels side by side
_UNKNOWN = np.full(1, np.nan)
_NOWHERE = Curve(np.zeros(1, dtype=np.int64), _UNKNOWN, _UNKNOWN, _UNKNOWN, 0)


def alignment(
    view: View, kernel: Kernel, target: str, chosen: str = "activations", *, unrelated: bool = True
) -> Drawing:
    """CKA per module of one target, activations above gradients, a column an adapter; at least one must be there.

    With a split: the `chosen` series alone, a line a group. Without `unrelated` the y axis is that of the lines alone.
    """
    every = series(view.variant, kernel)
    if view.by:
        figure, numbers = _split(view, every[chosen], target)
        how = f"A line a group of clips: {chosen.replace('_', ', ')}. The null bands are among the numbers."
    else:
        figure, numbers = _whole(view, list(every.values()), target, unrelated=unrelated)
        how = (
            f"How alike what A and B put out are over clips, from 0 to 1, whatever their rotation and scale. {NULL} "
            "Each grey line has the dashes of the line it belongs to. The answer counts as differing the modules where "
            "the intervals of trained and untrained do not overlap."
        )
    kernel = "rbf" if view.variant == "released" else kernel
    unbiased = view.variant == "corrected"
    return Drawing(
        figure,
        numbers,
        f"CKA in each layer's LoRA module. {answer(view)}",
        f"{how} {BANDS} {caution(view)}",
        formula(view.variant, kernel, unbiased=unbiased),
        estimator_note(view.variant, unbiased=unbiased),
    )


def _whole(view: View, every: list[Series], target: str, *, unrelated: bool) -> tuple[go.Figure, dict[str, Table]]:
    found = adapters(view)
    paired = len(found) == 1 or len(found) > _MOST  # an adapter's two panels beside each other
    columns = min(_MOST, 2 * len(found)) if paired else len(found)
    lines = [
        Line(one.name, "", _style(one, Style(INK, INK, "circle")), _NOWHERE, 1) for one in every
    ]  # the legend, in no adapter's colour
    panels: dict[int, Panel] = {}
    for i, model in enumerate(found):
        for one in every:
            panel = 2 * i + one.gradient if paired else i + len(found) * one.gradient
            kind = "gradients" if one.gradient else "activations"
            rows = one.rows(view, model, target)
            curve, layers = one.curve(rows), model.shape.layers
            name = f"{ellipsis(model.name, 20)}: {kind}"
            panels[panel] = Panel(name, "CKA", kind, range=y_range(view.table("cka")))
            style = _style(one, view.styles[model.name])
            lines.append(Line(one.name, f"{model.name}<br>{kind}, {one.name}", style, curve, layers, panel))
            if unrelated:
                what = f"{model.name}<br>{kind}, {one.name}:<br>unrelated features"
                lines.append(Line(UNRELATED, what, replace(NULL_STYLE, dash=style.dash), one.null(rows), layers, panel))
    depth = DepthAxis.of(found, "layer")
    height = _ROW if len(panels) > columns else _ALONE
    figure = curves(
        lines, [panels[i] for i in sorted(panels)], depth, columns=columns, stacked=view.narrow, height=height
    )
    statistics = tuple(name for one in every for name in (one.statistic, f"{one.statistic}_null"))
    return figure, {"": view.table("cka").pick(statistic=statistics)}


def _split(view: View, chosen: Series, target: str) -> tuple[go.Figure, dict[str, Table]]:
    found = adapters(view)
    numbers, tables = {}, {}
    for group in view.groups:
        rows = [row for model in found for row in chosen.rows(view, model, target, group).rows()]
        numbers[group] = Table.of(rows)
        kept = [replace(row, versus=None) for row in rows if row.statistic == chosen.statistic]
        tables[group] = {"cka": Table.of(kept)}
    shown = replace(view, models=tuple(replace(model, name=chosen.of(model)) for model in found), tables=tables)
    figure, _ = grouped(shown, "cka", DepthAxis.of(found, "layer"), "layer", "CKA", limits=y_range(*numbers.values()))
    return figure, numbers


def _style(one: Series, style: Style) -> Style:
    if one.untrained:
        return untrained_style(style)
    return replace(style, dash="dot", symbol="square") if one.component == "B-B" else style
