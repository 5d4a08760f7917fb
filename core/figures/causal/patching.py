"""What copying a component's output from one run into another does: shares as heatmaps, and what stands beside them."""

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float64

from core.analyses.tidy import Curve, Table
from core.figures.causal.answer import COPIED, NAMES, answer_patching, number_of
from core.figures.causal.parts import BANDS, level, lower, model_of, rows_of
from core.figures.curves import Line, Panel, curves, interval
from core.figures.depth_axis import DepthAxis
from core.figures.drawing import Drawing
from core.figures.layout import AXIS, TITLE, Panels, apply_layout, axis, color_bar, depth_ticks, panel_label
from core.figures.layout import number as three
from core.figures.say import listed, spans
from core.figures.theme import PROBABILITY_SCALE, component_style, inks_on
from core.figures.view import View
from core.interventions import Pairing

DIRECTIONS = {  # by the direction's name in the rows: the share it has, and its panel's title
    "denoised": ("restored_share", "clean into corrupt: restored"),
    "noised": ("lost_share", "corrupt into clean: lost"),
}
MEASURES = {
    "probability": "probability of the label",
    "accuracy": "share of pairs",
    "norm ratio": "‖patched‖ / ‖usual‖",
}
USUAL = 1.5  # a norm further off than this factor is one that later layers never see
_ROW, _BAR = 44, 74  # pixels
_LEAST, _MOST = -0.5, 1.5  # where the colours end at the latest: a share of few pairs can be far out
_WRITTEN = 12  # layers, at most, whose cells have room for their number
RUNS: dict[Pairing, tuple[str, str]] = {
    "dial": ("LoRA on", "LoRA off"),
    "minimal": ("the clip", "its partner with another emotion"),
    "noise": ("the clip", "white noise as loud"),
}


def patching(view: View, pairing: Pairing, span: tuple[float, float] | None = None) -> Drawing:
    """Component x layer: restored and lost shares side by side in the same colours. What is not known is blank."""
    model, rows = model_of(view), rows_of(view)
    names = _components(view, rows, whole=span is None)
    sides = {name: _grid(rows, names, share, model.shape.layers) for name, (share, _) in DIRECTIONS.items()}
    panels = Panels(len(sides), _ROW * len(names), view.narrow, fixed_columns=2)
    fig = panels.figure()
    every = np.concatenate([side.ravel() for side in sides.values()])
    every = every[np.isfinite(every)]
    low = max(_LEAST, min(0.0, float(every.min(initial=0.0))))
    high = min(_MOST, max(1.0, float(every.max(initial=1.0))))
    written = model.shape.layers <= _WRITTEN and not view.narrow
    for i, (direction, (share, title)) in enumerate(DIRECTIONS.items()):
        value = sides[direction]
        fig.add_heatmap(
            z=value,
            customdata=_hover(rows, names, direction, share, model.shape.layers),
            hovertemplate="%{customdata}<extra></extra>",
            hoverongaps=False,
            coloraxis="coloraxis",
            xgap=1,
            ygap=1,
            xaxis=axis("x", i),
            yaxis=axis("y", i),
        )
        if written:
            _write(fig, i, value, (value - low) / (high - low))
        panel_label(fig, i, f"<b>{title}</b>", shift=6)
        fig.layout[axis("xaxis", i)].update(
            range=[-0.5, model.shape.layers - 0.5],
            tickvals=depth_ticks(model.shape.layers - 1, 9),
            title={"text": "layer"},
            showgrid=False,
        )
        fig.layout[axis("yaxis", i)].update(
            range=[len(names) - 0.5, -0.5],
            tickvals=list(range(len(names))),
            ticktext=[NAMES[name] for name in names],
            showgrid=False,
        )
    height = TITLE + 4 + panels.plot_height + AXIS + _BAR
    apply_layout(fig, height, legend_rows=0, top=TITLE, bottom=AXIS + _BAR, left=112, right=24)
    ticks = sorted({low, 0.0, 0.5, 1.0, high})
    bar = color_bar("share of the difference in contrast", below=(AXIS + 2) / panels.plot_height, ticks=ticks)
    cut = (every.min(initial=0.0) < low, every.max(initial=1.0) > high)
    texts = {low: f"≤ {low:.2g}" if cut[0] else f"{low:.2g}", high: f"≥ {high:.2g}" if cut[1] else f"{high:.2g}"}
    bar["ticktext"] = [texts.get(one, f"{one:g}").replace("-", "−") for one in ticks]
    fig.update_layout(
        coloraxis={"cmin": low, "cmax": high, "colorscale": PROBABILITY_SCALE, "colorbar": bar}, meta={"depth": True}
    )
    clean, corrupt = RUNS[pairing]
    where = f"between {three(span[0])} s and {three(span[1])} s " if span else ""
    return Drawing(
        fig,
        {"": rows.pick(component=("clean", "corrupt", *names), statistic=("restored_share", "lost_share", "contrast"))},
        f"Shares restored and lost by copying a component's output at a layer. {answer_patching(view)}",
        f"Clean is {clean}, corrupt is {corrupt}. Left: one component's output at one layer {where}is copied from the "
        "clean run into the corrupt one; 1 means that this alone brings the whole answer back, so it is enough. Right: "
        "copied from the corrupt run into the clean one; 1 means that the answer is gone, so it was needed. They are "
        "no mirror images: what later layers make up for (the backup or “Hydra” effect) is enough without being "
        "needed. Blank: undefined, or not computed yet.",
        r"\text{restored} = \frac{z_{\text{patched}} - z_{\text{corrupt}}}{z_{\text{clean}} - z_{\text{corrupt}}}"
        r" \qquad \text{lost} = \frac{z_{\text{clean}} - z_{\text{patched}}}{z_{\text{clean}} - z_{\text{corrupt}}}",
        "The same in all variants; only what is patched follows the chosen frames. z is the contrast: logit of the "
        "clean run's label minus that of "
        + ("the corrupt clip's label." if pairing == "minimal" else "the corrupt run's best other class.")
        + " Mean over the pairs where clean and corrupt are at least 0.1 apart. Copying the residual stream over all "
        "frames would be the other run itself, so it stands here only with a time span or with audio frames alone.",
    )


