"""Maps of clips in the plane: t-SNE and PCA of standardised rows (Ma, Sang, Li, section 3.4, Fig. 2b)."""

import numpy as np
from jaxtyping import Float64

from core.analyses.separation import varies

PAPER_DEPTHS = (0, 7, 15, 23, 31)  # of the 32 layers of large-v2
_PAPER_LAST = 31
PERPLEXITY = 30.0
ITERATIONS = 1000
SEED = 42
ROWS_NEEDED = 5  # fewer leave a perplexity of 1, which no neighbourhood has


def depths(layers: int) -> tuple[int, ...]:
    """The paper's depths in a model of that many layers, each once."""
    return tuple(dict.fromkeys(round(depth * (layers - 1) / _PAPER_LAST) for depth in PAPER_DEPTHS))


def plane(points: Float64[np.ndarray, "n width"], *, pca_init: bool) -> Float64[np.ndarray, "n 4"]:
    """t-SNE (columns 0, 1) and the first two principal components (2, 3) of centred rows.

    NaN where rows do not vary, and for t-SNE of fewer than ROWS_NEEDED. A component's sign is free: its farthest row
    is on the positive side.
    """
    n = len(points)
    found = np.full((n, 4), np.nan)
    if not varies(points):
        return found
    u, s, _ = np.linalg.svd(np.pad(points, ((0, 0), (0, 1))), full_matrices=False)  # a second axis for rank 1
    axes = (u * s)[:, :2]
    farthest = axes[np.abs(axes).argmax(axis=0), [0, 1]]
    found[:, 2:] = axes * np.where(farthest < 0, -1.0, 1.0)
    if n >= ROWS_NEEDED:
        found[:, :2] = tsne(points, pca_init=pca_init)
    return found


def tsne(points: Float64[np.ndarray, "n width"], *, pca_init: bool) -> Float64[np.ndarray, "n 2"]:
    """scikit-learn's t-SNE (Barnes-Hut, its own learning rate): perplexity min(30, (n - 1) / 3), 1000 iterations."""
    from sklearn.manifold import TSNE

    fit = TSNE(
        perplexity=min(PERPLEXITY, (len(points) - 1) / 3),
        max_iter=ITERATIONS,
        init="pca" if pca_init and points.shape[1] > 1 else "random",
        random_state=SEED,
    )
    return fit.fit_transform(points).astype(np.float64)
