"""Kernel matrices of sets of rows (clips, or one clip's frames): linear and RBF, and of features too wide to stack."""

from collections.abc import Callable, Mapping

import numpy as np
from jaxtyping import Float, Float64

BLOCK = 16  # clips' features held at a time
Features = Mapping[str, Float64[np.ndarray, "_ _"]]
Kernels = dict[str, Float64[np.ndarray, "_ _"]]


def linear_kernel(
    features: Float[np.ndarray, "n width"], metric: Float64[np.ndarray, "width width"] | None = None
) -> Float64[np.ndarray, "n n"]:
    """X X^T in float64 with the rows' mean removed, which changes neither HSIC and spares them cancellation.

    With a metric B^T B that of X B^T. The first row goes first: rows that are all equal then give exactly 0.
    """
    rows = features.astype(np.float64)
    rows = rows - rows[:1]
    rows -= rows.mean(axis=0)
    return rows @ rows.T if metric is None else rows @ metric @ rows.T


def squared_distances(linear: Float64[np.ndarray, "n n"]) -> Float64[np.ndarray, "n n"]:
    """||x_i - x_j||^2 from inner products, centred or not."""
    own = np.diag(linear)
    squares = np.maximum(own[:, None] + own - 2 * linear, 0.0)
    np.fill_diagonal(squares, 0.0)
    return squares


def rbf_kernel(linear: Float64[np.ndarray, "n n"], gamma: float) -> Float64[np.ndarray, "n n"]:
    """exp(-gamma d^2) - 1 of the rows whose inner products are given. NaN in, NaN out.

    The 1, which HSIC centres away, is left out: gradients are so small that nothing else would be left in float64.
    """
    return np.expm1(-gamma * squared_distances(linear))


def median_gamma(linear: Float64[np.ndarray, "n n"]) -> float:
    """1 / 2 m^2 with m the median distance between different rows; NaN where it is 0, or there is one row."""
    squares = squared_distances(linear)
    apart = np.sqrt(squares[np.triu_indices(len(linear), 1)])
    median = float(np.median(apart)) if apart.size else 0.0
    return 1 / (2 * median**2) if median > 0 else float("nan")


def flattened_kernels(
    read: Callable[[int], Features], n: int, metrics: Mapping[str, Float64[np.ndarray, "_ _"]]
) -> tuple[Kernels, Kernels]:
    """Inner products of n clips' features flattened over frames, and of those features' linear image, by module.

    <X_i, X_j> is the sum over frames of products of their rows. `metrics` holds B^T B of modules:
    <X_i B^T, X_j B^T> = <X_i B^T B, X_j>, so the wide image is never made. `read` gives a clip's X by module;
    at most BLOCK + 1 clips are held, and each is read n / BLOCK times at most, so memory does not grow with n.
    """
    plain: Kernels = {}
    image: Kernels = {}
    buffers: dict[str, Float64[np.ndarray, "_ _ _"]] = {}
    for start in range(0, n, BLOCK):
        rows = slice(start, min(start + BLOCK, n))
        for i in range(start, rows.stop):
            for module, x in read(i).items():
                buffers.setdefault(module, np.empty((min(BLOCK, n), *x.shape)))[i - start] = x
        stacks = {module: buffer[: rows.stop - start] for module, buffer in buffers.items()}
        for j in range(start, n):
            other = read(j) if j >= rows.stop else {module: stack[j - start] for module, stack in stacks.items()}
            for module, stack in stacks.items():
                x, flat = other[module], stack.reshape(len(stack), -1)
                _put(plain, module, n, rows, j, flat @ x.ravel())
                if module in metrics:
                    _put(image, module, n, rows, j, flat @ (x @ metrics[module]).ravel())
    return plain, image


def _put(kernels: Kernels, module: str, n: int, rows: slice, j: int, values: Float64[np.ndarray, " rows"]) -> None:
    kernel = kernels.setdefault(module, np.zeros((n, n)))
    kernel[rows, j] = kernel[j, rows] = values
