"""HSIC and CKA of kernel matrices over the same clips (Ma, Sang, Li, section 3.6; Song et al. 2012)."""

import numpy as np
from jaxtyping import Float, Float64

UNBIASED_NEEDS = 4  # clips: the estimator divides by n - 3
BIASED_NEEDS = 3  # two clips always have CKA 1
_ZERO = 1e-12  # of the kernel's largest entry: below it, its variation is rounding


def linear_kernel(features: Float[np.ndarray, "clips width"]) -> Float64[np.ndarray, "clips clips"]:
    """X X^T in float64 with the clips' mean removed, which changes neither HSIC and spares them cancellation.

    The first row goes first: rows that are all equal then give exactly 0.
    """
    rows = features.astype(np.float64)
    rows = rows - rows[:1]
    rows -= rows.mean(axis=0)
    return rows @ rows.T


def hsic_biased(k: Float64[np.ndarray, "clips clips"], m: Float64[np.ndarray, "clips clips"]) -> float:
    """tr(K H M H) / (n - 1)^2 with H = I - 1/n: never negative for a kernel with itself."""
    return float((_centre(k) * _centre(m)).sum() / (len(k) - 1) ** 2)


def _centre(k: Float64[np.ndarray, "clips clips"]) -> Float64[np.ndarray, "clips clips"]:
    """H K H. One of the two would do, but then the rounding of a constant kernel would not cancel."""
    return k - k.mean(axis=0) - k.mean(axis=1, keepdims=True) + k.mean()


def hsic_unbiased(k: Float64[np.ndarray, "clips clips"], m: Float64[np.ndarray, "clips clips"]) -> float:
    """Song et al. 2012, eq. 5: diagonals set to 0, expectation 0 for independent clips. Can be negative."""
    n = len(k)
    if n < UNBIASED_NEEDS:
        raise ValueError(f"unbiased HSIC needs at least {UNBIASED_NEEDS} clips, got {n}")
    k, m = k - np.diag(np.diag(k)), m - np.diag(np.diag(m))
    ones = k.sum() * m.sum() / ((n - 1) * (n - 2))
    cross = 2 * k.sum(axis=0) @ m.sum(axis=0) / (n - 2)
    return float(((k * m).sum() + ones - cross) / (n * (n - 3)))


def cka(
    k: Float64[np.ndarray, "clips clips"], m: Float64[np.ndarray, "clips clips"], *, unbiased: bool = False
) -> float:
    """HSIC(K, M) / sqrt(HSIC(K, K) HSIC(M, M)). Biased: within [0, 1]. NaN where a kernel has no variance."""
    hsic = hsic_unbiased if unbiased else hsic_biased
    own = [hsic(kernel, kernel) for kernel in (k, m)]
    if any(value <= (_ZERO * np.abs(kernel).max()) ** 2 for value, kernel in zip(own, (k, m), strict=True)):
        return float("nan")
    return hsic(k, m) / float(np.sqrt(own[0]) * np.sqrt(own[1]))


def cka_to_last(features: Float[np.ndarray, "clips points width"], *, unbiased: bool) -> Float64[np.ndarray, " points"]:
    """Linear CKA of every point with the last one; NaN everywhere with fewer clips than the estimator needs."""
    clips, points, _ = features.shape
    if clips < (UNBIASED_NEEDS if unbiased else BIASED_NEEDS):
        return np.full(points, np.nan)
    last = linear_kernel(features[:, -1])
    return np.array([cka(linear_kernel(features[:, p]), last, unbiased=unbiased) for p in range(points)])
