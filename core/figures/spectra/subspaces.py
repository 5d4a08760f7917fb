"""Whether two adapters over one base found the same directions (Hu et al. 2021, section 7.2)."""

import numpy as np

from core.analyses.tidy import Table
from core.figures.adapters import adapters, targets
from core.figures.depth_axis import DepthAxis
from core.figures.drawing import Drawing
from core.figures.layout import AXIS, TITLE, apply_layout, axis, ellipsis, number
from core.figures.spectra import words
from core.figures.spectra.layers import BAR, colors
from core.figures.spectra.parts import height, name_panels, over_k, panels, whole
from core.figures.spectra.weights import columns, directions_axis
from core.figures.view import View
from core.models.info import ModelInfo

SHARED = "shared directions"
_PANEL = 300  # pixels


def pairs(view: View) -> dict[str, tuple[ModelInfo, ModelInfo]]:
    """Adapters that share a base and a module, by how the pair is called."""
    models = adapters(view)
    return {
        f"{one.name} × {other.name}": (one, other)
        for i, one in enumerate(models)
        for other in models[i + 1 :]
        if one.base_fingerprint == other.base_fingerprint and {m.name for m in one.lora} & {m.name for m in other.lora}
    }


def subspaces(view: View, pair: str) -> Drawing:
    """How much of one's first i directions lies in the other's first j, mean over modules; and by layer where i = j."""
    one, other = pairs(view)[pair]
    rows = whole(view).pick(model=one.name, versus=other.name, component="dW")
    shared = {module.name for module in other.lora}
    both = [module for module in one.lora if module.name in shared]
    depth = DepthAxis.of((one,), "layer")
    wanted = targets([one])
    wanted = [target for target in wanted if any(module.target == target for module in both)]
    grid, fig = panels(1 + len(wanted), _PANEL, view, columns=2)
    grid_z = _grid(rows)
    fig.add_heatmap(
        x=list(range(1, grid_z.shape[1] + 1)),
        y=list(range(1, grid_z.shape[0] + 1)),
        z=grid_z,
        coloraxis="coloraxis",
        hovertemplate=f"<b>{pair}</b><br>i = %{{y}}, j = %{{x}}<br>φ %{{z:.3g}}<extra></extra>",
    )
    sizes = max(m.rank for m in one.lora), max(m.rank for m in other.lora)
    end = min(sizes) + 0.5
    fig.add_shape(type="line", x0=0.5, y0=0.5, x1=end, y1=end, line={"color": "#ffffff", "width": 2, "dash": "dot"})
    fig.update_layout(
        xaxis=directions_axis(sizes[1], f"first j of {ellipsis(other.name, 24)}"),
        yaxis=directions_axis(sizes[0], f"first i of {ellipsis(one.name, 24)}"),
    )
    for i, target in enumerate(wanted, 1):
        found = [(m.layer, over_k(rows, "subspace", module=m.name)) for m in both if m.target == target]
        fig.add_heatmap(**columns(found, depth, one.shape.layers, f"{pair}<br>{target}", "φ", i))
        depth.draw(fig, i)
        fig.layout[axis("yaxis", i)].update(
            directions_axis(min(sizes), "first k of both"), matches=None, showticklabels=True
        )
        gap = 0.04  # room for this panel's own y axis
        left, right = fig.layout[axis("xaxis", i)].domain
        if left > 0:
            fig.layout[axis("xaxis", i)].domain = (left + gap, right)
    name_panels(fig, ["mean over modules", *(f"each layer, {target}" for target in wanted)])
    apply_layout(fig, height(grid, top=TITLE, below=BAR), legend_rows=0, top=TITLE, bottom=AXIS + BAR, right=16)
    colors(fig, grid.plot_height, "subspace similarity φ", None)
    width = max(module.inputs for module in both)
    return Drawing(
        fig,
        {"": rows},
        f"Subspace similarity of {pair}.",
        "φ is 1 where the smaller set of directions lies inside the larger one, 0 where they are orthogonal. Random "
        f"directions share about max(i, j) / {width}, {number(1 / width)} for one with one: what is far above that was "
        f"found by both. Dotted: i = j, which is what the right side shows layer by layer. {words.NO_CLIPS}",
        r"\varphi(i, j) = \frac{\lVert V_i^\top V'_j \rVert_F^2}{\min(i, j)}",
        "V: right singular directions of dW, the strongest first: what the adapter reads.",
    )


def _grid(rows: Table) -> np.ndarray:
    """The `subspace_mean:<i>:<j>` rows as a grid, i down, j across."""
    names = tuple(word for word in rows.words if word.startswith("subspace_mean:"))
    picked = rows.pick(statistic=names)
    places = [tuple(map(int, str(text).split(":")[1:])) for text in picked.texts("statistic")]
    shape = (max((i for i, _ in places), default=0), max((j for _, j in places), default=0))
    grid = np.full(shape, np.nan)
    for (i, j), value in zip(places, picked.columns["value"], strict=True):
        grid[i - 1, j - 1] = value
    return grid
