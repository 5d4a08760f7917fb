"""Every clip as a point, a panel for each rank and depth (Ma, Sang, Li, section 3.4, Fig. 2b)."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float64, Int

from core.analyses.ranks_maps import depths
from core.analyses.request import Variant
from core.analyses.tidy import Table
from core.corpora.clip import Clip
from core.emotions import canonical
from core.figures.adapters import modules
from core.figures.curves import legend_rows
from core.figures.drawing import Drawing
from core.figures.layout import LEGEND_ROW, apply_layout, axis, ellipsis, number, swatch
from core.figures.theme import FROZEN_COLOR, GRID, INK, Style, class_order, emotion_styles
from core.figures.view import View
from core.models.info import ModelInfo

MAPS = {"t-SNE": ("tsne_1", "tsne_2"), "PCA": ("pca_1", "pca_2")}
UNLABELLED = "unlabelled"
_NO_LABEL = Style(FROZEN_COLOR, FROZEN_COLOR, "circle-open")
_HEIGHT = 128  # pixels of a panel
_GAP = 20  # and between two, which the lower one's silhouette takes
_HEAD = 22  # above the first row: layers
BEGINNING = 12  # characters of a clip's id that tell it from all others
_FADED = 0.12  # opacity of clips outside of the lasso
_FORMULA = {
    "t-SNE": r"\min_{y_1 \dots y_n \in \mathbb{R}^2} \mathrm{KL}(P \,\Vert\, Q), \quad q_{ij} \propto "
    r"(1 + \lVert y_i - y_j \rVert^2)^{-1}, \quad p_{ij} \propto p_{i|j} + p_{j|i}",
    "PCA": r"y_i = V_2^\top (x_i - \bar x), \quad V_2: \text{the two directions of largest variance}",
}


@dataclass(frozen=True)
class Panels:
    """The grid: a row a rank and a column a depth; on a phone the other way round, a column a rank."""

    models: tuple[ModelInfo, ...]
    layers: tuple[int, ...]
    upright: bool

    @classmethod
    def of(cls, view: View) -> "Panels":
        """For a view's models, which share their depth."""
        return cls(view.models, depths(view.models[0].shape.layers), view.narrow)

    def place(self, index: int) -> tuple[int, int]:
        """Row and column of a panel; panels go model by model."""
        model, layer = divmod(index, len(self.layers))
        return (layer, model) if self.upright else (model, layer)

    @property
    def rows(self) -> int:
        return len(self.layers if self.upright else self.models)

    @property
    def columns(self) -> int:
        return len(self.models if self.upright else self.layers)

    def __iter__(self):  # type: ignore[no-untyped-def]  # of (model, layer)
        return ((model, layer) for model in self.models for layer in self.layers)


