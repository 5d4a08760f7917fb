"""Scores by hand, and against scikit-learn's own balanced accuracy."""

import warnings

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score

from core.evaluation.scores import confusion, recalls, uar, war

#                 six of class 0: four right; two of class 1: one right; two of class 2: none right
TRUTH = np.array([0, 0, 0, 0, 0, 0, 1, 1, 2, 2])
GUESS = np.array([0, 0, 0, 0, 1, 2, 1, 0, 0, 1])


def test_by_hand() -> None:
    assert uar(GUESS, TRUTH) == pytest.approx((4 / 6 + 1 / 2 + 0) / 3)
    assert war(GUESS, TRUTH) == pytest.approx(5 / 10)
    assert confusion(GUESS, TRUTH, 3).tolist() == [[4, 1, 1], [1, 1, 0], [1, 1, 0]]
    assert recalls(confusion(GUESS, TRUTH, 3)) == pytest.approx([4 / 6, 1 / 2, 0])


def test_a_class_without_clips_is_left_out_never_counted_as_0() -> None:
    """Also where the model guesses it."""
    guess, truth = np.array([0, 3, 1, 3]), np.array([0, 0, 1, 1])
    assert uar(guess, truth) == 0.5
    of_all = recalls(confusion(guess, truth, 5))
    assert of_all[:2].tolist() == [0.5, 0.5] and np.isnan(of_all[2:]).all()


def test_no_clips_have_no_score() -> None:
    none = np.array([], dtype=np.int64)
    assert np.isnan(uar(none, none)) and np.isnan(war(none, none))
    assert confusion(none, none, 2).tolist() == [[0, 0], [0, 0]]


def test_an_index_of_no_class_is_our_mistake() -> None:
    with pytest.raises(ValueError, match="expected 0 to 1"):
        confusion(np.array([-1, 0]), np.array([0, 0]), 2)
    with pytest.raises(ValueError, match="expected 0 to 1"):
        confusion(np.array([0]), np.array([2]), 2)


def test_agrees_with_scikit_learn_and_with_the_confusion_matrix() -> None:
    draw = np.random.default_rng(3)
    for size in (1, 2, 7, 60):
        truth, guess = draw.integers(0, 5, size), draw.integers(0, 5, size)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # guesses that are in no truth
            expected = balanced_accuracy_score(truth, guess)
        confused = confusion(guess, truth, 5)
        assert uar(guess, truth) == pytest.approx(expected)
        assert np.nanmean(recalls(confused)) == pytest.approx(expected)
        assert war(guess, truth) == pytest.approx(np.trace(confused) / confused.sum())
    many = np.stack([confusion(draw.integers(0, 3, 9), draw.integers(0, 3, 9), 3) for _ in range(4)])
    assert np.array_equal(recalls(many), np.stack([recalls(one) for one in many]), equal_nan=True)
