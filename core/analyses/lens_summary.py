"""From per-clip lens numbers to curves, paired differences and landmarks over clips, with intervals and reasons."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import numpy as np
from jaxtyping import Float64, Int

from core.analyses.hsic import BIASED_NEEDS, UNBIASED_NEEDS
from core.analyses.landmarks import (
    NONE_REASONS,
    cka_jump,
    commitment_point,
    critical_layer,
    kl_minimum,
    kl_rebound,
)
from core.analyses.lens_result import LensClips, LensCurves
from core.analyses.request import Estimate, Note, Variant
from core.analyses.statistics import Band, jackknife, mean_interval
from core.models.info import ModelInfo

Kept = Int[np.ndarray, " kept"]


def scores(model: ModelInfo, one: LensClips, seed: int) -> tuple[LensCurves, list[Note]]:
    """The model's curves over its clips; what the labels do not allow is in the notes."""
    curves = _curves(one, one.kl, one.agrees, one.correct, one.of_label, _uar(one), seed)
    notes = []
    if curves.uar is not None:
        absent = [label for i, label in enumerate(model.labels) if i not in one.truth]
        if absent:
            notes.append(Note(f"{model.name} uar", f"No clip of {', '.join(absent)}: the mean is over the others."))
        if np.isnan(curves.uar.low).any() and one.labelled.size > 1:
            reason = "No interval: a class has clips of one speaker only, and would lose them in the jackknife."
            notes.append(Note(f"{model.name} uar", reason))
    return curves, notes


def paired(mine: LensClips, theirs: LensClips, seed: int) -> LensCurves:
    """Mine minus theirs, for the same clips in the same order under models with the same classes."""
    left, right = _uar(mine), _uar(theirs)
    return _curves(
        mine,
        mine.kl - theirs.kl,
        mine.agrees - theirs.agrees,
        mine.correct - theirs.correct,
        mine.of_label - theirs.of_label,
        lambda kept: left(kept) - right(kept),
        seed,
    )


def mean_probabilities(one: LensClips, seed: int) -> Band:
    """Each class's mean probability over the clips, at each point: classes x points."""
    return mean_interval(one.probabilities.transpose(0, 2, 1), one.speakers, seed)


def landmarks(
    model: ModelInfo, one: LensClips, curves: LensCurves, cka: Float64[np.ndarray, " points"], variant: Variant
) -> tuple[Mapping[str, Estimate | None], list[Note]]:
    """Landmarks over clips by their statistic's name, None where there is none, with the reasons.

    `saturation` and `critical_mean` are means of per-clip landmarks over the clips that have one; `critical` is the
    same critical layer with the lens accuracy as score; the others read the mean KL and the CKA curve. Positions of
    a minimum or a threshold have no interval: they jump when a clip is left out, which a jackknife cannot describe.
    """
    n, classes = len(one.clips), len(model.labels)
    kl = curves.kl.value
    found: dict[str, tuple[Estimate | None, str]] = {
        "saturation": (_mean(one, one.saturation), NONE_REASONS["saturation"]),
        "kl_min": (_position(kl_minimum(kl), n), "the mean KL is undefined"),
        "kl_rebound": (_rebound(one), "the mean KL is undefined"),
        "commitment": (_position(commitment_point(kl), n), NONE_REASONS["commitment"]),
        "cka_jump": (_position(cka_jump(cka), n), _cka_reason(n, variant)),
    }
    if one.labelled.size:
        found["critical"] = _critical_accuracy(one, classes), NONE_REASONS["critical_accuracy"]
        found["critical_mean"] = _mean(one, one.critical), NONE_REASONS["critical"]
    notes = [
        Note(f"{model.name} {name}", f"None, because {reason}.")
        for name, (estimate, reason) in found.items()
        if estimate is None
    ]
    for name, values in (("saturation", one.saturation), ("critical", one.critical[one.labelled])):
        if without := int(np.isnan(values).sum()):
            reason = f"None for {without} of {values.size} clips, because {NONE_REASONS[name]}."
            notes.append(Note(f"{model.name} {name} by clip", reason))
    if undefined := int(np.isnan(cka).sum()):
        notes.append(Note(f"{model.name} cka_to_last", f"Undefined at {undefined} points: {_cka_reason(n, variant)}."))
    return {name: estimate for name, (estimate, _) in found.items()}, notes


def points_or_nan(values: Iterable[float | None]) -> Float64[np.ndarray, " clips"]:
    """Landmarks as an array, NaN for None."""
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def _curves(
    one: LensClips,
    kl: Float64[np.ndarray, "clips points"],
    agrees: Float64[np.ndarray, "clips points"],
    correct: Float64[np.ndarray, "labelled points"],
    of_label: Float64[np.ndarray, "labelled points"],
    uar: Callable[[Kept], Float64[np.ndarray, " points"]],
    seed: int,
) -> LensCurves:
    means = LensCurves(mean_interval(kl, one.speakers, seed), mean_interval(agrees, one.speakers, seed))
    if not one.labelled.size:
        return means
    speakers = [one.speakers[i] for i in one.labelled]
    return replace(
        means,
        accuracy=mean_interval(correct, speakers, seed),
        uar=jackknife(uar, speakers),
        label_prob=mean_interval(of_label, speakers, seed),
    )


def _uar(one: LensClips) -> Callable[[Kept], Float64[np.ndarray, " points"]]:
    """Unweighted average recall at each point of any of the labelled clips, over the classes that all of them have;
    NaN where the kept ones lack one of these."""
    correct, truth = one.correct, one.truth[one.labelled]
    member = (truth[:, None] == np.unique(truth)).astype(np.float64)

    def statistic(kept: Kept) -> Float64[np.ndarray, " points"]:
        clips = member[kept].sum(axis=0)[:, None]
        hits = member[kept].T @ correct[kept]
        return np.divide(hits, clips, out=np.full_like(hits, np.nan), where=clips > 0).mean(axis=0)

    return statistic


def _critical_accuracy(one: LensClips, classes: int) -> Estimate | None:
    correct = one.correct

    def statistic(kept: Kept) -> Float64[np.ndarray, ""]:
        return points_or_nan([critical_layer(correct[kept].mean(axis=0), classes)]).reshape(())

    estimate = jackknife(statistic, [one.speakers[i] for i in one.labelled]).at()
    return None if np.isnan(estimate.value) else estimate


def _rebound(one: LensClips) -> Estimate | None:
    estimate = jackknife(lambda kept: kl_rebound(one.kl[kept].mean(axis=0)), one.speakers).at()
    return None if np.isnan(estimate.value) else estimate


def _mean(one: LensClips, values: Float64[np.ndarray, " clips"]) -> Estimate | None:
    have = np.flatnonzero(~np.isnan(values))
    return mean_interval(values[have], [one.speakers[i] for i in have]).at() if have.size else None


def _position(point: int | None, n: int) -> Estimate | None:
    return None if point is None else Estimate(float(point), n=n)


def _cka_reason(n: int, variant: Variant) -> str:
    needed = UNBIASED_NEEDS if variant == "corrected" else BIASED_NEEDS
    return f"CKA over clips needs at least {needed} clips" if n < needed else NONE_REASONS["cka_jump"]
