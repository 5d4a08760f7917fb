"""How many directions each module takes, and how many times fewer than before training."""

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go

from core.analyses.request import Row
from core.analyses.spectra_result import PAPER_EFFICIENCY
from core.figures.adapters import adapters, modules, targets
from core.figures.curves import LEGEND_NAME, interval, legend_rows
from core.figures.drawing import Drawing
from core.figures.layout import AXIS, LEGEND_ROW, TITLE, apply_layout, axis, ellipsis
from core.figures.spectra import words
from core.figures.spectra.energy import longest
from core.figures.spectra.parts import KINDS, Drawn, drawn, height, log_axis, name_panels, panels
from core.figures.theme import GRID, RULE
from core.figures.view import View

PAPER = "paper (large-v2, r=32)"
_ROW = 34  # pixels of an adapter's row
_SPREAD = 0.7  # of a row, over which layers are spread
_STEP = 17  # pixels between two models in a row of ratios
_NAME = 18  # characters of a row's label


def distribution(view: View) -> Drawing:
    """SV90 of each module, a row an adapter (and target where there are several), trained above untrained."""
    rows = view.table("spectra")
    strips = [(side, target) for side in drawn(view) for target in targets([side.model])]
    several = len(targets(adapters(view))) > 1
    labels = [_label(side, target if several else "") for side, target in strips]
    grid, fig = panels(len(KINDS), _ROW * len(strips), view)
    last = longest(view)
    for i, kind in enumerate(KINDS.values()):
        log_axis(fig, "x", i, 1, last, "SV90 (directions)")
        fig.layout[axis("yaxis", i)].update(
            range=(len(strips) - 0.5, -0.5), tickvals=list(range(len(strips))), ticktext=labels, showgrid=False
        )
        for place, (side, target) in enumerate(strips):
            if place and side.model is not strips[place - 1][0].model:
                ends = {"x0": 0, "x1": 1, "y0": place - 0.5, "y1": place - 0.5, "xref": f"{axis('x', i)} domain"}
                fig.add_shape(type="line", line={"color": GRID, "width": 1}, yref=axis("y", i), layer="below", **ends)
            of = rows.pick(model=side.name, component=kind.component, statistic=kind.statistic("sv90"))
            curve = of.curve(module=modules(side.model, target))
            depth = curve.at / max(side.model.shape.layers - 1, 1) - 0.5
            fig.add_scatter(
                x=curve.value,
                y=place + _SPREAD * depth,
                mode="markers",
                marker=_marker(side, 7) | {"opacity": 0.75},
                customdata=[
                    f"<b>{side.name}</b><br>{layer}.{target}<br>SV90 {interval(v, a, b)}"
                    for layer, v, a, b in zip(curve.at, curve.value, curve.low, curve.high, strict=True)
                ],
                hovertemplate="%{customdata}<extra></extra>",
                showlegend=False,
                xaxis=axis("x", i),
                yaxis=axis("y", i),
            )
            mean = None if several else of.one(module=None)
            _add_mean(fig, i, place, side, mean)
    name_panels(fig, list(KINDS))
    left = 20 + 7 * max(len(label) for label in labels)
    apply_layout(fig, height(grid, top=TITLE), legend_rows=0, top=TITLE, left=left, right=16)
    return Drawing(
        fig,
        {"": rows.pick(statistic=("sv90", "grad_sv90"), component=("A", "B"))},
        "SV90 of every module: A and B, activations and gradients, trained and untrained.",
        "Each point is a module, the shallowest at the top of its row; hover for its name. Upright lines are means "
        f"over modules with their intervals. Filled: trained; open: untrained. {words.BANDS} {words.WIDE}",
        r"\text{SV90} = \min\Big\{k : \frac{\sum_{i \le k} s_i^2}{\sum_i s_i^2} \ge 0.9\Big\}",
        f"s: singular values of the stacked matrix, not centred. {words.counterpart(view.variant)}",
    )


def efficiency(view: View, kind: str = "A activations") -> Drawing:
    """Mean SV90 untrained over trained, a row a kind, with the paper's; with a split a row a group, of one `kind`."""
    if view.by:
        chosen = KINDS[kind]
        found = {
            group: (view.table("spectra", group).pick(statistic=chosen.statistic("efficiency")), chosen)
            for group in view.groups
        }
    else:
        rows = view.table("spectra")
        found = {name: (rows.pick(statistic=one.statistic("efficiency")), one) for name, one in KINDS.items()}
    numbers = {name if view.by else "": table for name, (table, _) in found.items()}
    if not view.by:
        numbers[""] = view.table("spectra").pick(statistic=("efficiency", "grad_efficiency"))
    ratios = {
        name: {side.name: table.one(model=side.name, component=of.component) for side in drawn(view)}
        for name, (table, of) in found.items()
    }
    paper = {name: PAPER_EFFICIENCY[of.component, of.gradient][1] for name, (_, of) in found.items()}
    return Drawing(
        _dots(view, ratios, paper),
        numbers,
        f"Efficiency ratios{f' of {kind} by group' if view.by else ''}, with the paper's beside.",
        "How many times fewer directions the trained adapter needs than its untrained counterpart. Right of 1: fewer "
        "after training; left of 1: more. Hollow diamonds are the paper's figures for large-v2 at r = 32, another "
        f"model on other data: compare their direction, not their size. {words.BANDS} {words.WIDE}",
        r"\frac{\overline{\text{SV90}}_{\text{untrained}}}{\overline{\text{SV90}}_{\text{trained}}}",
        f"Means over modules. {words.counterpart(view.variant)}",
    )


