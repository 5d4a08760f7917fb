"""What each layer writes into the residual stream, over depth (Ma, Sang, Li, section 3.2, Fig. 1)."""

from typing import Literal

from core.figures.contributions.answer import NAMES, answer
from core.figures.curves import Line, Panel, curves
from core.figures.depth_axis import DepthAxis
from core.figures.drawing import Drawing
from core.figures.groups import grouped
from core.figures.theme import component_style
from core.figures.view import View

Statistic = Literal["relative", "cosine"]
COMPONENTS = ("attention", "mlp", "sum")

UNIT = {"relative": "relative contribution", "cosine": "cosine"}
_FORMULA = {
    "relative": r"\frac{1}{n}\sum_{\text{clips}} \frac{1}{|F|}\sum_{f \in F} "
    r"\frac{\lVert c_{l,f} \rVert_2}{\max(\lVert h_{l,f} \rVert_2,\, 10^{-6})}, \quad c \in \{a,\; m,\; a + m\}",
    "cosine": r"\frac{1}{n}\sum_{\text{clips}} \frac{1}{|F|}\sum_{f \in F} \cos(c_{l,f},\, h_{l,f}), "
    r"\quad c \in \{a,\; m,\; a + m\}",
}
_NOTE = (
    "h is the residual stream that enters layer l, a its attention's output, m its MLP's, F the chosen frames. "
    "All three variants compute the same; only the frames differ. Differences are paired clip by clip."
)
_BANDS = "Shaded: 95 % intervals, Student t over speakers up to 19 of them, from 20 a bootstrap over speakers."


def main(view: View, statistic: Statistic, component: str = "sum", *, difference: bool = False) -> Drawing:
    """Each component's curve, above for each model, below minus the reference.

    With a split: `component` alone, a panel a model, of each model or, with `difference`, minus the reference.
    """
    depth = DepthAxis.of(view.models, "layer")
    if view.by:
        figure, numbers = grouped(
            view,
            "contributions",
            depth,
            "layer",
            UNIT[statistic],
            difference=difference,
            statistic=statistic,
            component=component,
        )
    else:
        rows = view.table("contributions").pick(statistic=statistic, component=COMPONENTS)
        numbers = {"": rows}
        lines = []
        for i, name in enumerate(COMPONENTS):
            for model in view.models:
                for versus in (None, view.reference.name) if view.others else (None,):
                    curve = rows.curve(model=model.name, versus=versus, component=name)
                    what = f"{model.name}<br>{NAMES[name]}" + (f" minus {versus}" if versus else "")
                    panel = i + (3 if versus else 0)
                    lines.append(Line(model.name, what, view.styles[model.name], curve, model.shape.layers, panel))
        panels = [Panel(NAMES[name], UNIT[statistic], "level") for name in COMPONENTS]
        if view.others:
            titles = [f"{NAMES[name]} − {view.reference.name}" for name in COMPONENTS]
            panels += [Panel(title, "difference", "difference", zero=True) for title in titles]
        figure = curves(lines, panels, depth, columns=3, stacked=view.narrow, height=165)
    how = (
        "How large what a layer adds is, compared with what it reads (1 would double it)"
        if statistic == "relative"
        else "Whether what a layer adds points along what it reads (1), across it (0) or against it (−1)"
    )
    lower = f"The lower row is each model minus {view.reference.name}: where a band leaves zero, they differ. "
    return Drawing(
        figure,
        numbers,
        f"{UNIT[statistic].capitalize()} over layers. {answer(view)}",
        f"{how}. {lower if view.others else ''}{_BANDS}",
        _FORMULA[statistic],
        _NOTE,
    )


def norms(view: View) -> Drawing:
    """How large the residual stream is at each point."""
    depth = DepthAxis.of(view.models, "layer")
    if view.by:
        figure, numbers = grouped(view, "contributions", depth, "point", "mean ‖h‖", statistic="residual_norm")
    else:
        rows = view.table("contributions").pick(statistic="residual_norm")
        numbers = {"": rows}
        lines = [
            Line(
                model.name,
                model.name,
                view.styles[model.name],
                rows.curve(model=model.name, versus=None),
                model.shape.layers,
                kind="point",
            )
            for model in view.models
        ]
        figure = curves(lines, [Panel("residual norm", "mean ‖h‖")], depth, columns=1, stacked=view.narrow, height=300)
    return Drawing(
        figure,
        numbers,
        "Mean norm of the residual stream at each point of depth.",
        "How large the stream is that the layers write into. Points lie between layers: point 0 is what enters layer "
        f"0. A relative contribution shrinks where this grows. {_BANDS}",
        r"\frac{1}{n}\sum_{\text{clips}} \frac{1}{|F|}\sum_{f \in F} \lVert h_{l,f} \rVert_2",
        _NOTE,
    )


def padding(view: View, statistic: Statistic) -> Drawing:
    """What counting the padding does: all frames minus the frames that hold audio."""
    depth = DepthAxis.of(view.models, "layer")
    if view.by:
        figure, numbers = grouped(
            view,
            "contributions",
            depth,
            "layer",
            "all − audio",
            diverging=True,
            statistic=f"padding_{statistic}",
            component="sum",
        )
    else:
        rows = view.table("contributions").pick(statistic=f"padding_{statistic}")
        numbers = {"": rows}
        lines = [
            Line(
                NAMES[name],
                f"{model.name}<br>{NAMES[name]}, all minus audio frames",
                component_style(view.styles[model.name], name),
                rows.curve(model=model.name, component=name),
                model.shape.layers,
                i,
            )
            for i, model in enumerate(view.models)
            for name in COMPONENTS
        ]
        panels = [Panel(model.name, "all − audio", "all", zero=True) for model in view.models]
        figure = curves(lines, panels, depth, columns=min(4, len(panels)), stacked=view.narrow, height=260)
    return Drawing(
        figure,
        numbers,
        f"{UNIT[statistic].capitalize()} over all frames minus over audio frames, by layer.",
        "Whisper pads every clip to its window. Where a line leaves zero, averaging over all frames says something "
        f"else than averaging over the frames with sound. It does not depend on which frames are chosen. {_BANDS}",
        r"\frac{1}{n}\sum_{\text{clips}} \big( \bar{r}_{\text{all}} - \bar{r}_{\text{audio}} \big)",
        _NOTE,
    )
