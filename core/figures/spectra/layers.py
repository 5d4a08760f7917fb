"""Spectra over depth: a number of each module as a heatmap, and how strong the gradients are."""

from dataclasses import replace

import numpy as np
import plotly.graph_objects as go

from core.figures.adapters import adapters, modules, targets
from core.figures.curves import MAX_LINES, Line, Panel, curves, interval
from core.figures.depth_axis import DepthAxis
from core.figures.drawing import Drawing
from core.figures.groups import grouped
from core.figures.layout import AXIS, TITLE, apply_layout, axis, color_bar, ellipsis
from core.figures.spectra import words
from core.figures.spectra.answer import answer
from core.figures.spectra.energy import longest
from core.figures.spectra.parts import KINDS, doubling, drawn, height, name_panels, panels
from core.figures.theme import PROBABILITY_SCALE
from core.figures.view import View

NORM = "gradient norm"
MEASURES = {"SV90": "sv90", "effective rank": "effective_rank", "stable rank": "stable_rank", "top-10 energy": "top10"}
_FORMULA = {
    "SV90": r"\min\Big\{k : \frac{\sum_{i \le k} s_i^2}{\sum_i s_i^2} \ge 0.9\Big\}",
    "effective rank": r"\exp\Big(-\sum_i p_i \log p_i\Big), \quad p_i = \frac{s_i^2}{\sum_j s_j^2}",
    "stable rank": r"\frac{\sum_i s_i^2}{s_1^2}",
    NORM: r"\lVert G \rVert_F = \sqrt{\sum_{\text{clips}} \sum_f \lVert \nabla_{x_f} \mathcal{L} \rVert_2^2}",
    "top-10 energy": r"\frac{\sum_{i \le 10} s_i^2}{\sum_i s_i^2}",
}
_ROW = 24  # pixels of a heatmap's row
BAR = 74  # and of the colour bar under it
_NAME = 18  # characters of a row's label


def heatmap(view: View, measure: str) -> Drawing:
    """A panel a kind, a row an adapter (and target where there are several), trained above untrained; layers across."""
    depth = DepthAxis.of(adapters(view), "layer")
    rows = view.table("spectra")
    strips = [(side, target) for side in drawn(view) for target in targets([side.model])]
    several = len(targets(adapters(view))) > 1
    labels = [
        ("untrained" if side.untrained else ellipsis(side.model.name, _NAME)) + (f" {target}" if several else "")
        for side, target in strips
    ]
    grid, fig = panels(len(KINDS), _ROW * len(strips), view)
    share = measure == "top-10 energy"
    for i, kind in enumerate(KINDS.values()):
        for place, (side, target) in enumerate(strips):
            curve = rows.curve(
                model=side.name,
                component=kind.component,
                statistic=kind.statistic(MEASURES[measure]),
                module=modules(side.model, target),
            )
            fig.add_heatmap(
                x=depth.place(curve.at, "layer", side.model.shape.layers),
                y=[place],
                z=[curve.value if share else np.log2(curve.value)],
                customdata=[
                    [
                        f"<b>{side.name}</b><br>{layer}.{target}, {kind.name}<br>{measure} {interval(v, a, b)}"
                        for layer, v, a, b in zip(curve.at, curve.value, curve.low, curve.high, strict=True)
                    ]
                ],
                hovertemplate="%{customdata}<extra></extra>",
                coloraxis="coloraxis",
                ygap=2,
                xaxis=axis("x", i),
                yaxis=axis("y", i),
            )
        depth.draw(fig, i, narrow=grid.narrow)
        fig.layout[axis("yaxis", i)].update(
            range=(len(strips) - 0.5, -0.5), tickvals=list(range(len(strips))), ticktext=labels, showgrid=False
        )
    name_panels(fig, list(KINDS))
    left = 20 + 7 * max(len(label) for label in labels)
    apply_layout(
        fig, height(grid, top=TITLE, below=BAR), legend_rows=0, top=TITLE, bottom=AXIS + BAR, left=left, right=16
    )
    seen = [float(np.exp2(v)) for trace in fig.data for v in trace.z[0] if np.isfinite(v)] or [1.0, longest(view)]
    colors(fig, grid.plot_height, measure, None if share else (min(seen), max(seen)))
    return Drawing(
        fig,
        {"": rows.pick(statistic=(MEASURES[measure], f"grad_{MEASURES[measure]}"), component=("A", "B"))},
        f"{measure} of every module over layers, trained and untrained.",
        "Each cell is a module; light cells use many directions (of the top-10 energy: few). Panels share one "
        f"scale{'' if share else ', which doubles from tick to tick'}.",
        _FORMULA[measure],
        f"s: singular values of the stacked matrix, not centred. {words.counterpart(view.variant)}",
    )


