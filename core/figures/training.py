"""How trainings went, epoch by epoch."""

from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from core.evaluation.history import Epoch, History
from core.figures.curves import LEGEND_NAME, legend_rows
from core.figures.layout import LEGEND_ROW, TITLE, Panels, apply_layout, axis, ellipsis, number, panel_label
from core.figures.theme import Style

_PANEL = 200  # pixels
_PANELS = (
    ("training loss", lambda epoch: epoch.train_loss),
    ("validation loss", lambda epoch: epoch.validation_loss),
    ("validation UAR", lambda epoch: epoch.validation_uar),
)
HOW_TO_READ = (
    "Loss and validation UAR after each epoch. The large marker is the epoch that was kept: the one with the best "
    "validation UAR, the earlier of two that are equal. A validation loss that rises while the training loss still "
    "falls is overfitting."
)
FORMULA = r"\text{UAR} = \frac{1}{C}\sum_{c=1}^{C} \frac{\text{right clips of class } c}{\text{clips of class } c}"
FORMULA_NOTE = "C classes; chance is 1 / C. The loss is the mean cross-entropy over clips."


@dataclass(frozen=True)
class Run:
    """A trained model as it is drawn."""

    name: str
    style: Style
    history: History


def training_curves(runs: Sequence[Run], *, stacked: bool = False) -> go.Figure:
    """Training loss, validation loss and validation UAR over epochs, a line a model."""
    panels = Panels(len(_PANELS), _PANEL, stacked, fixed_columns=len(_PANELS))
    fig = panels.figure()
    for i, (title, value_of) in enumerate(_PANELS):
        panel_label(fig, i, f"<b>{title}</b>", shift=6)
        fig.layout[axis("xaxis", i)].update(title={"text": "epoch"}, rangemode="tozero", tickformat="d")
        fig.layout[axis("yaxis", i)].update(matches=None, showticklabels=True)
        for run in runs:
            _add(fig, i, title, run, [value_of(epoch) for epoch in run.history.epochs])
    rows = legend_rows([run.name for run in runs], narrow=stacked)
    height = rows * LEGEND_ROW + TITLE + 4 + panels.plot_height + 46
    return apply_layout(fig, height, legend_rows=rows, top=TITLE)


def alt(runs: Sequence[Run]) -> str:
    """The chart in words."""
    kept = [
        f"{run.name} kept epoch {run.history.best} of {len(run.history.epochs)}, "
        f"validation UAR {number(run.history.validation.uar)}"
        for run in runs
    ]
    return f"Losses and validation UAR over epochs. {'; '.join(kept)}."


def rows(runs: Sequence[Run]) -> list[dict[str, object]]:
    """The numbers behind the chart, an epoch of a model each."""
    return [_row(run, epoch) for run in runs for epoch in run.history.epochs]


def _row(run: Run, epoch: Epoch) -> dict[str, object]:
    return {
        "model": run.name,
        "epoch": epoch.number,
        "train_loss": epoch.train_loss,
        "validation_loss": epoch.validation_loss,
        "validation_uar": epoch.validation_uar,
        "validation_war": epoch.validation_war,
        "kept": epoch.number == run.history.best,
    }


def _add(fig: go.Figure, panel: int, what: str, run: Run, values: Sequence[float | None]) -> None:
    numbers = [epoch.number for epoch in run.history.epochs]
    style = run.style
    fig.add_scatter(
        x=numbers,
        y=list(values),
        mode="lines+markers",
        name=ellipsis(run.name, LEGEND_NAME),
        legendgroup=run.name,
        showlegend=panel == 0,
        line={"color": style.color, "width": 2.5, "dash": style.dash},
        marker={
            "symbol": style.symbol,
            "color": style.color,
            "size": [13 if at == run.history.best else 5 for at in numbers],
            "line": {"color": style.edge, "width": 1},
        },
        customdata=["" if value is None else number(value) for value in values],
        hovertemplate=f"<b>{run.name}</b><br>epoch %{{x}}<br>{what} %{{customdata}}<extra></extra>",
        xaxis=axis("x", panel),
        yaxis=axis("y", panel),
    )
