"""Singular values from small Gram matrices, and what is read from them (Ma, Sang, Li, section 3.5)."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Float64

STATISTICS = ("sv90", "top10", "effective_rank", "stable_rank")
ENERGY_POINTS = 128  # the longest energy curve that is kept: a gradient of B is as wide as its projection
_ENOUGH = 0.9  # of the energy, for SV90
_TOP = 10
_ROUNDING = 1e-12  # of the energy: sums of ten equal tenths must still reach 0.9


def singular_values(gram: Float64[np.ndarray, "r r"]) -> Float64[np.ndarray, " r"]:
    """Of X, largest first, from X^T X: the roots of its eigenvalues, as many as X has columns."""
    if not np.isfinite(gram).all():
        return np.full(len(gram), np.nan)
    return np.sqrt(np.maximum(np.linalg.eigvalsh(gram)[::-1], 0.0))


def image_singular_values(
    gram: Float64[np.ndarray, "r r"], metric: Float64[np.ndarray, "r r"]
) -> Float64[np.ndarray, " r"]:
    """Of X B^T, largest first, from X^T X and B^T B: those of R B^T with R^T R = X^T X, R the Gram's root.

    Only r x r matrices, whatever B's width; values that X B^T is too narrow to have are 0.
    """
    if not (np.isfinite(gram).all() and np.isfinite(metric).all()):
        return np.full(len(gram), np.nan)
    values, vectors = np.linalg.eigh(gram)
    root = np.sqrt(np.maximum(values, 0.0))[:, None] * vectors.T
    return singular_values(root @ metric @ root.T)


def energy(values: Float64[np.ndarray, " k"]) -> Float64[np.ndarray, " k"]:
    """sum_{i<=k} s_i^2 / sum s_i^2 for each k; NaN where all are 0."""
    squares = values**2
    total = squares.sum()
    return np.cumsum(squares) / total if total > 0 else np.full_like(squares, np.nan)


def statistics(values: Float64[np.ndarray, " k"]) -> Float64[np.ndarray, "4"]:
    """STATISTICS of singular values, largest first. NaN where all are 0 (or one is NaN).

    sv90             the smallest k with energy(k) >= 0.9
    top10            energy(10)
    effective_rank   exp of the entropy of s^2 / sum s^2 (Roy and Vetterli 2007, of energies)
    stable_rank      sum s^2 / max s^2
    """
    curve = energy(values)
    if not np.isfinite(curve).all():
        return np.full(len(STATISTICS), np.nan)
    share = np.diff(curve, prepend=0.0)
    share = share[share > 0]
    sv90 = int(np.argmax(curve >= _ENOUGH - _ROUNDING)) + 1
    entropy = -(share * np.log(share)).sum()
    return np.array([sv90, curve[min(_TOP, len(curve)) - 1], np.exp(entropy), 1 / curve[0]])


def padded(curves: Sequence[Float64[np.ndarray, " _"]]) -> Float64[np.ndarray, "curves longest"]:
    """Energy curves of different lengths as one array: past its end a curve stays at 1, or NaN where it is that."""
    longest = min(ENERGY_POINTS, max(len(curve) for curve in curves))
    return np.stack([np.pad(curve, (0, max(0, longest - len(curve))), mode="edge")[:longest] for curve in curves])


def subspace_similarity(
    mine: Float[np.ndarray, "i inputs"], theirs: Float[np.ndarray, "j inputs"]
) -> Float64[np.ndarray, "i j"]:
    """phi(i, j) = ||V_i^T V'_j||_F^2 / min(i, j) of the first i and j directions (Hu et al. 2021, eq. 4).

    Rows are orthonormal directions, the strongest first. 1: one subspace holds the other; 0: they are orthogonal.
    """
    squares = (mine.astype(np.float64) @ theirs.T.astype(np.float64)) ** 2
    i, j = (np.arange(1, size + 1) for size in squares.shape)
    return squares.cumsum(axis=0).cumsum(axis=1) / np.minimum(i[:, None], j)
