"""Means over clips with 95 % intervals that know which clips share a speaker, and the jackknife."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64, Int
from scipy.special import stdtrit

from core.analyses.request import Estimate, Note
from core.corpora.clip import Clip

CONFIDENCE = 0.95
RESAMPLES = 2000
BOOTSTRAP_FROM = 20  # speakers; below it a percentile bootstrap is too narrow, so Student t

Speakers = Sequence[str | None]


@dataclass(frozen=True)
class Band:
    """Values with their 95 % intervals over `n` clips. NaN bounds where there is no interval."""

    value: Float64[np.ndarray, "*shape"]
    low: Float64[np.ndarray, "*shape"]
    high: Float64[np.ndarray, "*shape"]
    n: int

    def __post_init__(self) -> None:
        if not self.value.shape == self.low.shape == self.high.shape:
            raise ValueError(f"Band of {self.value.shape} has bounds {self.low.shape} and {self.high.shape}")

    def at(self, *index: int) -> Estimate:
        """One of the values, with None where a bound is undefined."""
        low, high = float(self.low[index]), float(self.high[index])
        return Estimate(
            float(self.value[index]), None if np.isnan(low) else low, None if np.isnan(high) else high, self.n
        )

    def part(self, index: int) -> "Band":
        """One slice along the first axis."""
        return Band(self.value[index], self.low[index], self.high[index], self.n)


def _t_factor(groups: int) -> float:
    return float(stdtrit(groups - 1, (1 + CONFIDENCE) / 2))


def speakers_usable(speakers: Speakers) -> bool:
    """True where every clip's speaker is known and there are at least two of them."""
    return None not in speakers and len(set(speakers)) >= 2


def _groups(speakers: Speakers) -> Int[np.ndarray, " clips"]:
    """Which clips are left out or resampled together: a speaker's, or else each clip alone."""
    if not speakers_usable(speakers):
        return np.arange(len(speakers))
    names = sorted({str(s) for s in speakers})  # sorted, so that a seed means the same whatever the clips' order
    place = {name: i for i, name in enumerate(names)}
    return np.array([place[str(s)] for s in speakers])


def speaker_note(speakers: Speakers) -> Note | None:
    """What a reader must know of intervals that could not be taken over speakers."""
    known = {s for s in speakers if s is not None}
    if len(speakers) < 2 or speakers_usable(speakers):
        return None
    if None not in speakers:
        return Note("intervals", "All clips are of one speaker: they are not independent, intervals are too narrow.")
    which = "some clips" if known else "these clips"
    return Note(
        "intervals",
        f"The speakers of {which} are unknown, so intervals are over clips; clips of one speaker are not independent.",
    )


def mean_interval(values: Float[np.ndarray, "clips *shape"], speakers: Speakers, seed: int = 0) -> Band:
    """Mean over clips with its 95 % interval, for each trailing position on its own.

    2 to 19 speakers: Student t over speaker means (centred on their mean, which is the mean over clips where speakers
    have equally many). From 20: percentile bootstrap of the mean over clips, speakers drawn with replacement. Speakers
    unknown (even of one clip) or only one: Student t over clips. One clip: no interval (NaN). NaN in, NaN out.
    """
    if values.shape[0] != len(speakers) or not len(speakers):
        raise ValueError(f"{values.shape[0]} values for {len(speakers)} speakers; expected one each, at least one")
    shape = values.shape[1:]
    flat = values.astype(np.float64).reshape(len(speakers), -1)
    group = _groups(speakers)
    sizes = np.bincount(group)
    count = len(sizes)
    mean = flat.mean(axis=0)
    sums = np.zeros((count, flat.shape[1]))
    np.add.at(sums, group, flat)
    if count < 2:
        low = high = np.full_like(mean, np.nan)
    elif count >= BOOTSTRAP_FROM and speakers_usable(speakers):
        draws = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=RESAMPLES).astype(float)
        resampled = (draws @ sums) / (draws @ sizes)[:, None]
        low, high = np.quantile(resampled, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], axis=0)
    else:
        means = sums / sizes[:, None]
        half = _t_factor(count) * means.std(axis=0, ddof=1) / np.sqrt(count)
        low, high = means.mean(axis=0) - half, means.mean(axis=0) + half
    return Band(mean.reshape(shape), low.reshape(shape), high.reshape(shape), len(speakers))


def jackknife(
    statistic: Callable[[Int[np.ndarray, " kept"]], Float64[np.ndarray, "*shape"]], speakers: Speakers
) -> Band:
    """A statistic of a set of clips with its delete-one-speaker (else delete-one-clip) jackknife interval.

    `statistic` takes the indices of the clips it may use; see `jackknife_interval`.
    """
    group = _groups(speakers)
    count = len(np.unique(group))
    value = np.asarray(statistic(np.arange(len(speakers))), dtype=np.float64)
    replicates = [statistic(np.flatnonzero(group != left_out)) for left_out in range(count)] if count > 1 else []
    return jackknife_interval(value, replicates, len(speakers))


def jackknife_interval(
    value: Float64[np.ndarray, "*shape"], replicates: Sequence[Float64[np.ndarray, "*shape"]], n: int
) -> Band:
    """Value ± t x sqrt((G - 1) / G x sum of squared deviations of the G replicates from their mean).

    A replicate is the statistic without one speaker's clips. NaN where one is NaN, and with fewer than two.
    For a mean over clips, one clip a group, this is the Student t interval.
    """
    count = len(replicates)
    if count < 2:
        return Band(value, np.full_like(value, np.nan), np.full_like(value, np.nan), n)
    stacked = np.stack(replicates)
    spread = ((stacked - stacked.mean(axis=0)) ** 2).sum(axis=0)
    half = _t_factor(count) * np.sqrt((count - 1) / count * spread)
    return Band(value, np.asarray(value - half), np.asarray(value + half), n)


def jackknife_names(clips: Sequence[Clip]) -> dict[str, str]:
    """What is left out together with each clip (by its id): its speaker's clips, or it alone."""
    usable = speakers_usable([clip.speaker for clip in clips])
    return {clip.clip_id: str(clip.speaker) if usable else clip.clip_id for clip in clips}


class Sums:
    """Sums of arrays over clips, kept apart by speaker so that one can be left out; memory grows with speakers only."""

    def __init__(self, names: Mapping[str, str]) -> None:
        """`names` from `jackknife_names`."""
        self._names = names
        self._parts: dict[str, dict[Hashable, np.ndarray]] = {}
        self.n = 0

    def add(self, clip: Clip, arrays: Mapping[Hashable, Float64[np.ndarray, "..."]]) -> None:
        """One clip's arrays, the same names and shapes for every clip."""
        self.n += 1
        part = self._parts.setdefault(self._names[clip.clip_id], {})
        for name, array in arrays.items():
            part[name] = part[name] + array if name in part else array

    def total(self, without: str | None = None) -> dict[Hashable, np.ndarray]:
        """Sums over all clips, or over all but one group's."""
        kept = [part for name, part in self._parts.items() if name != without]
        return {name: np.sum([part[name] for part in kept], axis=0) for name in kept[0]}

    @property
    def groups(self) -> tuple[str, ...]:
        """What can be left out; nothing where nothing would remain."""
        return tuple(self._parts) if len(self._parts) > 1 else ()
