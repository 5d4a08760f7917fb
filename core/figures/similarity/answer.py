"""How alike A and B are, trained and untrained, and where models part from the reference, in words."""

import numpy as np

from core.analyses.tidy import Curve
from core.figures.adapters import adapters, targets
from core.figures.curves import interval
from core.figures.layout import number
from core.figures.say import across, listed, spans
from core.figures.similarity.depths import comparable, depth_curve
from core.figures.similarity.rows import Series, series
from core.figures.view import View
from core.models.info import ModelInfo

_GROUPS_SAID = 4
_NAMED = 3  # adapters whose layers are spelled out


def answer(view: View) -> str:
    """A line on activations, one on gradients, one on the depths that part most; empty before any is known.

    With the linear kernel (in `released` the notebook's own) and the variant's estimator. With a split: the last
    adapter's mean, and the last model's depth, group by group.
    """
    lines = _by_group(view) if view.by else [_released(view) if view.variant == "released" else _aligned(view, False)]
    if not view.by:
        lines += [_aligned(view, True), _depths(view)]
    return "  \n".join(line for line in lines if line)


def _aligned(view: View, gradient: bool) -> str:
    """Mean CKA of A with B of each adapter, untrained beside it, and how many modules leave the null band."""
    kind = "gradients" if gradient else "activations"
    every = series(view.variant, "linear")
    one, counterpart = every[kind], every[f"{kind}_untrained"]
    found = {model.name: _curves(view, one, model) for model in adapters(view)}
    found = {name: of for name, of in found.items() if of}
    if not found:
        return ""
    parts: list[str] = []
    for model in adapters(view):
        if model.name in found:
            untrained = _curves(view, counterpart, model)
            word = "" if parts else "untrained "
            beside = f" ({word}{number(_mean(untrained))})" if untrained else ""
            parts.append(f"**{model.name}** {number(_mean(found[model.name]))}{beside}")
    return f"Mean A-B CKA, {kind}: {', '.join(parts)}; {_above(view, one)}{_apart(view, one, counterpart)}."


def _released(view: View) -> str:
    """The notebook's two series of activations, as what they are."""
    every = series("released", "linear")
    parts = []
    for name in ("activations", "activations_untrained"):
        found = {model.name: of for model in adapters(view) if (of := _curves(view, every[name], model))}
        if found:
            means = listed([f"**{model}** {number(_mean(of))}" for model, of in found.items()])
            parts.append(f"{every[name].name}: mean CKA {means}")
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}." if text else ""


def _above(view: View, one: Series) -> str:
    """Where the series is no higher than what unrelated features give."""
    within = {}
    for model in adapters(view):
        for target in targets([model]):
            rows = one.rows(view, model, target)
            curve, null = one.curve(rows), one.null(rows)
            if not len(null):
                return "one clip's frames have no null band"
            layers = curve.at[curve.value <= null.high].tolist()
            if layers:
                name = model.name if len(targets([model])) == 1 else f"{model.name} ({target})"
                within[name] = spans("layer", layers)
    return _nowhere(within) if within else "all above unrelated"


def _nowhere(within: dict[str, str]) -> str:
    if len(within) > _NAMED:
        return f"no higher than unrelated in layers of {len(within)} adapters"
    return f"no higher than unrelated: {listed([f'{name} in {where}' for name, where in within.items()])}"


def _apart(view: View, one: Series, counterpart: Series) -> str:
    """In how many modules training has changed it: the intervals of trained and untrained do not overlap."""
    apart = total = 0
    for model in adapters(view):
        for trained, untrained in zip(_curves(view, one, model), _curves(view, counterpart, model), strict=False):
            if len(trained) == len(untrained):
                apart += int(((trained.high < untrained.low) | (trained.low > untrained.high)).sum())
                total += int((np.isfinite(trained.low) & np.isfinite(untrained.low)).sum())
    return f", {apart} of {total} differ" if total else ""


