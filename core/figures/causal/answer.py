"""Which layers' LoRA the model needs, in words: computed from the rows, and honest where they can't tell."""

from collections.abc import Sequence

import numpy as np

from core.analyses.request import Row
from core.analyses.tidy import Curve, Table
from core.figures.causal.parts import known, model_of, row_sized, rows_of, sized
from core.figures.layout import number
from core.figures.say import across, listed, signed, spans
from core.figures.view import View

_ENOUGH = 0.9  # of LoRA's effect: what counts as all of it
_SIDES = {"write": "where it writes most", "kl_drop": "where the reading nears the answer most"}


def answer_layers(view: View) -> str:
    """Which layers' LoRA is needed, whether one is enough, and whether writing and mattering coincide; empty before
    it is known."""
    rows, name = rows_of(view), model_of(view).name
    lost = rows.curve(component="without", statistic="lost_share")
    restored = rows.curve(component="only", statistic="restored_share")
    if not known(lost):
        return ""
    rest = f"{_enough(restored)} {_coincide(rows)}".strip()
    return f"{_needed(lost, name, view.speakers())}  \n{rest}".rstrip()


def _needed(lost: Curve, name: str, speakers: int) -> str:
    at = int(np.nanargmax(lost.value))
    who = across(lost.n, speakers)
    if not np.isfinite(lost.low[at]):
        return (
            f"**{name}** loses most without **layer {lost.at[at]}**'s LoRA: {sized(lost, at)} of its effect{who}; "
            "there is no interval."
        )
    if lost.low[at] <= 0:
        return (
            f"**{name}** can't be shown to need any single layer's LoRA: the most that is lost, {_at(lost, at)}{who}."
        )
    text = (
        f"**{name}** needs **layer {lost.at[at]}**'s LoRA most: without it {sized(lost, at)} of LoRA's effect is lost"
    )
    rivals = [int(lost.at[i]) for i in range(len(lost)) if i != at and lost.high[i] >= lost.low[at]]
    text += f"{who}. "
    if len(rivals) == len(lost) - 1:
        text += "Yet its interval overlaps those of all others. "
    else:
        text += f"Its interval overlaps {_possessive(rivals)}. " if rivals else "No other layer comes near. "
    idle = lost.at[(lost.low <= 0) & (lost.high >= 0)].tolist()
    return text + (f"No loss is seen without {spans('layer', idle)}." if idle else "Every layer's is missed.")


def _possessive(layers: list[int]) -> str:
    return f"that of {spans('layer', layers)}" if len(layers) == 1 else f"those of {spans('layer', layers)}"


def _enough(restored: Curve) -> str:
    if not known(restored):
        return ""
    at = int(np.nanargmax(restored.value))
    best = f"layer {restored.at[at]} alone restores {sized(restored, at)}"
    if not np.isfinite(restored.low[at]):
        return f"Of single layers, {best}; without an interval nobody can say whether that is enough."
    if restored.low[at] >= _ENOUGH:
        return f"One layer is enough: {best} of it."
    if restored.high[at] < _ENOUGH:
        return f"No single layer is enough: the best, {best} of it."
    return f"Whether one layer is enough can't be told: {best} of it."


def _coincide(rows: Table) -> str:
    """Whether the layers that are missed are those that write, or where the lens gains."""
    told: list[str] = []
    open_: list[str] = []
    for side, where in _SIDES.items():
        row = rows.one(component=f"without~{side}", statistic="spearman")
        if row is None or row.value is None:
            continue
        if row.ci_low is not None and row.ci_high is not None and (row.ci_low > 0 or row.ci_high < 0):
            told.append(f"{'most' if row.value > 0 else 'least'} {where} (rank correlation {row_sized(row)})")
        else:
            open_.append(where)
    sentences = [f"LoRA matters {listed(told)}."] if told else []
    sentences += (
        [f"Whether {'it' if told else 'LoRA'} matters most {' or '.join(open_)} can't be told."] if open_ else []
    )
    return " ".join(sentences)


