"""Cumulative energy over directions, trained against untrained (Ma, Sang, Li, section 3.5, Fig. 3a-d)."""

import numpy as np
import plotly.graph_objects as go

from core.analyses.spectrum import ENERGY_POINTS
from core.analyses.tidy import Table
from core.figures.adapters import adapters
from core.figures.curves import LEGEND_NAME, interval, legend_rows
from core.figures.drawing import Drawing
from core.figures.layout import TITLE, WIDE_LEFT, apply_layout, axis, ellipsis
from core.figures.spectra import words
from core.figures.spectra.answer import answer
from core.figures.spectra.parts import KINDS, Drawn, Kind, OverK, drawn, height, log_axis, name_panels, over_k, panels
from core.figures.theme import RULE, with_alpha
from core.figures.view import View

_ENOUGH = 0.9  # what SV90 asks for
_PANEL = 300  # pixels


def energy(view: View, *, every: bool = False) -> Drawing:
    """Mean over modules of the energy that the first k directions hold; with `every`, each module's behind it."""
    rows = view.table("spectra")
    sides = drawn(view)
    grid, fig = panels(len(KINDS), _PANEL, view)
    last = longest(view)
    for i, kind in enumerate(KINDS.values()):
        ends = {"x0": 0, "x1": 1, "y0": _ENOUGH, "y1": _ENOUGH, "xref": f"{axis('x', i)} domain", "yref": axis("y", i)}
        fig.add_shape(type="line", line={"color": RULE, "width": 1}, layer="below", **ends)
        log_axis(fig, "x", i, 1, last, "directions k")
        fig.layout[axis("yaxis", i)].update(range=(0, 1.03), tickvals=[0, 0.25, 0.5, 0.75, 0.9, 1])
        if i in grid.leading():
            fig.layout[axis("yaxis", i)].title = {"text": "cumulative energy"}
        for side in sides:
            of = rows.pick(model=side.name, component=kind.component)
            if every:
                _add_modules(fig, i, side, kind, of)
            _add_mean(fig, i, side, kind, of)
    name_panels(fig, list(KINDS))
    legend = legend_rows([side.name for side in sides], narrow=view.narrow)
    apply_layout(
        fig, height(grid, top=TITLE, rows=legend), legend_rows=legend, top=TITLE, left=WIDE_LEFT - 14, right=16
    )
    return Drawing(
        fig,
        {"": _shown(rows, every=every)},
        f"Cumulative energy over directions: A and B, activations and gradients. {answer(view)}",
        "How much of everything that came out of an adapter lies in its first k directions; k doubles from tick to "
        "tick. A curve that is higher further left uses fewer directions. Solid: trained. Dashed: its untrained "
        "counterpart. The marks on the line at 0.9 are the mean SV90 over modules, the directions that hold 90 %. "
        f"{words.BANDS} {words.WIDE}",
        r"E(k) = \frac{\sum_{i \le k} s_i^2}{\sum_i s_i^2}, \qquad \text{SV90} = \min\{k : E(k) \ge 0.9\}",
        f"s: singular values of the stacked matrix, not centred. {words.counterpart(view.variant)}",
    )


def longest(view: View) -> int:
    """The largest k of any curve."""
    modules = [module for model in adapters(view) for module in model.lora]
    return max(max(module.rank, min(module.outputs, ENERGY_POINTS)) for module in modules)


def _shown(rows: Table, *, every: bool) -> Table:
    names = tuple(word for word in rows.words if word.startswith(("energy:", "grad_energy:")))
    picked = rows.pick(statistic=(*names, "sv90", "grad_sv90"), component=("A", "B"))
    return picked if every else picked.pick(module=None)


def _add_mean(fig: go.Figure, panel: int, side: Drawn, kind: Kind, rows: Table) -> None:
    curve = over_k(rows, kind.statistic("energy"), module=None)
    where = {"xaxis": axis("x", panel), "yaxis": axis("y", panel), "legendgroup": side.name}
    line = {"color": side.style.color, "width": 2.5, "dash": side.style.dash}
    there = np.isfinite(curve.low) & np.isfinite(curve.high)
    if there.any():
        fig.add_scatter(
            x=np.concatenate([curve.k[there], curve.k[there][::-1]]),
            y=np.concatenate([curve.high[there], curve.low[there][::-1]]),
            mode="lines",
            line={"width": 0},
            fill="toself",
            fillcolor=with_alpha(side.style.color, 0.16),
            showlegend=False,
            hoverinfo="skip",
            **where,
        )
    fig.add_scatter(
        x=curve.k,
        y=curve.value,
        mode="lines",
        line=line,
        customdata=_hover(f"{side.name}<br>mean over modules", curve),
        hovertemplate="%{customdata}<extra></extra>",
        showlegend=False,
        **where,
    )
    mean = rows.one(statistic=kind.statistic("sv90"), module=None)
    value = np.nan if mean is None or mean.value is None else mean.value
    low, high = (np.nan, np.nan) if mean is None else (_bound(mean.ci_low), _bound(mean.ci_high))
    edge = {"color": side.style.edge, "width": 2 if side.untrained else 1}
    marker = {"symbol": side.style.symbol, "size": 11, "color": side.style.color, "line": edge}
    if panel == 0:  # adapters of one rank differ by their markers only, so the legend shows line and marker as one
        name = ellipsis(side.name, LEGEND_NAME)
        fig.add_scatter(x=[None], y=[None], mode="lines+markers", name=name, line=line, marker=marker, **where)
    fig.add_scatter(
        x=[value],
        y=[_ENOUGH],
        mode="markers",
        marker=marker,
        customdata=[f"<b>{side.name}</b><br>mean SV90 {interval(value, low, high)}"],
        hovertemplate="%{customdata}<extra></extra>",
        showlegend=False,
        **where,
    )


def _add_modules(fig: go.Figure, panel: int, side: Drawn, kind: Kind, rows: Table) -> None:
    """One trace of all modules' curves, with gaps between them."""
    x: list[float] = []
    y: list[float] = []
    labels: list[str] = []
    for module in side.model.lora:
        curve = over_k(rows, kind.statistic("energy"), module=module.name)
        x += [*curve.k.tolist(), np.nan]
        y += [*curve.value.tolist(), np.nan]
        labels += [*_hover(f"{side.name}<br>{module.name}", curve), ""]
    fig.add_scatter(
        x=x,
        y=y,
        mode="lines",
        line={"color": with_alpha(side.style.color, 0.4), "width": 1, "dash": side.style.dash},
        customdata=labels,
        hovertemplate="%{customdata}<extra></extra>",
        showlegend=False,
        legendgroup=side.name,
        xaxis=axis("x", panel),
        yaxis=axis("y", panel),
    )


def _hover(what: str, curve: OverK) -> list[str]:
    return [
        f"<b>{what}</b><br>k = {k}<br>energy {interval(v, a, b)}"
        for k, v, a, b in zip(curve.k, curve.value, curve.low, curve.high, strict=True)
    ]


def _bound(value: float | None) -> float:
    return np.nan if value is None else value
