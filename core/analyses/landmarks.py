"""Depth landmarks: where in depth something settles or is largest. Points but for `strongest`; None where none."""

import numpy as np
from jaxtyping import Float, Float64, Int

COMMITTED = 0.1  # share of the largest mean KL under which the model counts as committed

NONE_REASONS = {  # what it means that one does not exist
    "saturation": "the top class at the last point is not the model's prediction",
    "critical": "the label's probability reaches 1/C at no point",
    "critical_accuracy": "the lens accuracy reaches 1/C at no point",
    "commitment": "the mean KL does not end under 10 % of its maximum",
    "cka_jump": "CKA with the last point never rises, or is undefined where a point has no variance over clips",
    "strongest": "it is undefined, or 0 to four digits at every layer",
}


def saturation_point(
    probabilities: Float[np.ndarray, "points classes"], final: Float[np.ndarray, " classes"]
) -> int | None:
    """First point from which the top class never again differs from the model's (after Glazer et al. 2025).

    None where the last point differs: without the final layer_norm it need not agree with the model.
    """
    if np.isnan(probabilities).any() or np.isnan(final).any():
        return None
    differs = np.flatnonzero(probabilities.argmax(axis=1) != final.argmax())
    first = int(differs[-1]) + 1 if differs.size else 0
    return first if first < len(probabilities) else None


def critical_layer(scores: Float[np.ndarray, " points"], classes: int) -> float | None:
    """Mean of the points weighted by their score, over those that reach chance: sum l s_l / sum s_l where s_l >= 1/C.

    Scores: the label's probability at each point, or the lens accuracy (after AudioLens, 2025). None where no point
    reaches chance or a score is NaN.
    """
    if np.isnan(scores).any():
        return None
    weights = np.where(scores >= 1 / classes, scores, 0.0)
    total = weights.sum()
    return float(np.arange(len(scores)) @ weights / total) if total > 0 else None


def kl_minimum(kl: Float[np.ndarray, " points"]) -> int | None:
    """The point where the mean KL is smallest (the first such)."""
    return None if np.isnan(kl).any() else int(kl.argmin())


def kl_rebound(kl: Float[np.ndarray, "*batch points"]) -> Float64[np.ndarray, "*batch"]:
    """KL at the last point minus its minimum over points, in nats: 0 where it never rises again."""
    return np.asarray(kl[..., -1] - kl.min(axis=-1), dtype=np.float64)


def commitment_point(kl: Float[np.ndarray, " points"]) -> int | None:
    """First point from which the mean KL stays under 10 % of its maximum; None where it does not end under it."""
    if np.isnan(kl).any():
        return None
    above: Int[np.ndarray, " above"] = np.flatnonzero(kl >= COMMITTED * kl.max())
    first = int(above[-1]) + 1 if above.size else 0
    return first if first < len(kl) else None


def cka_jump(curve: Float[np.ndarray, " points"]) -> int | None:
    """The point on which CKA with the last point lands after its largest rise between neighbours (the first such)."""
    rises = np.diff(curve)
    if np.isnan(rises).any() or not rises.size or rises.max() <= 0:
        return None
    return int(rises.argmax()) + 1


def strongest_layer(size: Float[np.ndarray, " layers"], least: float) -> int | None:
    """The layer, not a point, where something is largest (the first such); None where that is not above `least`."""
    return int(size.argmax()) if size.max() > least else None  # a NaN is the maximum, and above nothing
