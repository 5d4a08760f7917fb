"""How many directions of each module's update the model needs: accuracy and confidence with dW cut to rank k."""

import math
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from core.analyses.tidy import Table
from core.figures.causal.parts import BANDS, column, level, lower, model_of, rows_of
from core.figures.curves import interval
from core.figures.drawing import Drawing
from core.figures.layout import AXIS, TITLE, WIDE_LEFT, Panels, apply_layout, axis, panel_label
from core.figures.theme import Style, with_alpha
from core.figures.view import View

_MEASURES = {"accuracy": "accuracy", "confidence": "confidence", "loss": "loss (nats)"}
_PREFIX = "rank:"


@dataclass(frozen=True)
class _Cut:
    """One rank's value and interval."""

    k: int
    value: float
    low: float
    high: float


def truncation(view: View) -> Drawing:
    """A panel a measure over rank k, the intact model as a dotted line."""
    model, rows = model_of(view), rows_of(view)
    full = max(1, model.rank or 1)
    grid = Panels(len(_MEASURES), 190, view.narrow)
    fig = grid.figure()
    ticks = sorted({*(2**i for i in range(full.bit_length())), full} - {0})
    ticks = [k for k in ticks if k <= full]
    for i, (measure, title) in enumerate(_MEASURES.items()):
        found = _cuts(rows, measure)
        _add(fig, i, found, measure, model.name, view.styles[model.name])
        intact = rows.one(component="intact", statistic=measure)
        off = rows.one(component="off", statistic=measure)
        level(fig, i, intact.value if intact else None, "intact")
        level(fig, i, off.value if off else None, "off", left=True, under=lower(off, intact))
        panel_label(fig, i, f"<b>{title}</b>", shift=6)
        ends = (-0.08 * max(1.0, math.log10(full)), math.log10(full) + 0.08 * max(1.0, math.log10(full)))
        fig.layout[axis("xaxis", i)].update(
            type="log", range=ends, tickvals=ticks, ticktext=[str(k) for k in ticks], title={"text": "rank k kept"}
        )
        if not view.narrow:
            column(fig, i, i, len(_MEASURES))
        limits = (-0.03, 1.03) if measure != "loss" else None
        fig.layout[axis("yaxis", i)].update(matches=None, range=limits, showticklabels=True)
    apply_layout(fig, TITLE + 4 + grid.plot_height + AXIS, legend_rows=0, top=TITLE, left=WIDE_LEFT - 14, right=16)
    names = tuple(name for name in rows.distinct("component") if name.startswith(_PREFIX))
    return Drawing(
        fig,
        {"": rows.pick(component=(*names, "intact", "off"))},
        _alt(rows),
        "Each module's update is cut to the k directions that carry most of it (the best approximation of that rank); "
        "k doubles from tick to tick. Confidence is the label's probability. Dotted: the model as it is, and with LoRA "
        "off. Where the curve meets the line of "
        f"the model as it is, the rest of the rank buys nothing on these clips. {BANDS}",
        r"\Delta W_k = \sum_{i \le k} s_i\, u_i v_i^\top, \qquad \Delta W = U S V^\top = \text{scaling} \cdot B A",
        "The same in all variants; the head is the LoRA model's.",
    )


def _cuts(rows: Table, statistic: str) -> list[_Cut]:
    """By rank, the lowest first."""
    found = []
    for row in rows.pick(statistic=statistic, versus=None).rows():
        if row.component and row.component.startswith(_PREFIX) and row.value is not None:
            low, high = (np.nan if bound is None else bound for bound in (row.ci_low, row.ci_high))
            found.append(_Cut(int(row.component.removeprefix(_PREFIX)), row.value, low, high))
    return sorted(found, key=lambda one: one.k)


def _add(fig: go.Figure, panel: int, found: list[_Cut], measure: str, name: str, look: Style) -> None:
    where = {"xaxis": axis("x", panel), "yaxis": axis("y", panel), "showlegend": False}
    banded = [one for one in found if np.isfinite(one.low) and np.isfinite(one.high)]
    if len(banded) > 1:
        fig.add_scatter(
            x=[one.k for one in banded] + [one.k for one in reversed(banded)],
            y=[one.high for one in banded] + [one.low for one in reversed(banded)],
            mode="lines",
            line={"width": 0},
            fill="toself",
            fillcolor=with_alpha(look.color, 0.16),
            hoverinfo="skip",
            **where,
        )
    fig.add_scatter(
        x=[one.k for one in found],
        y=[one.value for one in found],
        mode="lines+markers",
        line={"color": look.color, "width": 2.5},
        marker={"symbol": look.symbol, "color": look.color, "size": 8, "line": {"color": look.edge, "width": 1}},
        customdata=[
            f"<b>{name}</b><br>rank {one.k}<br>{measure} {interval(one.value, one.low, one.high)}" for one in found
        ],
        hovertemplate="%{customdata}<extra></extra>",
        **where,
    )


def _alt(rows: Table) -> str:
    found = _cuts(rows, "accuracy")
    if not found:
        return "Accuracy, confidence and loss by rank kept: not known yet."
    parts = [f"{interval(one.value, one.low, one.high)} at rank {one.k}" for one in found]
    return f"Accuracy, confidence and loss by rank kept; accuracy is {', '.join(parts)}."
