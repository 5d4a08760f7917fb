"""Where models write differently from the reference, in words."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.figures.curves import interval
from core.figures.say import across, capital, listed, signed, spans
from core.figures.view import View

NAMES = {"attention": "attention", "mlp": "MLP", "sum": "attention + MLP"}
_GROUPS_SAID = 4


def answer(view: View) -> str:
    """Where models write differently from the reference, most of all and at all; empty before it is known.

    With a split: the largest differences of the last model, group by group.
    """
    if view.by:
        return _by_group(view)
    if not view.others:
        return _alone(view)
    found = [one for model in view.others if (one := _largest(view, model.name))]
    if not found:
        return ""
    places: dict[tuple[str, int, bool], list[_Largest]] = {}
    for one in found:
        places.setdefault((one.component, one.layer, one.value > 0), []).append(one)
    sentences = []
    for (component, layer, more), of in places.items():
        sizes = listed([f"**{one.model}** {one.size}" for one in of])
        verb = "writes more" if more else "writes less"
        sentences.append(f"{capital(NAMES[component])} at layer {layer} {verb} than {view.reference.name}'s: {sizes}")
    text = "; ".join(sentences)
    unsure = [one.model for one in found if one.low <= 0 <= one.high]
    text = f"{text} (largest differences of relative contribution{across(found[0].n, view.speakers())})."
    if any(np.isnan(one.low) for one in found):
        return f"{text} There are no intervals."
    if unsure:
        text += f" For {listed(unsure)} even that one's interval holds zero."
    return f"{text}  \n{_alike(found)}"


@dataclass(frozen=True)
class _Largest:
    """A model's largest difference, and the layers where neither attention nor MLP differs."""

    model: str
    component: str
    layer: int
    value: float
    low: float
    high: float
    n: int
    alike: tuple[int, ...]

    @property
    def size(self) -> str:
        return signed(self.value) + (f" [{signed(self.low)}, {signed(self.high)}]" if np.isfinite(self.low) else "")


def _alone(view: View) -> str:
    """Where the only model writes most."""
    rows = view.table("contributions").pick(model=view.reference.name, versus=None, statistic="relative")
    curve = rows.curve(component="sum")
    if not len(curve) or not np.isfinite(curve.value).any():
        return ""
    at = int(np.nanargmax(curve.value))
    size = interval(float(curve.value[at]), float(curve.low[at]), float(curve.high[at]))
    return (
        f"**{view.reference.name}** writes most at layer {curve.at[at]}: a relative contribution of {size}"
        f"{across(curve.n, view.speakers())}. With one model there is nothing to compare."
    )


def _by_group(view: View) -> str:
    if not view.others:
        return ""
    model = view.others[-1].name
    found = {group: one for group in view.groups if (one := _largest(view, model, group))}
    if not found:
        return ""
    ordered = sorted(found.items(), key=lambda pair: -abs(pair[1].value))
    kept = ordered if len(ordered) <= _GROUPS_SAID else [ordered[0], ordered[-1]]
    parts = [
        f"**{group}** {one.size} ({NAMES[one.component]}, layer {one.layer}{across(one.n, 0)})" for group, one in kept
    ]
    which = "" if kept is ordered else f" Between these two lie {len(ordered) - 2} more."
    reference = view.reference.name
    return f"Where **{model}** differs most from {reference} in relative contribution: {listed(parts)}.{which}"


def _largest(view: View, model: str, group: str = "") -> _Largest | None:
    rows = view.table("contributions", group).pick(model=model, versus=view.reference.name, statistic="relative")
    curves_ = {name: rows.curve(component=name) for name in ("attention", "mlp")}
    known = {name: curve for name, curve in curves_.items() if len(curve) and np.isfinite(curve.value).all()}
    if not known:
        return None
    name, curve = max(known.items(), key=lambda pair: float(np.abs(pair[1].value).max()))
    layer = int(np.abs(curve.value).argmax())
    differs = np.any([(one.low > 0) | (one.high < 0) for one in known.values()], axis=0)
    value, low, high = (float(array[layer]) for array in (curve.value, curve.low, curve.high))
    return _Largest(model, name, int(curve.at[layer]), value, low, high, curve.n, tuple(curve.at[~differs].tolist()))


def _alike(found: Sequence[_Largest]) -> str:
    """The layers that do not differ, models with the same ones together."""
    groups: dict[tuple[int, ...], list[str]] = {}
    for one in found:
        groups.setdefault(one.alike, []).append(one.model)
    sentences = []
    for layers, models in groups.items():
        who = "" if len(groups) == 1 else f" for {listed(models)}"
        if layers:
            sentences.append(f"No difference is seen in {spans('layer', layers)}{who}")
        else:
            sentences.append(f"Every layer differs in attention or MLP{who}")
    return f"{'. '.join(sentences)}."
