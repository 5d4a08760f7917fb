"""95 % intervals of UAR and WAR: whoever speaks is drawn with replacement, with all their clips."""

import numpy as np
from jaxtyping import Float64, Int

from core.analyses.request import Estimate
from core.analyses.statistics import CONFIDENCE, RESAMPLES
from core.evaluation.scores import recalls

Confusions = Float64[np.ndarray, "*sets classes classes"]


def confusions(
    guess: Int[np.ndarray, " n"],
    truth: Int[np.ndarray, " n"],
    group: Int[np.ndarray, " n"],
    n_groups: int,
    n_classes: int,
) -> Float64[np.ndarray, "groups classes classes"]:
    """The confusion matrix (rows: truth) of each group; they add up to the whole one."""
    cell = (group * n_classes + truth) * n_classes + guess
    counts = np.bincount(cell, minlength=n_groups * n_classes**2)
    return counts.astype(np.float64).reshape(n_groups, n_classes, n_classes)


def draw_groups(n_groups: int, seed: int) -> Float64[np.ndarray, "draws groups"]:
    """How often each group is in each of 2000 draws. One draw serves all that is to be compared."""
    draws = np.random.default_rng(seed).multinomial(n_groups, np.full(n_groups, 1 / n_groups), size=RESAMPLES)
    return draws.astype(np.float64)


def resample(
    draws: Float64[np.ndarray, "draws groups"], grouped: Float64[np.ndarray, "groups classes classes"]
) -> Float64[np.ndarray, "draws classes classes"]:
    """Each draw's confusion matrix."""
    return np.tensordot(draws, grouped, axes=1)


def uars(confused: Confusions) -> Float64[np.ndarray, "*sets"]:
    """UAR of each confusion matrix, over the classes that have clips in it."""
    each = recalls(confused)
    there = np.isfinite(each)
    count = there.sum(axis=-1).astype(np.float64)
    total = np.where(there, each, 0).sum(axis=-1)
    return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)


def wars(confused: Confusions) -> Float64[np.ndarray, "*sets"]:
    """WAR (accuracy) of each confusion matrix."""
    right, total = np.trace(confused, axis1=-2, axis2=-1), confused.sum(axis=(-2, -1))
    return np.divide(right, total, out=np.full_like(total, np.nan), where=total > 0)


def estimate(value: float, draws: Float64[np.ndarray, " draws"], n_groups: int, n: int) -> Estimate:
    """A value with the percentile interval of its draws (those in which it is defined); none with a single group."""
    defined = draws[np.isfinite(draws)]
    if n_groups < 2 or not defined.size:
        return Estimate(value, n=n)
    low, high = np.quantile(defined, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Estimate(value, float(low), float(high), n)
