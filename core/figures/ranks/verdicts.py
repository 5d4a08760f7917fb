"""Whether ranks differ by more than their intervals, a sentence a metric; and the paper's claim, on these data."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from core.analyses.request import Row
from core.analyses.tidy import Curve
from core.figures.layout import number
from core.figures.ranks.chosen import curve, pairs
from core.figures.say import across, listed, signed, spans
from core.figures.view import View
from core.models.info import ModelInfo

ALL = "all clips"
CLAIM = ("neutral", "sadness", "anger", "happiness")  # in rising sensitivity to rank, as the paper has it


@dataclass(frozen=True)
class Metric:
    """A measure of separation, what it is called over all clips and over one emotion's, and its control."""

    name: str
    unit: str
    every: str
    recall: str = ""
    control: str = ""

    def statistic(self, of: str | None) -> str:
        """The rows' name."""
        return self.recall if of and self.recall else self.every

    def named(self, of: str | None) -> tuple[str, str]:
        """Title and unit."""
        return ("probe recall", "recall") if of and self.recall else (self.name, self.unit)


METRICS = (
    Metric("silhouette", "silhouette", "silhouette"),
    Metric("kNN purity", "share of neighbours", "knn_purity"),
    Metric("probe UAR", "mean recall", "probe_uar", "probe_recall", "probe_uar_shuffled"),
)


def extremes(models: Sequence[ModelInfo]) -> tuple[ModelInfo, ModelInfo] | None:
    """The lowest and the highest rank; None where there are no two."""
    return (models[0], models[-1]) if len(models) > 1 else None


def exceeds(found: Curve) -> np.ndarray:
    """The layers whose interval does not hold zero, signed: positive where the difference is."""
    return np.where(found.low > 0, 1, np.where(found.high < 0, -1, 0))


def judge(name: str, of: str, found: Curve, unit: str = "layer") -> str:
    """One sentence: where a paired difference leaves zero, and how large it is there (or anywhere) at most. Empty
    without a number."""
    if not np.isfinite(found.value).any():
        return ""
    signs = exceeds(found)
    at = int(np.nanargmax(np.abs(np.where(signs != 0, found.value, np.nan) if signs.any() else found.value)))
    value, low, high = (float(one[at]) for one in (found.value, found.low, found.high))
    size = signed(value) + (f" [{signed(low)}, {signed(high)}]" if np.isfinite(low) else "")
    if len(found) == 1:
        inside = low <= 0 <= high
        how = "there is no interval" if np.isnan(low) else "within its interval" if inside else "beyond its interval"
        return f"**{name}**: {of} is {size}, {how}."
    largest = f"largest {size} at {unit} {found.at[at]}"
    if not np.isfinite(found.low).any():
        return f"**{name}**: {of} is {largest}; there are no intervals."
    sides = (("above", found.at[signs > 0].tolist()), ("below", found.at[signs < 0].tolist()))
    where = [f"{side} zero at {spans(unit, at)}" for side, at in sides if at]
    if not where:
        return f"**{name}**: {of} does not leave its interval at any of {len(found)} {unit}s ({largest})."
    return f"**{name}**: {of} is {listed(where)} of {len(found)} ({largest})."


def verdicts(view: View, target: str, of: str | None = None) -> list[str]:
    """The highest rank against the lowest, a sentence a metric; none where nothing is known or there is one rank."""
    ends = extremes(view.models)
    if ends is None:
        return []
    lower, higher = ends
    rows = view.table("ranks").over_clips
    found = []
    for metric in METRICS:
        difference = curve(rows, higher, target, metric.statistic(of), of, lower.name)
        found.append(judge(metric.named(of)[0], f"{higher.name} − {lower.name}", difference))
    return [text for text in found if text]


