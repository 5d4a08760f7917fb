"""How much more each model's lens knows, and where in depth readings settle, in words."""

import numpy as np

from core.analyses.request import Row
from core.analyses.tidy import Curve
from core.figures.curves import interval
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
    right = _uar(view) if len(view.clips) > 1 else ""  # one clip has no recall worth a word
    return "  \n".join(line for line in (right, _saturation(view), _kl(view)) if line)


def _uar(view: View) -> str:
    rows = view.table("lens").over_clips.pick(statistic="uar")
    reference = view.reference.name
    found = [
        (model.name, curve)
        for model in view.others
        if len(curve := rows.curve(model=model.name, versus=reference)) and np.isfinite(curve.value).all()
    ]
    if not found:
        return _uar_levels(view)
    sizes = [f"**{name}** {_last(curve)} ({_since(curve)})" for name, curve in found]
    text = f"Lens UAR at the last point, minus {reference}'s: {listed(sizes)}{across(found[0][1].n, view.speakers())}."
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
        return "holds zero"
    doubtful = np.flatnonzero(~same)
    first = int(doubtful[-1]) + 1 if doubtful.size else 0
    return f"from point {curve.at[first]} on" if first < len(curve) - 1 else "only there"


def _uar_levels(view: View) -> str:
    """The last points' own, where no difference is defined."""
    rows = view.table("lens").over_clips.pick(statistic=("kl", "uar"), versus=None)
    found = [
        (model.name, curve) for model in view.models if len(curve := rows.curve(model=model.name, statistic="uar"))
    ]
    if not found:
        return "These clips have no labels: whether the lens is right, nobody knows." if len(rows) else ""
    sizes = [f"**{name}** {interval(curve.value[-1], curve.low[-1], curve.high[-1])}" for name, curve in found]
    return f"Lens UAR at the last point: {listed(sizes)}{across(found[0][1].n, view.speakers())}."


def _saturation(view: View) -> str:
    rows = view.table("lens").over_clips.pick(component="landmark", statistic="saturation")
    total = len({clip.clip_id for clip in view.clips})
    found = [(model.name, row) for model in view.models if (row := rows.one(model=model.name))]
    there = [(name, row) for name, row in found if row.value is not None]
    if not there:
        return "No clip's reading settles on the model's own answer." if found else ""
    never = [f"**{name}**" for name, row in found if row.value is None]
    counts = [f"{row.n} of {total} clips" if i == 0 else f"{row.n}" for i, (_, row) in enumerate(there)]
    points = [f"**{name}** {row.value:.3g} ({count})" for (name, row), count in zip(there, counts, strict=True)]
    text = f"Mean point where readings settle on the answer: {listed(points)}"
    return f"{text}; never for {listed(never)}." if never else f"{text}."


def _kl(view: View) -> str:
    rows = view.table("lens").over_clips.pick(component="landmark")
    places: dict[str, list[str]] = {}
    for model in view.models:
        lowest, rise = (rows.one(model=model.name, statistic=name) for name in ("kl_min", "kl_rebound"))
        if lowest is None or lowest.value is None:
            continue
        last = lowest.value == model.shape.layers
        again = "" if last or not rise or rise.value is None else f" (then rises by {_row(rise)} nats)"
        where = "at the last point" if last else f"at point {lowest.value:.0f}"
        places.setdefault(where, []).append(f"**{model.name}**{again}")
    if not places:
        return ""
    return f"KL to the answer is smallest {'; '.join(f'{where} for {listed(of)}' for where, of in places.items())}."


def _by_group(view: View) -> str:
    adapters = [model for model in view.others if model.role is Role.LORA] or list(view.others)
    if not adapters:
        return ""
    name, reference = adapters[-1].name, view.reference.name
    found = {}
    for group in view.groups:
        curve = view.table("lens", group).over_clips.curve(model=name, versus=reference, statistic="uar")
        if len(curve) and np.isfinite(curve.value[-1]):
            found[group] = curve
    if not found:
        return ""
    ordered = sorted(found.items(), key=lambda pair: -pair[1].value[-1])
    kept = ordered if len(ordered) <= _GROUPS_SAID else [ordered[0], ordered[-1]]
    parts = [f"**{group}** {_last(curve)} ({_since(curve)}{across(curve.n, 0)})" for group, curve in kept]
    between = "" if kept is ordered else f" Between these two lie {len(ordered) - 2} more."
    what = "recall" if view.by == "emotion" else "UAR"
    return f"Lens {what} of **{name}** minus {reference}'s at the last point: {listed(parts)}.{between}"


def _last(curve: Curve) -> str:
    low, high = curve.low[-1], curve.high[-1]
    return signed(float(curve.value[-1])) + (f" [{signed(low)}, {signed(high)}]" if np.isfinite(low) else "")


def _row(row: Row) -> str:
    low, high = (np.nan if bound is None else bound for bound in (row.ci_low, row.ci_high))
    return interval(np.nan if row.value is None else row.value, low, high)
