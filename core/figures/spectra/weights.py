"""Spectra of the weights themselves: the update, the projection with and without it (Hu et al. 2021, section 7)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import plotly.graph_objects as go

from core.analyses.tidy import Table
from core.figures.adapters import adapters, modules, targets
from core.figures.curves import Line, Panel, curves
from core.figures.depth_axis import DepthAxis
from core.figures.drawing import Drawing
from core.figures.layout import AXIS, TITLE, apply_layout, axis, ellipsis
from core.figures.spectra import words
from core.figures.spectra.layers import BAR, colors
from core.figures.spectra.parts import Drawn, OverK, drawn, height, log_axis, name_panels, over_k, panels, whole
from core.figures.theme import FROZEN_COLOR, Style
from core.figures.view import View

_PANEL = 250  # pixels
_MAP = 200
_W = Style(FROZEN_COLOR, FROZEN_COLOR, "square", "dot")  # the projection's own weight


@dataclass(frozen=True)
class _Look:
    """A way to look at the weights: what each panel is of (component, statistic, title), and how to read it."""

    panels: tuple[tuple[str, str, str], ...]
    how: str
    formula: str
    y: str = "directions"


_RANK = r"\exp\Big(-\sum_i p_i \log p_i\Big), \quad p_i = \frac{s_i^2}{\sum_j s_j^2}"
ENERGY, BOTH, OVERLAP = "energy of the update", "W and W + dW", "overlap with W"
LOOKS = {
    "update": _Look(
        (("dW", "effective_rank", "effective rank of dW"), ("dW", "sv90", "SV90 of dW")),
        "How many directions the update dW = scaling · BA has in each layer. At most the adapter's rank.",
        _RANK,
    ),
    ENERGY: _Look(
        (),
        "The share of dW's squared size that its first k directions hold. Bright from the bottom: a few directions "
        "do nearly everything.",
        r"E(k) = \frac{\sum_{i \le k} s_i^2}{\sum_i s_i^2}",
    ),
    BOTH: _Look(
        (("W+dW", "effective_rank", "effective rank"), ("W+dW", "stable_rank", "stable rank")),
        "Whether the update changes the spectrum of the projection's own weight W, which is dotted grey: where a line "
        "lies on it, it does not.",
        _RANK,
    ),
    OVERLAP: _Look(
        (("dW", "overlap_left:{k}", "left (what is written)"), ("dW", "overlap_right:{k}", "right (what is read)")),
        "The share of dW's first k directions that lies inside W's first k. 1: the update strengthens what W does "
        "most; as low as the dashed lines, which are random updates: it adds what W hardly does.",
        r"\frac{\lVert U_k^\top U'_k \rVert_F^2}{k}",
        "share",
    ),
    "intruders": _Look(
        (("dW", "intruders", "intruder dimensions"),),
        "How many of the first 10 left singular directions of W + dW are like none of W's (|cosine| under 0.5).",
        r"\#\{i \le 10 : \max_j |\cos(u^{W+dW}_i, u^W_j)| < 0.5\}",
        "of the first 10",
    ),
}


def overlap_sizes(view: View) -> list[int]:
    """Every k at which the overlap with W can be looked at: powers of two up to the largest rank."""
    return [2**i for i in range(max(module.rank for m in adapters(view) for module in m.lora).bit_length())]


def weights(view: View, look: str, k: int = 1) -> Drawing:
    """One way to look at the weights over layers; `k` directions where the overlap is looked at."""
    if look == ENERGY:
        return _energy(view)
    chosen, rows, wanted = LOOKS[look], whole(view), targets(adapters(view))
    lines: list[Line] = []
    frame: list[Panel] = []
    for target in wanted:
        for component, statistic, title in chosen.panels:
            name = statistic.format(k=k)
            if component == "W+dW":
                lines += [_line(side, rows, target, "W", name, len(frame)) for side in _bases(view)]
            lines += [_line(side, rows, target, component, name, len(frame)) for side in drawn(view)]
            name_ = f"{title}, {target}" if len(wanted) > 1 else title
            frame.append(Panel(name_, chosen.y, component if component == "dW" else title))
    depth = DepthAxis.of(adapters(view), "layer")
    if look != BOTH:  # its lines are read against each other, the others' from zero
        top = max([1e-9, *(value for line in lines for value in line.curve.value.tolist() if np.isfinite(value))])
        frame = [replace(panel, range=(-0.05 * top, 1.06 * top)) for panel in frame]
    figure = curves(lines, frame, depth, columns=len(chosen.panels), stacked=view.narrow, height=_PANEL)
    names = tuple({statistic.format(k=k) for _, statistic, _ in chosen.panels})
    components = tuple({component for component, _, _ in chosen.panels}) + (("W",) if look == BOTH else ())
    return _drawing(view, look, figure, rows.pick(statistic=names, component=components))


def _line(side: Drawn, rows: Table, target: str, component: str, statistic: str, panel: int) -> Line:
    name = component if component == "W" else side.name
    curve = rows.curve(
        model=side.name, component=component, statistic=statistic, module=modules(side.model, target), versus=None
    )
    style = _W if component == "W" else side.style
    return Line(name, f"{side.name}<br>{target}, {component}", style, curve, side.model.shape.layers, panel)


def _bases(view: View) -> list[Drawn]:
    """An adapter of each base: W is the base's."""
    return list({side.model.base_fingerprint: side for side in reversed(drawn(view)) if not side.untrained}.values())