def answer(view: View, target: str) -> str:
    """What the highest rank buys over the lowest in separation; empty before it is known."""
    ends = extremes(view.models)
    rows = view.table("ranks").over_clips
    if ends is None:
        return _alone(view, target)
    lower, higher = ends
    mixed = "better at some layers and worse at others"
    said: dict[str, list[str]] = {"better": [], "worse": [], mixed: [], "": []}
    n = 0
    for metric in METRICS:
        found = curve(rows, higher, target, metric.every, None, lower.name)
        if not np.isfinite(found.low).any():
            continue
        n = max(n, found.n)
        signs = exceeds(found)
        up, down = int((signs > 0).sum()), int((signs < 0).sum())
        how = mixed if up and down else "better" if up else "worse" if down else ""
        said[how].append(metric.name + (f" ({up + down} of {len(found)} layers)" if how else ""))
    if not n:
        return ""
    open_ = said.pop("")
    parts = [f"**{how}** in {listed(names)}" for how, names in said.items() if names]
    who = f"**{higher.name}** separates emotions" if parts else f"Whether **{higher.name}** separates emotions better"
    text = f"{who} {listed(parts)} than **{lower.name}**" if parts else f"{who} than **{lower.name}** can't be told"
    text += f"; in {listed(open_)} no difference is seen" if parts and open_ else ""
    text += f"{across(n, view.speakers())}."
    return f"{text} {_grouping(view, target)}  \n{_between(view, target)}"


def _grouping(view: View, target: str) -> str:
    """Where no rank groups clips by emotion at all, that; a difference alone would sound like more than it is."""
    rows = view.table("ranks").over_clips
    every = np.concatenate([curve(rows, model, target, "silhouette").value for model in view.models])
    if not np.isfinite(every).any() or np.nanmax(every) > 0:
        return ""
    return "Yet every silhouette is below zero: clips lie no nearer to their own emotion than to another."


def _between(view: View, target: str) -> str:
    """How many of all pairs' differences are beyond their intervals, and how many would be by chance."""
    rows = view.table("ranks").over_clips
    signs = [
        exceeds(curve(rows, higher, target, metric.every, None, lower.name))
        for lower, higher in pairs(view.models)
        for metric in METRICS
    ]
    every = np.concatenate(signs)
    beyond = int((every != 0).sum())
    return (
        f"Over all {len(pairs(view.models))} pair{'' if len(view.models) == 2 else 's'} of ranks, {beyond} of "
        f"{len(every)} differences exceed their interval; by chance it would be about {round(0.05 * len(every))}."
    )


def _alone(view: View, target: str) -> str:
    model = view.models[0]
    rows = view.table("ranks").over_clips
    found = curve(rows, model, target, "silhouette")
    if not np.isfinite(found.value).any():
        return ""
    at = int(np.nanargmax(found.value))
    low, high = (number(float(one[at])) for one in (found.low, found.high))
    inside = f" [{low}, {high}]" if np.isfinite(found.low[at]) else ""
    return (
        f"**{model.name}** separates emotions most at layer {found.at[at]}: silhouette "
        f"{number(float(found.value[at]))}{inside}{across(found.n, view.speakers())}. "
        "With one rank there is nothing to compare."
    )


def sensitivities(view: View) -> dict[str, Row]:
    """Each emotion's rank sensitivity that has a number: the claim's in its order, then others."""
    rows = view.table("ranks").pick(statistic="rank_sensitivity")
    found = {row.component: row for row in rows.rows() if row.component and row.value is not None}
    ordered = [name for name in CLAIM if name in found] + [name for name in found if name not in CLAIM]
    return {name: found[name] for name in ordered}


def claim(view: View) -> str:
    """What the paper says of rank sensitivity, the order in these data, and whether they can tell; empty before."""
    found = {name: row for name, row in sensitivities(view).items() if name in CLAIM}
    if len(found) < 2:
        return ""
    ordered = sorted(found, key=lambda name: _value(found[name]))
    expected = [name for name in CLAIM if name in found]
    told, agreed = 0, 0
    for lower, higher in combinations(expected, 2):
        one, other = found[lower], found[higher]
        if None in (one.ci_low, one.ci_high, other.ci_low, other.ci_high):
            continue
        below, above = one.ci_high < other.ci_low, one.ci_low > other.ci_high  # type: ignore[operator]
        told, agreed = told + (below or above), agreed + below
    count = len(expected) * (len(expected) - 1) // 2
    same = "the same order" if ordered == expected else "another order"
    text = f"The paper has **{' < '.join(expected)}**; here it is **{' < '.join(ordered)}**, {same}. "
    if told == 0:
        return f"{text}The intervals of all {count} pairs overlap: these data can't tell which order is true."
    against = told - agreed
    parts = [f"{agreed} as the paper has it"] * bool(agreed) + [f"{against} the other way round"] * bool(against)
    kept = f" The other {count - told} can't be told." if told < count else ""
    return f"{text}Intervals are apart in {told} of {count} pairs: {listed(parts)}.{kept}"


def _value(row: Row) -> float:
    assert row.value is not None  # those without were left out
    return row.value