def _dots(view: View, ratios: Mapping[str, Mapping[str, Row | None]], paper: Mapping[str, float]) -> go.Figure:
    sides = [side for side in drawn(view) if not side.untrained]
    names = list(ratios) or [""]
    band = _STEP * (len(sides) + 1) + 14
    fig = go.Figure()
    for place in range(1, len(names)):
        fig.add_hline(y=place - 0.5, line={"color": GRID, "width": 1}, layer="below")
    fig.add_vline(x=1, line={"color": RULE, "width": 1}, layer="below")
    for i, side in enumerate(sides):
        offset = (i - len(sides) / 2) * _STEP / band
        of = [ratios[name][side.name] for name in ratios]
        value, low, high = (
            np.array([np.nan if row is None else _number(getattr(row, column)) for row in of])
            for column in ("value", "ci_low", "ci_high")
        )
        fig.add_scatter(
            x=value,
            y=[place + offset for place in range(len(of))],
            mode="markers",
            name=ellipsis(side.name, LEGEND_NAME),
            marker=_marker(side, 11),
            error_x={"array": high - value, "arrayminus": value - low, "color": side.style.edge, "width": 4},
            customdata=[
                f"<b>{side.name}</b><br>{name}<br>{interval(v, a, b)}×"
                for name, v, a, b in zip(ratios, value, low, high, strict=True)
            ],
            hovertemplate="%{customdata}<extra></extra>",
        )
    fig.add_scatter(
        x=list(paper.values()),
        y=[place + len(sides) / 2 * _STEP / band for place in range(len(paper))],
        mode="markers",
        name=PAPER,
        marker={"symbol": "diamond-tall-open", "size": 12, "color": RULE, "line": {"width": 2, "color": RULE}},
        customdata=[f"<b>{PAPER}</b><br>{name}<br>{value:g}×" for name, value in paper.items()],
        hovertemplate="%{customdata}<extra></extra>",
    )
    known = [_number(row.value) for of in ratios.values() for row in of.values() if row is not None]
    known = [value for value in known if np.isfinite(value)]
    log_axis(fig, "x", 0, min([0.25, *known]), max([16, *known]), "mean SV90, untrained / trained")
    fig.update_yaxes(
        range=[len(names) - 0.5, -0.5],
        tickvals=list(range(len(names))),
        ticktext=[ellipsis(name, _NAME) for name in names],
        showgrid=False,
    )
    legend = legend_rows([*(side.name for side in sides), PAPER], narrow=view.narrow)
    left = 24 + 7 * max(len(ellipsis(name, _NAME)) for name in names)
    total = legend * LEGEND_ROW + 8 + band * len(names) + AXIS
    return apply_layout(fig, total, legend_rows=legend, top=4, left=left, right=16)


def _add_mean(fig: go.Figure, panel: int, place: int, side: Drawn, mean: Row | None) -> None:
    value, low, high = (np.nan,) * 3 if mean is None else map(_number, (mean.value, mean.ci_low, mean.ci_high))
    fig.add_scatter(
        x=[value],
        y=[place],
        mode="markers",
        marker={"symbol": "line-ns", "size": _ROW * 0.8, "line": {"color": side.style.edge, "width": 3}},
        error_x={"array": [high - value], "arrayminus": [value - low], "color": side.style.edge, "width": 4},
        customdata=[f"<b>{side.name}</b><br>mean over modules<br>SV90 {interval(value, low, high)}"],
        hovertemplate="%{customdata}<extra></extra>",
        showlegend=False,
        xaxis=axis("x", panel),
        yaxis=axis("y", panel),
    )


def _label(side: Drawn, target: str) -> str:
    return " ".join([ellipsis(side.model.name, _NAME) if not side.untrained else "untrained", target]).strip()


def _marker(side: Drawn, size: int) -> dict[str, object]:
    style = side.style
    line = {"color": style.edge, "width": 2 if side.untrained else 1}
    return {"symbol": style.symbol, "color": style.color, "size": size, "line": line}


def _number(value: float | None) -> float:
    return np.nan if value is None else value
