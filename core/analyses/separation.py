"""How far classes lie apart among rows (clips), clip by clip, in whatever space the rows are given.

Rows may be turned and shifted as one: nothing here changes, so features too wide to hold come as their coordinates
among themselves. Classes and speakers are indices, UNLABELLED (-1) where unknown; a clip without a value has NaN.
scikit-learn is imported where it is used: it takes a second, and most analyses need none of it.
"""

import numpy as np
from jaxtyping import Float64, Int

from core.analyses.kernels import squared_distances
from core.analyses.reading import UNLABELLED

NEIGHBOURS = 10
FOLDS = 10  # at most; up to as many speakers, each is held out alone
_STEPS = 10_000  # of the optimiser, which ends long before
_TOLERANCE = 1e-8  # with the usual 1e-4 it stops short of the optimum, by how much depends on the axes

Rows = Float64[np.ndarray, "clips width"]
Index = Int[np.ndarray, " clips"]
PerClip = Float64[np.ndarray, " clips"]


def varies(points: Rows) -> bool:
    """Whether rows are finite and differ: where they don't, nothing can be said of them."""
    return bool(np.isfinite(points).all() and (points != points[:1]).any())


def distances(points: Rows) -> Float64[np.ndarray, "clips clips"]:
    """Euclidean distances between rows."""
    return np.sqrt(squared_distances(points @ points.T))


def silhouettes(points: Rows, labels: Index) -> PerClip:
    """(b - a) / max(a, b) of each labelled clip: a its mean distance to its class, b to the nearest other one.

    -1 to 1 (Rousseeuw 1987). NaN for a clip alone in its class, and for all where there are fewer than two classes.
    """
    from sklearn.metrics import silhouette_samples

    found = np.full(len(labels), np.nan)
    known = np.flatnonzero(labels != UNLABELLED)
    classes, place, sizes = np.unique(labels[known], return_inverse=True, return_counts=True)
    if 2 <= len(classes) < len(known):
        samples = silhouette_samples(distances(points)[np.ix_(known, known)], place, metric="precomputed")
        found[known] = np.where(sizes[place] > 1, samples, np.nan)
    return found


def purity(points: Rows, labels: Index, speakers: Index, k: int = NEIGHBOURS) -> PerClip:
    """Share of each clip's k nearest clips of other speakers that have its label; NaN where there are fewer than k."""
    found = np.full(len(labels), np.nan)
    apart = distances(points)
    known = (labels != UNLABELLED) & (speakers != UNLABELLED)
    for i in np.flatnonzero(known):
        others = np.flatnonzero(known & (speakers != speakers[i]))
        if len(others) >= k:
            nearest = others[np.argsort(apart[i, others], kind="stable")[:k]]
            found[i] = (labels[nearest] == labels[i]).mean()
    return found


def probe(points: Rows, labels: Index, speakers: Index) -> PerClip:
    """Whether a linear probe that never heard the clip's speaker names its class: 1 or 0.

    Multinomial logistic regression, L2 with C = 1, at its optimum, over GroupKFold of speakers: each held out alone up
    to FOLDS of them, beyond that in FOLDS groups. NaN where the clip's class was not among the training clips, or only
    one was.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GroupKFold

    found = np.full(len(labels), np.nan)
    known = np.flatnonzero((labels != UNLABELLED) & (speakers != UNLABELLED))
    folds = min(FOLDS, len(np.unique(speakers[known])))
    if folds < 2:
        return found
    for train, test in GroupKFold(folds).split(known, groups=speakers[known]):
        seen = np.unique(labels[known[train]])
        asked = known[test][np.isin(labels[known[test]], seen)]
        if len(seen) > 1 and asked.size:
            # Newton's steps take the optimum in a quarter of the time, however different the axes' lengths are
            model = LogisticRegression(solver="newton-cg", max_iter=_STEPS, tol=_TOLERANCE)
            model.fit(points[known[train]], labels[known[train]])
            found[asked] = model.predict(points[asked]) == labels[asked]
    return found


def shuffled(labels: Index, speakers: Index, seed: int) -> Index:
    """Labels dealt anew among each speaker's labelled clips, so that every speaker keeps as many of each class."""
    rng = np.random.default_rng(seed)
    dealt = labels.copy()
    for speaker in np.unique(speakers[speakers != UNLABELLED]):
        own = np.flatnonzero((speakers == speaker) & (labels != UNLABELLED))
        dealt[own] = labels[rng.permutation(own)]
    return dealt