def _at(curve: Curve, at: int) -> str:
    return f"{sized(curve, at)} at layer {curve.at[at]}"


def answer_erasure(view: View) -> str:
    """Which layer's output is missed most, and how many layers could go from the top; empty before it is known."""
    rows, name = rows_of(view), model_of(view).name
    alone = rows.curve(component="erase", statistic="accuracy_change")
    if not known(alone):
        return ""
    at = int(np.nanargmin(alone.value))
    value, low, high = (float(one[at]) for one in (alone.value, alone.low, alone.high))
    size = signed(value) + (f" [{signed(low)}, {signed(high)}]" if np.isfinite(low) else "")
    who = across(alone.n, view.speakers())
    if value >= 0:
        text = f"No single layer's erasure lowers **{name}**'s accuracy{who}."
    elif not np.isfinite(low):
        text = f"Erasing **layer {alone.at[at]}** alone lowers **{name}**'s accuracy most: {size}{who}; no interval."
    elif high >= 0:
        text = f"No single layer of **{name}** is missed in accuracy: at most {size} without layer {alone.at[at]}{who}."
    else:
        text = f"**{name}** misses **layer {alone.at[at]}** most: {size} in accuracy without it{who}."
        same = alone.at[(alone.low <= 0) & (alone.high >= 0)].tolist()
        text += f" No change is seen without {spans('layer', same)}." if same else " Each layer alone is missed."
    return f"{text}  \n{_spare(rows)}".rstrip()


def _spare(rows: Table) -> str:
    """How far one can erase from the top before accuracy changes."""
    last = rows.curve(component="erase_last", statistic="accuracy_change")
    if not known(last) or not np.isfinite(last.low).any():
        return ""
    needed = np.flatnonzero(~((last.low <= 0) & (last.high >= 0)))
    first = int(needed[-1]) + 1 if needed.size else 0
    if first >= len(last):
        return "From the top, not even the last layer can go without a change in accuracy."
    if first == 0:
        return "Even all layers erased together change accuracy by no more than its interval: these clips can't tell."
    return (
        f"Erased from the top, {spans('layer', last.at[first:].tolist())} can go before a change in accuracy is seen."
    )


def answer_patching(view: View) -> str:
    """Which copy restores most and which takes most, a line a direction; empty before it is known."""
    rows = rows_of(view)
    said: list[str] = []
    for statistic, where, does in (
        ("restored_share", "from clean into corrupt", "restores"),
        ("lost_share", "from corrupt into clean", "takes"),
    ):
        picked = rows.pick(statistic=statistic, component=COPIED).rows()
        found = [row for row in picked if row.layer is not None and row.value is not None]
        if found:
            best = max(found, key=lambda row: row.value or 0.0)
            which = f"**{NAMES[str(best.component)]} of layer {best.layer}**"
            pairs = "" if said else f"; {number_of(best.n)}"
            said.append(f"Copied {where}, {which} {does} most: {row_sized(best)}{_doubt(best, found)}{pairs}")
    if not said:
        return ""
    return ".  \n".join(said) + "."


def _doubt(best: Row, found: Sequence[Row]) -> str:
    """What the largest share's interval leaves open."""
    low = best.ci_low
    if low is None:
        return ", without an interval"
    if low <= 0:
        return ", which may be nothing"
    near = sum(row is not best and row.ci_high is not None and row.ci_high >= low for row in found)
    return f" ({near} of {len(found) - 1} others' intervals overlap it)" if near else ", more than all others"


NAMES = {"attention": "attention", "mlp": "MLP", "lora": "LoRA", "residual": "residual stream"}
COPIED = tuple(NAMES)


def number_of(count: float | None) -> str:
    """`64 pairs`."""
    whole = 0 if count is None else round(count)
    return f"{number(whole) if whole >= 1000 else whole} pair{'' if whole == 1 else 's'}"
