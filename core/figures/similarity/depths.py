"""CKA of each depth of a model with the same depth of the reference."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from core.analyses.request import Row
from core.analyses.tidy import Curve, Table
from core.figures.curves import Line, Panel, curves
from core.figures.depth_axis import DepthAxis
from core.figures.drawing import Drawing
from core.figures.groups import grouped
from core.figures.layout import number
from core.figures.similarity.rows import Estimator, layers_statistic, y_range
from core.figures.similarity.words import BANDS, NULL, NULL_STYLE, UNRELATED, estimator_note, formula, unbiased
from core.figures.view import View
from core.models.info import ModelInfo


def comparable(view: View) -> tuple[ModelInfo, ...]:
    """The models that have the reference's depth."""
    return tuple(model for model in view.others if model.shape.layers == view.reference.shape.layers)


def same_depth(view: View, estimator: Estimator) -> Drawing:
    """Each model's points with the same points of the reference; at least one must have its depth."""
    statistic = layers_statistic(view.variant, estimator)
    models = comparable(view)
    depth = DepthAxis.of(models, "point")
    numbers = {group: _diagonal(view, group, statistic) for group in (view.groups if view.by else ("",))}
    found = {group: Table.of(_of_others(table, view)) for group, table in numbers.items()}
    if view.by:
        tables = {group: {"cka": table.pick(statistic=statistic)} for group, table in found.items()}
        limits = y_range(*found.values())
        figure, _ = grouped(replace(view, models=models, tables=tables), "cka", depth, "point", "CKA", limits=limits)
    else:
        lines, bands = [], []
        for model in models:
            layers = model.shape.layers
            of = found[""].pick(model=model.name)
            what = f"{model.name}<br>with {view.reference.name}"
            curve, null = of.curve(statistic=statistic), of.curve(statistic=f"{statistic}_null")
            lines.append(Line(model.name, what, view.styles[model.name], curve, layers, kind="point"))
            bands.append(Line(UNRELATED, f"{what}:<br>unrelated features", NULL_STYLE, null, layers, kind="point"))
        panel = Panel(f"with the same point of {view.reference.name}", "CKA", range=y_range(found[""]))
        figure = curves(lines + bands, [panel], depth, columns=1, stacked=view.narrow, height=300)
    own = unbiased(view.variant, estimator)
    return Drawing(
        figure,
        numbers,
        _alt(view, models, found, statistic),
        f"1: the model arranges the clips at this depth as {view.reference.name} does; the lower, the more training "
        f"has changed that. {'' if view.by else NULL} {BANDS}",
        formula(view.variant, "rbf" if estimator == "rbf" else "linear", unbiased=own),
        "X and Y: the residual stream at the same point of two models, averaged over the chosen frames of each clip. "
        + estimator_note(view.variant, unbiased=own),
    )


def depth_curve(view: View, model: ModelInfo, statistic: str, group: str = "") -> Curve:
    """CKA of a model's points with the same points of the reference; empty where depths differ or nothing is known."""
    table = Table.of(_of_others(_diagonal(view, group, statistic), view))
    return table.curve(model=model.name, statistic=statistic)


def _diagonal(view: View, group: str, statistic: str) -> Table:
    """The rows of equal depth of each model of the reference's depth with the reference."""
    names = tuple(model.name for model in comparable(view))
    table = view.table("cka", group).pick(statistic=(statistic, f"{statistic}_null"))
    both = [table.pick(model=names, versus=view.reference.name), table.pick(model=view.reference.name, versus=names)]
    return Table.of(row for part in both for row in part.rows() if str(row.layer) == row.module)


def _of_others(table: Table, view: View) -> Iterator[Row]:
    """The same rows as the other model's own, whichever of the two they name first."""
    reference = view.reference.name
    for row in table.rows():
        yield replace(row, model=str(row.versus) if row.model == reference else row.model, versus=None)


def _alt(view: View, models: tuple[ModelInfo, ...], found: dict[str, Table], statistic: str) -> str:
    parts = []
    for group, table in found.items():
        for model in models:
            curve = table.curve(model=model.name, statistic=statistic)
            if np.isfinite(curve.value).any():
                at = int(np.nanargmin(curve.value))
                who = f"{model.name}, {group}" if group else model.name
                parts.append(f"{who} is lowest at point {curve.at[at]} ({number(curve.value[at])})")
    return f"CKA of each point with the same point of {view.reference.name}. {'; '.join(parts)}"
