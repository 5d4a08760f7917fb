"""Whether the other analyses tell the highest rank from the lowest: a sentence a metric."""

import numpy as np

from core.analyses.tidy import Curve, Table
from core.figures.adapters import adapters, modules
from core.figures.curves import interval
from core.figures.lens import CURVES
from core.figures.ranks.verdicts import extremes, judge
from core.figures.say import spans
from core.figures.view import View
from core.models.info import ModelInfo

_KINDS = {"A activations": ("A", "sv90"), "A gradients": ("A", "grad_sv90"), "B activations": ("B", "sv90")}


def contribution_verdicts(view: View) -> list[str]:
    """Of what attention and MLP write; the lowest rank is the view's reference."""
    rows = view.table("contributions").over_clips.pick(statistic="relative")
    names = {"attention": "What attention writes", "mlp": "What the MLP writes"}
    return _paired(view, {name: rows.pick(component=component) for component, name in names.items()}, "layer")


def lens_verdicts(view: View) -> list[str]:
    """Of KL, overlap, accuracy and UAR over points; the lowest rank is the view's reference."""
    rows = view.table("lens").over_clips
    return _paired(view, {name: rows.pick(statistic=statistic) for name, statistic in CURVES.items()}, "point")


def spectrum_verdicts(view: View) -> list[str]:
    """Of the mean SV90 over modules. No paired difference is computed: intervals apart differ, others may too."""
    ends = extremes(adapters(view))
    if ends is None:
        return []
    found = []
    rows = view.table("spectra").over_clips.pick(module=None)
    for name, (component, statistic) in _KINDS.items():
        sides = [rows.one(model=model.name, component=component, statistic=statistic) for model in ends]
        said = []
        for model, row in zip(ends, sides, strict=True):
            if row is None or row.value is None:
                break
            value, low, high = (np.nan if one is None else one for one in (row.value, row.ci_low, row.ci_high))
            said.append((model.name, value, low, high))
        if len(said) == len(ends):
            (lower, *one), (higher, *other) = said
            how = _apart(one[1], one[2], other[1], other[2])
            found.append(f"**SV90 of {name}**: {lower} {interval(*one)}, {higher} {interval(*other)}: {how}.")
    return found


def similarity_verdicts(view: View, target: str) -> list[str]:
    """Of CKA of A with B, layer by layer; again by whether intervals are apart."""
    ends = extremes(adapters(view))
    if ends is None:
        return []
    found = []
    rows = view.table("cka").over_clips.pick(component="A-B", versus=None)
    for name, statistic in {"A-B CKA of activations": "cka", "A-B CKA of gradients": "grad_cka"}.items():
        one, other = (_curve(rows, model, target, statistic) for model in ends)
        if len(one) and len(one) == len(other) and np.isfinite(one.low).any() and np.isfinite(other.low).any():
            apart = one.at[(one.high < other.low) | (one.low > other.high)].tolist()
            where = f"apart at {spans('layer', apart)}" if apart else "apart nowhere"
            of = f"the intervals of {ends[0].name} and {ends[1].name} are {where}"
            found.append(f"**{name}**: {of}, of {len(one)} layers.")
    return found


def _curve(rows: Table, model: ModelInfo, target: str, statistic: str) -> Curve:
    return rows.curve(model=model.name, statistic=statistic, module=modules(model, target))


def _paired(view: View, tables: dict[str, Table], unit: str) -> list[str]:
    ends = extremes(adapters(view))
    if ends is None:
        return []
    lower, higher = ends
    of = f"{higher.name} − {lower.name}"
    said = [judge(name, of, rows.curve(model=higher.name, versus=lower.name), unit) for name, rows in tables.items()]
    return [text for text in said if text]


def _apart(low: float, high: float, other_low: float, other_high: float) -> str:
    if not np.isfinite([low, high, other_low, other_high]).all():
        return "there is no interval"
    return "the intervals are apart" if high < other_low or other_high < low else "the intervals overlap"
