"""What a layer's output is worth: accuracy, loss and confidence after a layer was skipped."""

from core.figures.causal.answer import answer_erasure
from core.figures.causal.parts import BANDS, LOST, RESTORED, THIRD, column, level, model_of, rows_of, style
from core.figures.curves import Line, Panel, curves
from core.figures.depth_axis import DepthAxis
from core.figures.drawing import Drawing
from core.figures.view import View

MEASURES = {"accuracy": "accuracy", "loss": "loss (nats)", "confidence": "confidence"}
ERASED = {
    "erase": ("this layer alone", style(LOST, "circle")),
    "erase_first": ("this and all below", style(RESTORED, "square", "dash")),
    "erase_last": ("this and all above", style(THIRD, "diamond", "dot")),
}


def erasure(view: View) -> Drawing:
    """Levels above, with the intact model as a dotted line; below, the change to it."""
    model, rows = model_of(view), rows_of(view)
    lines, panels = [], []
    for change in (False, True):
        for i, (measure, name) in enumerate(MEASURES.items()):
            place = i + len(MEASURES) * change
            statistic = f"{measure}_change" if change else measure
            title = f"change in {name}" if change else name
            limits = (-0.03, 1.03) if measure != "loss" and not change else None
            panels.append(
                Panel(title, "minus intact" if change else "level", f"{measure} {change}", zero=change, range=limits)
            )
            for component, (erased, look) in ERASED.items():
                curve = rows.curve(component=component, statistic=statistic)
                what = f"{model.name}<br>{erased} erased<br>{title}"
                lines.append(Line(erased, what, look, curve, model.shape.layers, place))
    depth = DepthAxis.of(view.models, "layer")
    figure = curves(lines, panels, depth, columns=len(MEASURES), stacked=view.narrow, height=170)
    for i, measure in enumerate(MEASURES):
        for place in (i, i + len(MEASURES)):
            if not view.narrow:
                column(figure, place, i, len(MEASURES))
        intact = rows.one(component="intact", statistic=measure)
        level(figure, i, intact.value if intact else None, "intact")
    statistics = tuple(name for measure in MEASURES for name in (measure, f"{measure}_change"))
    return Drawing(
        figure,
        {"": rows.pick(component=("intact", *ERASED), statistic=statistics)},
        f"Accuracy, loss and confidence after layers were erased. {answer_erasure(view)}",
        "An erased layer hands on what it was given, as if it were not there. Above: how the model then does "
        "(confidence is the label's probability); dotted, the model as it is. Below: minus that, paired clip by clip; "
        "where a band leaves zero, the layer is missed. Every later layer then reads what it never saw in training, so "
        f"a loss is not yet proof that the layer knew something. {BANDS}",
        r"\text{out}_l := h_l \qquad \text{loss} = -\ln \pi_y \qquad \text{confidence} = \pi_y",
        "The same in all variants. h is the residual stream that enters layer l, y the clip's label (the model's own "
        "prediction where there is none). The authors' code erases from the bottom up.",
    )
