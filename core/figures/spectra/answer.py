"""How many directions training leaves, in words."""

import numpy as np

from core.analyses.request import Row
from core.analyses.spectra_result import PAPER_EFFICIENCY
from core.figures.adapters import adapters
from core.figures.layout import number
from core.figures.say import across
from core.figures.view import View

_GROUPS_SAID = 4


def answer(view: View) -> str:
    """Mean SV90 of activations, trained against untrained, and what the paper reports; empty before it is known.

    With a split: the last adapter's ratios, group by group.
    """
    return _by_group(view) if view.by else _by_model(view)


def _by_model(view: View) -> str:
    lines = []
    counted: Row | None = None
    ratios: list[Row] = []
    for model in adapters(view):
        parts = []
        for component in ("A", "B"):
            trained, ratio = _mean(view, model.name, component), _ratio(view, model.name, component)
            if trained is None:
                continue
            counted = trained
            before = None if ratio is None else _mean(view, str(ratio.versus), component)
            if ratio is None or before is None:
                parts.append(f"{component} {_size(trained)}")
            else:
                ratios.append(ratio)
                parts.append(f"{component} {_size(before)} → **{_size(trained)}** ({_times(ratio)})")
        if parts:
            lines.append(f"**{model.name}**: {', '.join(parts)}.")
    if not lines or counted is None:
        return ""
    head = "Directions that hold 90 % of the activations, mean over modules"
    if ratios:
        head += ", untrained → trained and their ratio"
    elif view.done:
        head += ", without an untrained counterpart"
    last = [_paper(ratios)] if ratios else []
    return "  \n".join([f"{head}{across(counted.n or 0, view.speakers())}:", *lines, *last])


def _paper(ratios: list[Row]) -> str:
    """What the paper has, and whether those of ours that are clear of 1 go the same way."""
    a, b = (PAPER_EFFICIENCY[component, False][1] for component in ("A", "B"))
    clear = [ratio for ratio in ratios if not _holds_one(ratio)]
    fewer = [(ratio.value or 0) > 1 for ratio in clear]
    if not clear:
        verdict = "these clips can't tell whether that holds here"
    elif all(fewer):
        verdict = "the same direction" + ("" if len(clear) == len(ratios) else " where the interval tells")
    else:
        verdict = "partly the same direction" if any(fewer) else "the other direction"
    return f"The paper reports ratios of {a:g} for A and {b:g} for B (large-v2, r=32): {verdict}."


def _by_group(view: View) -> str:
    trained = [model for model in adapters(view) if any(_ratio(view, model.name, "A", group) for group in view.groups)]
    if not trained:
        return ""
    name = trained[-1].name
    found = {group: ratio for group in view.groups if (ratio := _ratio(view, name, "A", group)) and ratio.value}
    ordered = sorted(found.items(), key=lambda pair: -(pair[1].value or 0))
    kept = ordered if len(ordered) <= _GROUPS_SAID else [ordered[0], ordered[-1]]
    lines = []
    for group, ratio in kept:
        b = _ratio(view, name, "B", group)
        sizes = f"A {_times(ratio)}" + (f", B {_times(b)}" if b else "")
        lines.append(f"**{group}**: {sizes}{across(ratio.n or 0, 0)}.")
    if len(kept) < len(ordered):
        lines.insert(1, f"Between these two lie {len(ordered) - 2} more.")
    head = f"Times fewer directions that hold 90 % of **{name}**'s activations than of its untrained counterpart's"
    return "  \n".join([f"{head}, mean over modules:", *lines])


def _mean(view: View, model: str, component: str) -> Row | None:
    row = view.table("spectra").one(model=model, component=component, statistic="sv90", module=None)
    return row if row is not None and row.value is not None else None


def _ratio(view: View, model: str, component: str, group: str = "") -> Row | None:
    row = view.table("spectra", group).one(model=model, component=component, statistic="efficiency")
    return row if row is not None and row.value is not None else None


def _size(row: Row) -> str:
    return number(np.nan if row.value is None else row.value)


def _times(row: Row) -> str:
    low, high = row.ci_low, row.ci_high
    span = "" if low is None or high is None else f" [{number(low)}, {number(high)}]"
    return f"{_size(row)}×{span}" + (", the interval holds 1" if _holds_one(row) else "")


def _holds_one(row: Row) -> bool:
    return row.ci_low is not None and row.ci_high is not None and row.ci_low <= 1 <= row.ci_high