def _energy(view: View) -> Drawing:
    rows = whole(view).pick(component="dW", versus=None)
    depth = DepthAxis.of(adapters(view), "layer")
    places = [(model, target) for model in adapters(view) for target in targets([model])]
    several = len(targets(adapters(view))) > 1
    grid, fig = panels(len(places), _MAP, view)
    largest = max(module.rank for model, _ in places for module in model.lora)
    for i, (model, target) in enumerate(places):
        found = [(m.layer, over_k(rows, "energy", model=model.name, module=m.name)) for m in model.lora]
        found = [(layer, curve) for layer, curve in found if f"{layer}.{target}" in modules(model, target)]
        fig.add_heatmap(**columns(found, depth, model.shape.layers, f"{model.name}<br>{target}", "energy of dW", i))
        depth.draw(fig, i, narrow=grid.narrow)
        title = "directions k" if i in grid.leading() else None
        log_axis(fig, "y", i, 1, largest, title)  # what matters is in the first few
        fig.layout[axis("yaxis", i)].range = [float(np.log10(end)) for end in (0.5, largest + 0.5)]
    name_panels(fig, [ellipsis(model.name, 20) + (f", {target}" if several else "") for model, target in places])
    apply_layout(fig, height(grid, top=TITLE, below=BAR), legend_rows=0, top=TITLE, bottom=AXIS + BAR, right=16)
    colors(fig, grid.plot_height, "energy of dW", None)
    names = tuple(word for word in rows.words if word.startswith("energy:"))
    return _drawing(view, ENERGY, fig, rows.pick(statistic=names))


def directions_axis(last: int, title: str | None = None) -> dict[str, object]:
    """A linear axis over the first to the last direction, with ticks at whole numbers."""
    return {"range": (0.5, last + 0.5), "dtick": -(-last // 8), "title": {"text": title}}


def columns(
    found: Sequence[tuple[int, OverK]], depth: DepthAxis, layers: int, what: str, value: str, panel: int
) -> dict[str, object]:
    """A heatmap of curves over k, one a layer: k upward, layers across."""
    at = np.array([layer for layer, _ in found])
    ks = max((len(curve.k) for _, curve in found), default=0)
    z = np.full((ks, len(found)), np.nan)
    for column, (_, curve) in enumerate(found):
        z[: len(curve.k), column] = curve.value
    return {
        "x": depth.place(at, "layer", layers),
        "y": list(range(1, ks + 1)),
        "z": z,
        "customdata": np.tile(at, (ks, 1)),
        "hovertemplate": f"<b>{what}</b><br>layer %{{customdata}}, k = %{{y}}<br>{value} %{{z:.3g}}<extra></extra>",
        "coloraxis": "coloraxis",
        "xaxis": axis("x", panel),
        "yaxis": axis("y", panel),
    }


def _drawing(view: View, look: str, figure: go.Figure, numbers: Table) -> Drawing:
    chosen = LOOKS[look]
    return Drawing(
        figure,
        {"": numbers},
        f"{look} over layers, from the weights alone.",
        f"{chosen.how} {words.NO_CLIPS}",
        chosen.formula,
        "dW = scaling · BA with PEFT's own scaling, W the projection's own weight; s, u, v: singular values and "
        f"directions. {words.counterpart(view.variant)}",
    )