def beside(view: View, measure: str) -> Drawing:
    """Probability, accuracy or norm ratio of the patched runs, a panel a direction, a line a component."""
    model, rows = model_of(view), rows_of(view)
    names = _components(view, rows)
    statistic = measure.replace(" ", "_")
    lines = [
        Line(
            NAMES[name],
            f"{model.name}<br>{NAMES[name]}, {title.partition(':')[0]}<br>{measure}",
            component_style(view.styles[model.name], name),
            rows.curve(component=name, statistic=f"{direction}_{statistic}"),
            model.shape.layers,
            i,
        )
        for i, (direction, (_, title)) in enumerate(DIRECTIONS.items())
        for name in names
    ]
    limits = None if measure == "norm ratio" else (-0.03, 1.03)
    panels = [
        Panel(title.partition(":")[0], MEASURES[measure], "all", range=limits) for _, title in DIRECTIONS.values()
    ]
    figure = curves(lines, panels, DepthAxis.of(view.models, "layer"), columns=2, stacked=view.narrow, height=200)
    for i in range(len(panels)):
        if measure == "norm ratio":
            for value in (1 / USUAL, 1.0, USUAL):
                level(figure, i, value, {1.0: "usual", USUAL: f"{USUAL:g} x"}.get(value, f"1/{USUAL:g}"))
        else:
            clean, corrupt = (rows.one(component=run, statistic=statistic) for run in ("clean", "corrupt"))
            level(figure, i, clean.value if clean else None, "clean")
            level(figure, i, corrupt.value if corrupt else None, "corrupt", left=True, under=lower(corrupt, clean))
    how = (
        "How long the layer's output is in the patched frames, compared with the same run unpatched. Far from 1, later "
        "layers read what they never see: do not read shares there as what the layer does."
        if measure == "norm ratio"
        else f"The {measure} that belongs to the shares above, over all pairs, those without a share too; dotted: the "
        "two runs as they are."
    )
    return Drawing(
        figure,
        {"": rows.pick(statistic=(statistic, *(f"{direction}_{statistic}" for direction in DIRECTIONS)))},
        f"{measure.capitalize()} of the patched runs over layers. {_extremes(lines)}",
        f"{how} {BANDS}",
        r"\frac{\lVert \text{out}_l^{\text{patched}} \rVert_2}{\lVert \text{out}_l \rVert_2}"
        if measure == "norm ratio"
        else r"\pi_y = \mathrm{softmax}(\text{logits})_y \qquad [\arg\max \pi = y]",
        "The same in all variants. y is the clean clip's label; norms are means over the patched frames.",
    )


