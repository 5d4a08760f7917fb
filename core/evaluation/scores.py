"""Unweighted and weighted average recall and the confusion matrix, from class indices.

scikit-learn is imported where it is used: it takes a second, and most commands score nothing.
"""

import numpy as np
from jaxtyping import Float64, Int, Num


def uar(guess: Int[np.ndarray, " n"], truth: Int[np.ndarray, " n"]) -> float:
    """Unweighted average recall, over the classes that are there in `truth`; NaN without clips."""
    from sklearn.metrics import recall_score

    if not truth.size:
        return float("nan")
    return float(recall_score(truth, guess, labels=np.unique(truth), average="macro"))


def war(guess: Int[np.ndarray, " n"], truth: Int[np.ndarray, " n"]) -> float:
    """Weighted average recall, which is accuracy; NaN without clips."""
    from sklearn.metrics import accuracy_score

    return float(accuracy_score(truth, guess)) if truth.size else float("nan")


def confusion(
    guess: Int[np.ndarray, " n"], truth: Int[np.ndarray, " n"], n_classes: int
) -> Int[np.ndarray, "classes classes"]:
    """How often each class (row) was taken for which (column). Raises ValueError for an index of no class."""
    from sklearn.metrics import confusion_matrix

    both = np.concatenate([guess, truth])
    if both.size and not (both.min() >= 0 and both.max() < n_classes):
        raise ValueError(f"indices {both.min()} to {both.max()}, expected 0 to {n_classes - 1}")
    if not truth.size:
        return np.zeros((n_classes, n_classes), dtype=np.int64)
    return confusion_matrix(truth, guess, labels=np.arange(n_classes))


def recalls(confused: Num[np.ndarray, "*sets classes classes"]) -> Float64[np.ndarray, "*sets classes"]:
    """Each class's recall from confusion matrices (also many at once); NaN where it has no clips."""
    right = np.diagonal(confused, axis1=-2, axis2=-1).astype(np.float64)
    there = confused.sum(axis=-1).astype(np.float64)
    return np.divide(right, there, out=np.full_like(right, np.nan), where=there > 0)
