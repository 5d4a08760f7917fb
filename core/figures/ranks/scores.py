"""What each rank costs and what it scores: trainable numbers against UAR and WAR."""

import math

import numpy as np
import plotly.graph_objects as go

from core.analyses.request import Row
from core.analyses.tidy import Table
from core.figures.curves import LEGEND_NAME, interval, legend_rows
from core.figures.drawing import Drawing
from core.figures.layout import AXIS, LEGEND_ROW, TITLE, Panels, apply_layout, axis, ellipsis, number, panel_label
from core.figures.ranks.verdicts import judge
from core.figures.say import listed
from core.figures.view import View
from core.models.info import ModelInfo

SCORES = {"UAR": "uar", "WAR": "accuracy"}
_HEIGHT = 250  # pixels of a panel


def cost(model: ModelInfo) -> int:
    """How many numbers A and B hold over all modules."""
    return sum(module.rank * (module.inputs + module.outputs) for module in model.lora)


def scored(view: View, model: ModelInfo, name: str, versus: str | None = None) -> Row | None:
    """A model's UAR or WAR, or its difference to a lower rank's: what the corrected lens reads at the last point over
    all frames is the model's own answer. None where it is not, as with a weighted sum of layers, or not known."""
    if model.weighted_layer_sum:
        return None
    rows = view.table("lens").over_clips
    return rows.one(model=model.name, versus=versus, statistic=SCORES[name], layer=model.shape.layers)


def scores(view: View) -> Drawing:
    """UAR and WAR over LoRA's parameters, a point an adapter; a line for each model without LoRA.

    Takes the rows of the corrected lens over all frames.
    """
    adapters = [model for model in view.models if model.lora]
    others = [model for model in view.models if not model.lora]
    grid = Panels(len(SCORES), _HEIGHT, view.narrow)
    fig = grid.figure()
    costs = [cost(model) for model in adapters]
    ends = math.log10(min(costs) / 1.5), math.log10(max(costs) * 1.5)
    for i, name in enumerate(SCORES):
        panel_label(fig, i, f"<b>{name}</b>", shift=6)
        fig.layout[axis("xaxis", i)].update(
            type="log",
            range=ends,
            tickvals=costs,
            ticktext=[_short(one) for one in costs],
            title={"text": "LoRA parameters"},
        )
        fig.layout[axis("yaxis", i)].update(range=(-0.03, 1.03))
        for model in others:
            row = scored(view, model, name)
            level = np.nan if row is None or row.value is None else row.value
            fig.add_scatter(
                x=[min(costs) / 1.5, max(costs) * 1.5],
                y=[level, level],
                mode="lines",
                name=ellipsis(model.name, LEGEND_NAME),
                legendgroup=model.name,
                showlegend=i == 0,
                line={"color": view.styles[model.name].color, "width": 1.5, "dash": "dot"},
                hovertemplate=f"<b>{model.name}</b><br>{name} {number(level)}<extra></extra>",
                xaxis=axis("x", i),
                yaxis=axis("y", i),
            )
        for model in adapters:
            _add(fig, i, view, model, name)
    fig.layout.yaxis.title = {"text": "share right"}
    legend = legend_rows([model.name for model in view.models], narrow=view.narrow)
    total = legend * LEGEND_ROW + TITLE + grid.plot_height + AXIS + 4
    apply_layout(fig, total, legend_rows=legend, top=TITLE, right=16)
    rows = [row for model in view.models for name in SCORES if (row := scored(view, model, name))]
    return Drawing(
        fig,
        {"": Table.of(rows)},
        f"UAR and WAR of each rank. {' '.join(score_verdicts(view))}",
        "Each point is an adapter: right costs more, up answers better. UAR is the mean over emotions of the share of "
        "each that is right, WAR the share of all clips. Dotted: models without LoRA. Barred: 95 % intervals over "
        "speakers (of UAR a jackknife). These clips may be among those the models were trained on.",
        r"\mathrm{UAR} = \tfrac{1}{C} \sum_c \text{recall of class } c \qquad \mathrm{WAR} = \text{accuracy}",
        "The models' own answers over all frames, whatever the variant and the frames above.",
    )


def score_verdicts(view: View) -> list[str]:
    """The highest rank against the lowest, a sentence a score."""
    adapters = [model for model in view.models if model.lora]
    found = []
    for name in SCORES if len(adapters) > 1 else ():
        row = scored(view, adapters[-1], name, adapters[0].name)
        if row is None or row.value is None:
            continue
        of = f"{adapters[-1].name} − {adapters[0].name}"
        found.append(judge(name, of, Table.of([row]).curve(), "point"))
    return found


def unscored(view: View) -> str:
    """Why there is nothing to score; empty where there is."""
    if weighted := [model.name for model in view.models if model.weighted_layer_sum]:
        return f"{listed(weighted)} read a weighted sum of layers: their own scores are not among these rows."
    if view.done and not any(scored(view, model, name) for model in view.models for name in SCORES):
        return "These clips have no labels among the models' classes, so nothing can be scored."
    return ""


def _add(fig: go.Figure, panel: int, view: View, model: ModelInfo, name: str) -> None:
    row = scored(view, model, name)
    value, low, high = (
        np.nan if one is None else one for one in ((row.value, row.ci_low, row.ci_high) if row else (None,) * 3)
    )
    style = view.styles[model.name]
    fig.add_scatter(
        x=[cost(model)],
        y=[value],
        mode="markers",
        name=ellipsis(model.name, LEGEND_NAME),
        legendgroup=model.name,
        marker={"symbol": style.symbol, "color": style.color, "size": 12, "line": {"color": style.edge, "width": 1}},
        error_y={"array": [high - value], "arrayminus": [value - low], "color": style.edge, "width": 5},
        customdata=[f"<b>{model.name}</b><br>{name} {interval(value, low, high)}<br>{cost(model):,} parameters"],
        hovertemplate="%{customdata}<extra></extra>",
        showlegend=panel == 0,
        xaxis=axis("x", panel),
        yaxis=axis("y", panel),
    )


def _short(count: int) -> str:
    """`24.6k`, `1.57M`."""
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if count >= size:
            return f"{count / size:.3g}{unit}"
    return str(count)