def warnings(view: View) -> list[str]:
    """Where these results can't be read, a sentence each: undefined shares, unusual norms, notes on the pairs."""
    model, rows = model_of(view), rows_of(view)
    found = []
    lost = rows.one(component="clean", statistic="undefined")
    if lost is not None and lost.value:
        verb = "has" if lost.value == 1 else "have"
        found.append(
            f"Of {lost.n}, {number_of(lost.value)} {verb} no share: clean and corrupt differ by less than 0.1 in "
            "contrast, and nothing can be restored or lost between them."
        )
    places = [
        f"{NAMES[name]} at {spans('layer', at)} ({title.partition(':')[0]})"
        for direction, (_, title) in DIRECTIONS.items()
        for name in _components(view, rows)
        if (at := _unusual(rows.curve(component=name, statistic=f"{direction}_norm_ratio")))
    ]
    if places:
        found.append(
            f"Off-distribution: the patched output is more than {USUAL:g} times as long, or as short, as usual with "
            f"{listed(places)}. Later layers never saw that; read those cells with care."
        )
    notes = view.table("causal").notes
    return found + [note.reason for note in notes if note.about == f"{model.name} pairs" and "share" not in note.reason]


def _unusual(curve: Curve) -> list[int]:
    with np.errstate(invalid="ignore"):
        far = np.abs(np.log(curve.value)) > np.log(USUAL)
    return curve.at[far].tolist()


def _components(view: View, rows: Table, *, whole: bool = True) -> tuple[str, ...]:
    """Those that the rows hold; before there are any, those that will come (`whole`: all frames are patched)."""
    there = rows.pick(component=COPIED, statistic=tuple(share for share, _ in DIRECTIONS.values())).distinct(
        "component"
    )
    if there:
        return tuple(name for name in COPIED if name in there)
    without = () if model_of(view).lora else ("lora",)
    trivial = ("residual",) if whole and view.frames == "all" else ()
    return tuple(name for name in COPIED if name not in (*without, *trivial))


def _grid(rows: Table, names: tuple[str, ...], statistic: str, layers: int) -> Float64[np.ndarray, "components layers"]:
    grid = np.full((len(names), layers), np.nan)
    for i, name in enumerate(names):
        curve = rows.curve(component=name, statistic=statistic)
        grid[i, curve.at] = curve.value
    return grid


def _write(fig: go.Figure, panel: int, grid: np.ndarray, shares: np.ndarray) -> None:
    """Each cell's number in it. Plotly's own choice of ink is hard to read in the middle of the colour scale."""
    at, layers = np.nonzero(np.isfinite(grid))
    fig.add_scatter(
        x=layers,
        y=at,
        mode="text",
        text=[_short(value) for value in grid[at, layers]],
        textfont={"size": 11, "color": inks_on(np.clip(shares[at, layers], 0, 1).tolist())},
        hoverinfo="skip",
        showlegend=False,
        xaxis=axis("x", panel),
        yaxis=axis("y", panel),
    )


def _short(value: float) -> str:
    """Two digits after the point; no −0.00."""
    return f"{round(value, 2) + 0.0:.2f}".replace("-", "−")


def _hover(rows: Table, names: tuple[str, ...], direction: str, share: str, layers: int) -> list[list[str]]:
    cells = [[f"<b>{NAMES[name]}, layer {layer}</b><br>not known" for layer in range(layers)] for name in names]
    for i, name in enumerate(names):
        shares = rows.curve(component=name, statistic=share)
        ratios = rows.curve(component=name, statistic=f"{direction}_norm_ratio")
        ratio = dict(zip(ratios.at.tolist(), ratios.value.tolist(), strict=True))
        for at, value, low, high in zip(
            shares.at.tolist(), shares.value.tolist(), shares.low.tolist(), shares.high.tolist(), strict=True
        ):
            cells[i][at] = (
                f"<b>{NAMES[name]}, layer {at}</b><br>{share.partition('_')[0]} {interval(value, low, high)}"
                f"<br>norm ratio {three(ratio.get(at, float('nan')))}"
            )
    return cells


def _extremes(lines: list[Line]) -> str:
    """Each line's range."""
    parts = [
        f"{line.name}, {line.what.split(', ')[-1].partition('<br>')[0]}: "
        f"{three(float(np.nanmin(line.curve.value)))} to {three(float(np.nanmax(line.curve.value)))}"
        for line in lines
        if np.isfinite(line.curve.value).any()
    ]
    return "; ".join(parts) + "." if parts else "Not known yet."