@dataclass(frozen=True, eq=False)
class Points:
    """Where one panel's clips lie."""

    clip_ids: tuple[str, ...]
    xy: Float64[np.ndarray, "clips 2"]

    @classmethod
    def of(cls, rows: Table, statistics: tuple[str, str]) -> "Points":
        """From one panel's rows; a clip without both numbers is left out."""
        sides = [rows.pick(statistic=statistic) for statistic in statistics]
        x, y = (dict(zip(side.texts("clip_id"), side.columns["value"].tolist(), strict=True)) for side in sides)
        found = {one: (x[one], y[one]) for one in x if one and np.isfinite([x[one], y.get(one, np.nan)]).all()}
        return cls(tuple(found), np.array(list(found.values()), dtype=np.float64).reshape(len(found), 2))

    @cached_property
    def ranges(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Of both axes, with some air."""
        if not self.clip_ids:
            return (-1.0, 1.0), (-1.0, 1.0)
        low, high = self.xy.min(axis=0), self.xy.max(axis=0)
        air = np.maximum(0.07 * (high - low), 1e-9)
        (x, y), (to_x, to_y) = low - air, high + air
        return (float(x), float(to_x)), (float(y), float(to_y))


def maps(view: View, kind: str, target: str, picked: Collection[str] = ()) -> Drawing:
    """Maps of the clips by what A puts out, all ranks by all depths; the `picked` clips stand out in every panel."""
    grid = Panels.of(view)
    clips = {clip.clip_id: clip for clip in view.clips}
    emotion = {one: canonical(clip.label) if clip.label else UNLABELLED for one, clip in clips.items()}
    known = [name for name in emotion.values() if name != UNLABELLED]
    names = class_order(known if clips else view.models[0].labels)  # the legend's place is there before the clips are
    styles: dict[str, Style] = emotion_styles(names)
    if UNLABELLED in emotion.values():
        styles[UNLABELLED] = _NO_LABEL
    rows = view.table("ranks").pick(statistic=MAPS[kind])
    legend = legend_rows(list(styles), narrow=view.narrow) if len(styles) > 1 else 0
    height = LEGEND_ROW * legend + _HEAD + 4 + grid.rows * (_HEIGHT + _GAP) + 6
    empty = apply_layout(go.Figure(), height, legend_rows=legend, top=_HEAD, bottom=6, left=34, right=6)
    layout = empty.layout.to_plotly_json() | {"dragmode": "lasso", "annotations": _labels(view, grid, target)}
    traces: list[dict[str, object]] = []
    for i, (model, layer) in enumerate(grid):
        at = rows.pick(model=model.name, layer=layer, module=modules(model, target))
        points = Points.of(at, MAPS[kind])
        layout |= _axes(grid, i, points)
        of = np.array([emotion.get(one, UNLABELLED) for one in points.clip_ids], dtype=object)
        for name, style in styles.items():
            kept = np.flatnonzero(of == name)
            where = f"{model.name}, layer {layer}"
            traces.append(_trace(i, name, style, points, kept, clips, where, picked))
    fig = go.Figure(traces, layout)  # made at once: piece by piece it would take Plotly five times as long
    return Drawing(
        fig,
        {"": rows.pick(module=tuple({name for model in view.models for name in modules(model, target)}))},
        f"{kind} maps of {len(clips)} clips, {len(view.models)} adapters by {len(grid.layers)} depths, by emotion."
        + (f" {len(picked)} clips stand out." if picked else ""),
        "Each point is a clip, where A of that layer puts it; the same clip is in every panel. Distances between far "
        "groups, and the size of a group, mean nothing in t-SNE; the small number is the silhouette, measured before "
        "the map was made.",
        _FORMULA[kind],
        _note(view.variant, kind),
    )


def lassoed(drawing: Drawing, points: Sequence[tuple[int, int]]) -> tuple[str, ...]:
    """Beginnings of the ids of the clips behind these (trace, place) of the maps, each once."""
    traces = drawing.figure.data
    return tuple(dict.fromkeys(str(traces[trace].ids[at]) for trace, at in points))


def _trace(
    panel: int,
    name: str,
    style: Style,
    points: Points,
    kept: Int[np.ndarray, " kept"],
    clips: Mapping[str, Clip],
    where: str,
    picked: Collection[str],
) -> dict[str, object]:
    ids = [points.clip_ids[i] for i in kept]
    # as arrays of objects, or Plotly looks at each string twice
    short = np.array([one[:BEGINNING] for one in ids], dtype=object)
    who = np.array([_who(clips[one]) if one in clips else "" for one in ids], dtype=object)
    return {
        "type": "scatter",
        "x": points.xy[kept, 0],
        "y": points.xy[kept, 1],
        "ids": short,
        "mode": "markers",
        "name": name,
        "legendgroup": name,
        "showlegend": panel == 0,
        "marker": {
            "symbol": style.symbol,
            "color": style.color,
            "size": 6,
            "opacity": 0.8,
            "line": {"color": style.edge, "width": 0.5},
        },
        "selectedpoints": [i for i, one in enumerate(ids) if one in picked] if picked else None,
        "selected": {"marker": {"opacity": 1, "size": 8}},
        "unselected": {"marker": {"opacity": _FADED}},
        "customdata": who,
        "hovertemplate": f"%{{customdata}}<br>{name}<br>{where}<extra></extra>",
        "xaxis": axis("x", panel),
        "yaxis": axis("y", panel),
    }


def _who(clip: Clip) -> str:
    return f"<b>{clip.name}</b>" + (f"<br>speaker {clip.speaker}" if clip.speaker else "")


def _axes(grid: Panels, index: int, points: Points) -> dict[str, object]:
    """Both axes of a panel, bare: no unit means anything in a map."""
    row, column = grid.place(index)
    total = grid.rows * (_HEIGHT + _GAP)
    top = 1 - row * (_HEIGHT + _GAP) / total
    width = 1 / grid.columns
    bare = {"showgrid": False, "zeroline": False, "showticklabels": False, "ticks": "", "fixedrange": True}
    around = {"showline": True, "mirror": True, "linecolor": GRID, "linewidth": 1, **bare}
    x, y = points.ranges
    sides = (column * width + 0.004, (column + 1) * width - 0.004)
    return {
        axis("xaxis", index): {"domain": sides, "anchor": axis("y", index), "range": x, **around},
        axis("yaxis", index): {
            "domain": (max(0.0, top - _HEIGHT / total), top),
            "anchor": axis("x", index),
            "range": y,
            **around,
        },
    }


def _labels(view: View, grid: Panels, target: str) -> list[dict[str, object]]:
    """Layers above columns, models left of rows (on a phone the other way round), and each panel's silhouette."""
    table = view.table("ranks").over_clips.pick(statistic="silhouette", versus=None, component=None)
    styles = view.styles
    found: list[dict[str, object]] = []
    for i, (model, layer) in enumerate(grid):
        row, column = grid.place(i)
        where = {"xref": f"{axis('x', i)} domain", "yref": f"{axis('y', i)} domain", "showarrow": False}
        name, depth = swatch(styles[model.name].color, ellipsis(model.name, 16)), f"<b>layer {layer}</b>"
        above = {"y": 1, "yanchor": "bottom", **where}
        if row == 0:
            text = name if grid.upright else depth
            found.append({"text": text, "x": 0, "xanchor": "left", "font": {"size": 13}, **above})
        if column == 0:
            text = depth if grid.upright else name
            at = {"x": 0, "y": 0.5, "xanchor": "right", "xshift": -8, "textangle": -90, "font": {"size": 13}}
            found.append({"text": text, **at, **where})
        silhouette = table.one(model=model.name, layer=layer, module=modules(model, target))
        if silhouette is not None and silhouette.value is not None and not grid.upright:
            text = f"silhouette {number(silhouette.value).replace('-', '−')}"
            small = {"font": {"size": 11, "color": INK}, "opacity": 0.75}
            found.append({"text": text, "x": 1, "xanchor": "right", **small, **above})
    return found


def _note(variant: Variant, kind: str) -> str:
    rows = (
        "Corrected: a clip's row is A's output averaged over the chosen frames, standardised; t-SNE starts from PCA."
        if variant == "corrected"
        else "A clip's row is A's output flattened over all frames, padding included, and standardised."
    )
    tail = " Perplexity min(30, (n − 1) / 3), 1000 iterations, seed 42." if kind == "t-SNE" else ""
    return rows + tail
