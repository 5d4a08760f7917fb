"""The definitions as they read, from whole matrices in float64: what streamed numbers are compared with."""

import numpy as np


def spectrum(matrix):
    """The statistics as their definitions read, from all singular values."""
    s = np.linalg.svd(matrix, compute_uv=False)
    share = s**2 / (s**2).sum()
    energy = np.cumsum(share)
    nonzero = share[share > 0]
    return {
        "sv90": 1 + next(k for k, e in enumerate(energy) if e >= 0.9),
        "top10": energy[:10][-1],
        "effective_rank": np.exp(-(nonzero * np.log(nonzero)).sum()),
        "stable_rank": (s**2).sum() / s[0] ** 2,
        "norm": np.linalg.norm(matrix),
    } | {f"energy:{k}": e for k, e in enumerate(energy, 1)}


def cka(x, y, kernel, variant, hsic=None):
    """CKA of features (rows x width), with the variant's kernel width and its estimator, or another one."""
    hsic = hsic or (unbiased if variant == "corrected" else biased)
    k, m = (kernel_of(np.asarray(side, dtype=np.float64), kernel, variant) for side in (x, y))
    return hsic(k, m) / np.sqrt(hsic(k, k) * hsic(m, m))


def kernel_of(features, kernel, variant):
    """Inner products, or exp(-gamma d^2) - 1: centring takes the 1 away, and tiny gradients need its digits."""
    if kernel == "linear":
        centred = features - features.mean(axis=0)
        return centred @ centred.T
    squares = np.stack([((features - row) ** 2).sum(axis=1) for row in features])
    if variant == "released":
        return np.expm1(-squares / features.shape[1])
    apart = [np.sqrt(squares[i, j]) for i in range(len(squares)) for j in range(len(squares)) if i != j]
    return np.expm1(-squares / (2 * np.median(apart) ** 2))


def biased(k, m):
    """tr(K H M H)."""
    h = np.eye(len(k)) - 1 / len(k)
    return np.trace(k @ h @ m @ h)


def unbiased(k, m):
    """Song et al. 2012, eq. 5."""
    n, one = len(k), np.ones(len(k))
    k, m = k - np.diag(np.diag(k)), m - np.diag(np.diag(m))
    third = 2 / (n - 2) * one @ k @ m @ one
    return (np.trace(k @ m) + (one @ k @ one) * (one @ m @ one) / ((n - 1) * (n - 2)) - third) / (n * (n - 3))


def close(got, wanted, tolerance=2e-3):
    """|difference| <= tolerance x max(|x|, 0.01)."""
    return abs(got - wanted) <= tolerance * max(abs(wanted), 0.01)


def pick(rows, **wanted):
    return [row for row in rows if all(getattr(row, name) == value for name, value in wanted.items())]


def value(rows, **wanted):
    (row,) = pick(rows, **wanted)
    return row.value