def _depths(view: View) -> str:
    """Where each model is least like the reference at the same depth."""
    found = {model.name: depth_curve(view, model, "cka_layers") for model in comparable(view)}
    found = {name: curve for name, curve in found.items() if np.isfinite(curve.value).any()}
    if not found:
        return ""
    places: dict[int, list[str]] = {}
    for name, curve in found.items():
        at, size = _lowest(curve)
        places.setdefault(at, []).append(f"**{name}** {size}")
    parts = "; ".join(f"at point {at}: {', '.join(sizes)}" for at, sizes in places.items())
    first = next(iter(found.values()))
    n = "" if view.total == 1 else across(first.n, view.speakers())
    return f"Least like {view.reference.name} {parts}{n}."


def _by_group(view: View) -> list[str]:
    lines = []
    if models := adapters(view):
        model, one = models[-1], series(view.variant, "linear")["activations"]
        means = {group: _mean(of) for group in view.groups if (of := _curves(view, one, model, group))}
        said = _said({group: (mean, number(mean)) for group, mean in means.items()})
        what = one.name if one.against else "A-B"
        lines.append(f"Mean CKA of **{model.name}**'s activations ({what}): {said}." if said else "")
    if others := comparable(view):
        model = others[-1]
        curves = {group: depth_curve(view, model, "cka_layers", group) for group in view.groups}
        lowest = {group: (curve, *_lowest(curve)) for group, curve in curves.items() if np.isfinite(curve.value).any()}
        said = _said(
            {group: (float(np.nanmin(of.value)), f"{size} at point {at}") for group, (of, at, size) in lowest.items()}
        )
        head = f"**{model.name}**'s CKA with {view.reference.name} is lowest: {said}"
        of_clips = [of for group, (of, _, _) in lowest.items() if _over_clips(view, group)]
        lines.append(f"{head}.{_told_apart(of_clips)}" if said else "")
    return lines


def _said(sizes: dict[str, tuple[float, str]]) -> str:
    """Every group with its size, the lowest first; of many only the two ends."""
    words = [f"{group} {size}" for group, (_, size) in sorted(sizes.items(), key=lambda pair: pair[1][0])]
    if len(words) > _GROUPS_SAID:
        return f"{words[0]} is lowest, {words[-1]} highest of {len(words)} groups"
    return listed(words) if words else ""


def _over_clips(view: View, group: str) -> bool:
    """Whether the group has several clips; of a single one rows are frames, which have no null band."""
    return bool(len(view.table("cka", group).pick(statistic="cka_layers_null")))


def _told_apart(curves: list[Curve]) -> str:
    """Whether the groups' lowest values differ by more than their intervals, and over how many clips they are."""
    if not curves:
        return ""
    places = [int(np.nanargmin(curve.value)) for curve in curves]
    low, high = (
        np.array([getattr(c, side)[at] for c, at in zip(curves, places, strict=True)]) for side in ("low", "high")
    )
    n = sorted({curve.n for curve in curves})
    clips = f" {n[0]} clips each" if len(n) == 1 else f" {n[0]} to {n[-1]} clips each"
    if len(curves) < 2 or not np.isfinite(low).all():
        return f"{clips}."
    return f"{clips}; {'their intervals overlap' if low.max() <= high.min() else 'not all intervals overlap'}."


def _curves(view: View, one: Series, model: ModelInfo, group: str = "") -> list[Curve]:
    """The series in all of the model's modules, a curve a target, as far as there is one."""
    found = [one.curve(one.rows(view, model, target, group)) for target in targets([model])]
    return [curve for curve in found if np.isfinite(curve.value).any()]


def _mean(found: list[Curve]) -> float:
    return float(np.nanmean(np.concatenate([curve.value for curve in found])))


def _lowest(curve: Curve) -> tuple[int, str]:
    """The point where a curve is lowest, and how low."""
    at = int(np.nanargmin(curve.value))
    return int(curve.at[at]), interval(curve.value[at], curve.low[at], curve.high[at])
