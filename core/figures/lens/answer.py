"""How much more each model's lens knows, and where in depth readings settle, in words."""

from collections.abc import Sequence

import numpy as np

from core.analyses.request import Row
from core.analyses.tidy import Curve
from core.figures.layout import number
from core.figures.say import across, listed, signed, spans
from core.figures.view import View
from core.models.info import Role

_GROUPS_SAID = 4


def answer(view: View) -> str:
    """Up to three lines: lens UAR against the reference, where clips settle, where KL is smallest; empty before it is
    known.

    With a split: the last model's difference at its last point, group by group.
    """
    if view.by:
        return _by_group(view)
    return "  \n".join(line for line in (_uar(view), _saturation(view), _kl(view)) if line)


def _uar(view: View) -> str:
    rows = view.table("lens").pick(statistic="uar")
    reference = view.reference.name
    found = [
        (model.name, curve)
        for model in view.others
        if len(curve := rows.curve(model=model.name, versus=reference)) and np.isfinite(curve.value).all()
    ]
    if not found:
        return _uar_levels(view)
    sizes = [f"**{name}** {_signed(curve, -1)} ({_since(curve)})" for name, curve in found]
    text = f"Lens UAR minus {reference}'s at the last point: {listed(sizes)}{across(found[0][1].n, view.speakers())}."
    if len({len(curve) for _, curve in found}) > 1:
        return text
    alike = np.all([(curve.low <= 0) & (curve.high >= 0) for _, curve in found], axis=0)
    return f"{text} No difference is seen at {spans('point', found[0][1].at[alike].tolist())}." if alike.any() else text


def _since(curve: Curve) -> str:
    """From which point on the interval stays on one side of zero."""
    if not np.isfinite(curve.low[-1]):
        return "no interval"
    same = curve.low > 0 if curve.value[-1] > 0 else curve.high < 0
    if not same[-1]:
        return "the interval holds zero"
    doubtful = np.flatnonzero(~same)
    first = int(doubtful[-1]) + 1 if doubtful.size else 0
    return f"from point {curve.at[first]} on" if first < len(curve) - 1 else "only there"


def _uar_levels(view: View) -> str:
    """The last points' own, where no difference is defined."""
    rows = view.table("lens").pick(statistic="uar", versus=None)
    found = [(model.name, curve) for model in view.models if len(curve := rows.curve(model=model.name))]
    if not found:
        return ""
    sizes = [f"**{name}** {_level(curve.value[-1], curve.low[-1], curve.high[-1])}" for name, curve in found]
    return f"Lens UAR at the last point: {listed(sizes)}{across(found[0][1].n, view.speakers())}."


def _saturation(view: View) -> str:
    rows = view.table("lens").pick(component="landmark", statistic="saturation")
    total = len({clip.clip_id for clip in view.clips})
    settled = [(name, row) for name in _names(view) if (row := rows.one(model=name, clip_id=None))]
    there = [f"**{name}** {_row(row)} ({_share(row.n, total)})" for name, row in settled if row.value is not None]
    if not there:
        return "No clip's reading settles on the model's own answer." if settled else ""
    never = [f"**{name}**" for name, row in settled if row.value is None]
    text = f"Readings settle on the model's own answer at point (mean of the clips that do): {listed(there)}"
    return f"{text}; no clip's for {listed(never)}." if never else f"{text}."


def _share(n: int | None, total: int) -> str:
    return f"{n or 0} of {total} clips"


def _kl(view: View) -> str:
    rows = view.table("lens").pick(component="landmark", clip_id=None)
    places: dict[tuple[str, bool], list[str]] = {}
    rises = {}
    for model in view.models:
        lowest, rise = (rows.one(model=model.name, statistic=name) for name in ("kl_min", "kl_rebound"))
        if lowest and lowest.value is not None:
            last = lowest.value == model.shape.layers
            places.setdefault((f"{lowest.value:.0f}", last), []).append(f"**{model.name}**")
            if rise and rise.value and not last:
                rises[model.name] = f"{number(rise.value)} nats" + _brackets(rise)
    if not places:
        return ""
    where = [f"point {point}{', the last,' if last else ''} for {listed(of)}" for (point, last), of in places.items()]
    text = f"KL to that answer is smallest at {listed(where)}"
    if rises:
        text += "; from there it rises again by " + listed([f"{size} (**{name}**)" for name, size in rises.items()])
    commits = [(name, row) for name in _names(view) if (row := rows.one(model=name, statistic="commitment"))]
    there = [f"**{name}** from point {row.value:.0f} on" for name, row in commits if row.value is not None]
    return f"{text}. It stays under 10 % of its maximum for {listed(there) if there else 'no model'}."


def _by_group(view: View) -> str:
    adapters = [model for model in view.others if model.role is Role.LORA] or list(view.others)
    if not adapters:
        return ""
    name, reference = adapters[-1].name, view.reference.name
    found = {}
    for group in view.groups:
        curve = view.table("lens", group).curve(model=name, versus=reference, statistic="uar")
        if len(curve) and np.isfinite(curve.value[-1]):
            found[group] = curve
    if not found:
        return ""
    ordered = sorted(found.items(), key=lambda pair: -pair[1].value[-1])
    kept = ordered if len(ordered) <= _GROUPS_SAID else [ordered[0], ordered[-1]]
    parts = [f"**{group}** {_signed(curve, -1)} ({_since(curve)}{across(curve.n, 0)})" for group, curve in kept]
    between = "" if kept is ordered else f" Between these two lie {len(ordered) - 2} more."
    what = "recall" if view.by == "emotion" else "UAR"
    return f"Lens {what} of **{name}** minus {reference}'s at the last point: {listed(parts)}.{between}"


def _names(view: View) -> Sequence[str]:
    return [model.name for model in view.models]


def _signed(curve: Curve, at: int) -> str:
    low, high = curve.low[at], curve.high[at]
    return signed(float(curve.value[at])) + (f" [{signed(low)}, {signed(high)}]" if np.isfinite(low) else "")


def _level(value: float, low: float, high: float) -> str:
    return number(value) + (f" [{number(low)}, {number(high)}]" if np.isfinite(low) else "")


def _row(row: Row) -> str:
    return number(row.value or 0.0) + _brackets(row)


def _brackets(row: Row) -> str:
    if row.ci_low is None or row.ci_high is None:
        return ""
    return f" [{number(row.ci_low)}, {number(row.ci_high)}]"
