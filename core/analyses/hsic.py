"""HSIC and CKA of kernel matrices over the same rows (Ma, Sang, Li, section 3.6; Song et al. 2012).

Both estimators are inner products of centred kernels, so that CKA is the cosine between two of them.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Float64, Int

from core.analyses.kernels import linear_kernel

UNBIASED_NEEDS = 4  # rows: the estimator divides by n - 3
BIASED_NEEDS = 3  # two rows always have CKA 1
PERMUTATIONS = 200
_CONFIDENCE = 0.95
_ZERO = 1e-12  # of the kernel's largest entry: below it, its variation is rounding


def rows_needed(*, unbiased: bool) -> int:
    """How many rows CKA needs at least."""
    return UNBIASED_NEEDS if unbiased else BIASED_NEEDS


def hsic_biased(k: Float64[np.ndarray, "n n"], m: Float64[np.ndarray, "n n"]) -> float:
    """tr(K H M H) / (n - 1)^2 with H = I - 1/n: never negative for a kernel with itself."""
    return float((_centred(k, unbiased=False) * _centred(m, unbiased=False)).sum() / (len(k) - 1) ** 2)


def hsic_unbiased(k: Float64[np.ndarray, "n n"], m: Float64[np.ndarray, "n n"]) -> float:
    """Song et al. 2012, eq. 5: diagonals set to 0, expectation 0 for independent rows. Can be negative."""
    n = len(k)
    if n < UNBIASED_NEEDS:
        raise ValueError(f"unbiased HSIC needs at least {UNBIASED_NEEDS} clips, got {n}")
    return float((_centred(k, unbiased=True) * _centred(m, unbiased=True)).sum() / (n * (n - 3)))


def _centred(k: Float64[np.ndarray, "n n"], *, unbiased: bool) -> Float64[np.ndarray, "n n"]:
    """K whose rows and columns sum to 0: H K H, or without the diagonal (Székely and Rizzo 2014, U-centring)."""
    n = len(k)
    if not unbiased:
        # One of two kernels would do, but then the rounding of a constant one would not cancel.
        return k - k.mean(axis=0) - k.mean(axis=1, keepdims=True) + k.mean()
    bare = k - np.diag(np.diag(k))
    sums = bare.sum(axis=0)
    centred = bare - sums / (n - 2) - sums[:, None] / (n - 2) + sums.sum() / ((n - 1) * (n - 2))
    np.fill_diagonal(centred, 0.0)
    return centred


def directions(kernels: Float64[np.ndarray, "kernels n n"], *, unbiased: bool) -> Float64[np.ndarray, "kernels n n"]:
    """Centred kernels of length 1: inner products of two are CKA. NaN where one does not vary, or n is too small."""
    n = kernels.shape[1]
    if n < rows_needed(unbiased=unbiased):
        return np.full((len(kernels), n, n), np.nan)
    units = np.stack([_centred(k, unbiased=unbiased) for k in kernels])
    for unit, kernel in zip(units, kernels, strict=True):
        length = np.linalg.norm(unit)
        unit /= length if length > _ZERO * n * np.abs(kernel).max() else np.nan
    return units


def cka(k: Float64[np.ndarray, "n n"], m: Float64[np.ndarray, "n n"], *, unbiased: bool = False) -> float:
    """HSIC(K, M) / sqrt(HSIC(K, K) HSIC(M, M)). Biased: within [0, 1]. NaN where a kernel has no variance."""
    return float(np.vdot(*directions(np.stack([k, m]), unbiased=unbiased)))


def cka_grid(left: Float64[np.ndarray, "p n n"], right: Float64[np.ndarray, "q n n"]) -> Float64[np.ndarray, "p q"]:
    """CKA of every kernel of one stack with every one of another, both from `directions`."""
    return left.reshape(len(left), -1) @ right.reshape(len(right), -1).T


def null_band(
    shuffled: Callable[[Int[np.ndarray, " n"]], Float64[np.ndarray, "*shape"]], n: int, seed: int
) -> tuple[Float64[np.ndarray, "*shape"], Float64[np.ndarray, "*shape"], Float64[np.ndarray, "*shape"]]:
    """Mean, low and high (the middle 95 %) of what CKA is where there is nothing to find, over 200 permutations.

    `shuffled` takes an order of the n rows and gives CKA with one side's rows in that order.
    """
    draw = np.random.default_rng(seed)
    values = np.stack([shuffled(draw.permutation(n)) for _ in range(PERMUTATIONS)])
    tail = (1 - _CONFIDENCE) / 2
    low, high = np.quantile(values, [tail, 1 - tail], axis=0)
    return np.asarray(values.mean(axis=0)), np.asarray(low), np.asarray(high)


def cka_to_last(features: Float[np.ndarray, "clips points width"], *, unbiased: bool) -> Float64[np.ndarray, " points"]:
    """Linear CKA of every point with the last one; NaN everywhere with fewer clips than the estimator needs.

    Point by point: thousands of clips make kernels of hundreds of megabytes each.
    """

    def direction(point: int) -> Float64[np.ndarray, "1 n n"]:
        return directions(linear_kernel(features[:, point])[None], unbiased=unbiased)

    last = direction(-1)
    return np.array([cka_grid(direction(point), last).item() for point in range(features.shape[1])])