def colors(fig: go.Figure, plot_height: int, title: str, ends: tuple[float, float] | None) -> None:
    """One colour bar under the panels: of shares from 0 to 1, or of numbers between `ends`, drawn by their log2."""
    if ends is None:
        low, high = 0.0, 1.0
        ticks, texts = [0.0, 0.25, 0.5, 0.75, 1.0], ["0", "0.25", "0.5", "0.75", "1"]
    else:
        low, high = (float(np.log2(end)) for end in ends)
        ticks = [tick for tick in np.log2(doubling(ends[1])).tolist() if tick >= low]
        texts = [f"{2**tick:g}" for tick in ticks]
    bar = color_bar(title, below=AXIS / plot_height, ticks=ticks) | {"ticktext": texts}
    fig.update_layout(coloraxis={"cmin": low, "cmax": high, "colorscale": PROBABILITY_SCALE, "colorbar": bar})


def split(view: View, kind: str, measure: str, target: str) -> Drawing:
    """With a split: the measure of the trained adapters' modules of one target over layers, a line a group.

    The gradient norm is that of the kind's gradient, also where the kind is an activation.
    """
    trained = replace(view, models=adapters(view))
    chosen = KINDS[kind]
    figure, numbers = grouped(
        trained,
        "spectra",
        DepthAxis.of(trained.models, "layer"),
        "layer",
        measure,
        component=chosen.component,
        statistic="grad_norm" if measure == NORM else chosen.statistic(MEASURES[measure]),
        module=tuple(name for model in trained.models for name in modules(model, target)),
    )
    if len(view.groups) <= MAX_LINES:
        figure.update_yaxes(rangemode="nonnegative")  # intervals of few clips are wider than what can be
    what = f"{measure} of {chosen.component}" if measure == NORM else f"{measure} of {kind}"
    return Drawing(
        figure,
        numbers,
        f"{what} in {target} over layers, by {view.by}. {answer(view)}",
        f"{what} over each group of clips, of the trained adapters. A group of fewer clips has smaller norms and can "
        f"fill fewer directions. {words.BANDS} {words.WIDE}",
        _FORMULA[measure],
        "s: singular values of the stacked matrix of the group's clips, not centred.",
    )


def norms(view: View) -> Drawing:
    """How strong the loss' gradients with respect to A's and B's outputs are over layers."""
    wanted = targets(adapters(view))
    rows = view.table("spectra").pick(statistic="grad_norm")
    lines = [
        Line(
            side.name,
            f"{side.name}<br>{target}, gradient at {component}",
            side.style,
            rows.curve(model=side.name, component=component, module=modules(side.model, target)),
            side.model.shape.layers,
            2 * t + c,
        )
        for t, target in enumerate(wanted)
        for c, component in enumerate(("A", "B"))
        for side in drawn(view)
    ]
    frame = [
        Panel(f"at {component}'s output{f', {target}' if len(wanted) > 1 else ''}", NORM, "norm")
        for target in wanted
        for component in ("A", "B")
    ]
    depth = DepthAxis.of(adapters(view), "layer")
    figure = curves(lines, frame, depth, columns=2, stacked=view.narrow, height=260)
    figure.update_yaxes(type="log", dtick=1, tickformat="~g")
    return Drawing(
        figure,
        {"": rows},
        "Norms of the loss' gradients with respect to what A and B put out, over layers.",
        "Where in depth the loss pulls at the adapters, over all clips together; it grows with the number of clips. "
        f"The axis is logarithmic. {words.BANDS} {words.WIDE}",
        _FORMULA[NORM],
        words.counterpart(view.variant),
    )
