"""Landmarks worked out by hand."""

import numpy as np
import pytest

from core.analyses.landmarks import (
    cka_jump,
    commitment_point,
    critical_layer,
    kl_minimum,
    kl_rebound,
    saturation_point,
)


def top(*classes):
    """Probabilities with these top classes, out of three."""
    return np.eye(3)[list(classes)] * 0.5 + 0.1


@pytest.mark.parametrize(
    ("classes", "expected"),
    [((0, 0, 0, 0), 0), ((1, 0, 1, 0), 3), ((1, 2, 0, 0), 2), ((0, 1, 0, 0), 2), ((0, 0, 0, 1), None)],
)
def test_saturation_is_where_the_top_class_stops_changing(classes, expected):
    assert saturation_point(top(*classes), top(0)[0]) == expected


def test_an_undefined_prediction_never_saturates():
    assert saturation_point(np.full((3, 2), np.nan), np.full(2, np.nan)) is None


def test_critical_layer_weighs_points_that_reach_chance():
    # tau = 1/4: points 1 and 3 count, (1 x 0.25 + 3 x 0.75) / 1
    assert critical_layer(np.array([0.2, 0.25, 0.1, 0.75]), 4) == pytest.approx(2.5)
    assert critical_layer(np.array([0.2, 0.2]), 4) is None
    assert critical_layer(np.array([0.5, np.nan]), 4) is None
    assert critical_layer(np.full(9, 1 / 3), 3) == pytest.approx(4.0)  # exactly chance counts


def test_kl_minimum_and_rebound():
    kl = np.array([3.0, 1.0, 0.5, 2.0])
    assert kl_minimum(kl) == 2
    assert kl_rebound(kl) == 1.5
    assert kl_rebound(np.array([3.0, 1.0])) == 0.0
    np.testing.assert_array_equal(kl_rebound(np.stack([kl, kl[::-1]])), [1.5, 2.5])
    assert kl_minimum(np.array([np.nan, 1.0])) is None


@pytest.mark.parametrize(
    ("kl", "expected"),
    [
        ([10.0, 5.0, 0.9, 0.5], 2),
        ([10.0, 0.5, 2.0, 0.5], 3),
        ([10.0, 0.5, 0.5, 1.0], None),  # 10 % itself is not under it
        ([0.0, 0.0], None),
        ([np.nan, 0.0], None),
    ],
)
def test_commitment_is_where_kl_stays_under_a_tenth_of_its_maximum(kl, expected):
    assert commitment_point(np.array(kl)) == expected


def test_cka_jump_is_the_upper_end_of_the_largest_rise():
    assert cka_jump(np.array([0.1, 0.2, 0.8, 1.0])) == 2
    assert cka_jump(np.array([1.0, 0.9, 0.9])) is None
    assert cka_jump(np.array([np.nan, 0.9, 1.0])) is None
    assert cka_jump(np.array([1.0])) is None
