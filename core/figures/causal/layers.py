"""Necessity and sufficiency of each layer's LoRA over depth, with what it writes and where the answer forms behind."""

from dataclasses import dataclass

import numpy as np

from core.analyses.request import Variant
from core.analyses.tidy import Table
from core.figures.causal.answer import answer_layers
from core.figures.causal.parts import BANDS, LOST, RESTORED, level, model_of, rows_of, stack, style
from core.figures.curves import Line, Panel, curves
from core.figures.depth_axis import DepthAxis
from core.figures.drawing import Drawing
from core.figures.layout import axis
from core.figures.theme import Style
from core.figures.view import View

_MAIN, _SMALL = 200, 58  # pixels


@dataclass(frozen=True)
class _Switch:
    """A way to turn the dial at each layer: its rows, its name in the legend, and how it is drawn."""

    component: str
    statistic: str
    name: str
    style: Style


_WITHOUT = _Switch("without", "lost_share", "lost without this layer's LoRA", style(LOST, "circle"))
_ONLY = _Switch("only", "restored_share", "restored by this layer's LoRA alone", style(RESTORED, "square", "dash"))
_FACTORS = (
    _Switch("without_a", "lost_share", "lost without its A", style(LOST, "triangle-up", "dot")),
    _Switch("without_b", "lost_share", "lost without its B", style(LOST, "triangle-down", "longdashdot")),
    _Switch("only_a", "restored_share", "restored by its A alone", style(RESTORED, "triangle-up-open", "dot")),
    _Switch(
        "only_b", "restored_share", "restored by its B alone", style(RESTORED, "triangle-down-open", "longdashdot")
    ),
)
_RUNS = (
    _Switch("first", "restored_share", "restored by all layers up to it", style(RESTORED, "triangle-right", "dot")),
    _Switch("last", "restored_share", "restored by it and all above", style(RESTORED, "triangle-left", "longdashdot")),
)
SWITCHES = {"one layer": (), "A or B alone": _FACTORS, "runs of layers": _RUNS}
_HOW = {
    "one layer": "",
    "A or B alone": " Dotted and dash-dotted: only one of the layer's two factors is taken (or left) and the other one "
    "drawn anew, as before training. A factor alone that restores nothing says that both were trained to fit.",
    "runs of layers": " Dotted: LoRA on at all layers up to here. Dash-dotted: from here to the last.",
}
_BEHIND = {
    "write": ("change in what it writes (Δ ‖a + m‖ / ‖h‖)", "relative_change"),
    "lens": ("how much nearer the reading comes (KL, nats)", "kl_drop"),
}
_KL: dict[Variant, str] = {
    "published": r"D_{KL}(\pi_l \,\|\, \pi) - D_{KL}(\pi_{l+1} \,\|\, \pi)",
    "released": r"D_{KL}(\pi \,\|\, \pi_l) - D_{KL}(\pi \,\|\, \pi_{l+1})",
    "corrected": r"D_{KL}(\pi_l \,\|\, \pi) - D_{KL}(\pi_{l+1} \,\|\, \pi)",
}


def layers(view: View, shown: str = "one layer") -> Drawing:
    """What is lost without each layer's LoRA and restored by it alone; below, on the same axis, what the layer writes
    and what the lens gains there. `shown` of SWITCHES adds controls."""
    model, rows = model_of(view), rows_of(view)
    depth = DepthAxis.of(view.models, "layer")
    switches = (_WITHOUT, _ONLY, *SWITCHES[shown])
    lines = [
        Line(
            one.name,
            f"{model.name}<br>{one.name}",
            one.style,
            rows.curve(component=one.component, statistic=one.statistic),
            model.shape.layers,
            band=one in (_WITHOUT, _ONLY),
        )
        for one in switches
    ]
    own = view.styles[model.name]
    for i, (component, (title, statistic)) in enumerate(_BEHIND.items(), 1):
        curve = rows.curve(component=component, statistic=statistic)
        lines.append(Line(model.name, f"{model.name}<br>{title}", own, curve, model.shape.layers, i))
    panels = [Panel("share of LoRA's effect on the answer", "share", zero=True)]
    panels += [Panel(title, "", zero=True) for title, _ in _BEHIND.values()]
    figure = curves(lines, panels, depth, columns=1, stacked=view.narrow, height=_SMALL)
    stack(figure, (_MAIN, _SMALL, _SMALL))
    figure.for_each_trace(lambda trace: trace.update(showlegend=False), {"legendgroup": model.name})
    level(figure, 0, 1.0, "all of it")
    for i, found in enumerate(((0.0, 1.05), (0.0, 1.0), (0.0, 1.0))):
        if not any(np.isfinite(line.curve.value).any() for line in lines if line.panel == i):
            figure.layout[axis("yaxis", i)].range = found
    return Drawing(
        figure,
        {"": _shown(rows, switches)},
        f"Necessity and sufficiency of each layer's LoRA. {answer_layers(view)}",
        "Solid: what share of LoRA's effect on the answer goes when this layer's update is switched off: is it needed? "
        "Dashed: what share one gets back by switching on this layer's alone: is it enough? 0 is nothing, 1 all of it; "
        "above 1 or below 0 the layer works against others. Layers can stand in for each other: where nothing is lost, "
        f"a layer may still do what others do too.{_HOW[shown]} The strips below ask whether it matters where LoRA "
        f"writes and where the answer forms. {BANDS}",
        r"\begin{gathered}"
        + r" \\ ".join(
            (
                r"\text{lost}_l = \frac{z - z_{g_l = 0}}{z - z_{g = 0}} \qquad "
                r"\text{restored}_l = \frac{z_{\text{only } g_l = 1} - z_{g = 0}}{z - z_{g = 0}}",
                r"z = \text{logit}_y - \text{logit}_c, \quad c = \arg\max_{k \ne y} \text{logit}_k(g = 0)",
                r"\Delta \frac{\lVert a + m \rVert_2}{\lVert h \rVert_2} \qquad " + _KL[view.variant],
            )
        )
        + r"\end{gathered}",
        "g is the dial: 1 as trained, 0 off, always under the LoRA model's head; y the clip's label. Mean over the "
        "clips where z and z at g = 0 are at least 0.1 apart. What is written is compared between dial 1 and 0, paired "
        f"clip by clip; only that and the KL depend on variant ({view.variant}) and frames.",
    )


def _shown(rows: Table, switches: tuple[_Switch, ...]) -> Table:
    components = tuple(one.component for one in switches)
    statistics = ("lost_share", "restored_share", "relative_change", "kl_drop", "spearman")
    coinciding = tuple(name for name in rows.distinct("component") if "~" in name)
    return rows.pick(component=(*components, *_BEHIND, *coinciding), statistic=statistics, versus=None)
