"""Numbers of singular values: by hand, and from Grams against a full decomposition of the tall matrices."""

import numpy as np
import pytest

from core.analyses.spectrum import (
    ENERGY_POINTS,
    energy,
    image_singular_values,
    padded,
    singular_values,
    statistics,
    subspace_similarity,
)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_statistics_by_hand():
    # energies 0.64, 0.32, 0.04: two directions reach 0.9
    sv90, top10, effective, stable = statistics(np.array([4.0, np.sqrt(8), 1.0]))
    shares = np.array([16, 8, 1]) / 25
    assert (sv90, top10) == (2, 1.0)
    assert effective == pytest.approx(np.exp(-(shares * np.log(shares)).sum()))
    assert stable == pytest.approx(25 / 16)


def test_equal_values_use_every_direction():
    """Ten equal shares of 0.1 must reach 0.9 with nine, whatever the last digit of their sum."""
    for scale in (1.0, 0.3, 1e-7):
        assert statistics(np.full(10, scale)) == pytest.approx([9, 1, 10, 10])
    assert statistics(np.full(20, 1.0)) == pytest.approx([18, 0.5, 20, 20])


def test_one_direction_is_rank_one():
    assert statistics(np.array([3.0, 0.0, 0.0])) == pytest.approx([1, 1, 1, 1])


@pytest.mark.parametrize("values", [np.zeros(4), np.array([np.nan, np.nan])])
def test_nothing_is_undefined_never_zero(values):
    assert np.isnan(statistics(values)).all()
    assert np.isnan(energy(values)).all()


def test_scale_and_rotation_change_nothing(rng):
    x = rng.normal(size=(40, 6)) * np.arange(1, 7)
    turned = 1e-4 * x @ np.linalg.qr(rng.normal(size=(6, 6)))[0]
    mine, theirs = (singular_values(m.T @ m) for m in (x, turned))
    np.testing.assert_allclose(statistics(mine), statistics(theirs))
    np.testing.assert_allclose(energy(mine), energy(theirs))


@pytest.mark.parametrize("outputs", [3, 9, 50])
def test_a_linear_image_of_a_tall_matrix_is_never_stacked(rng, outputs):
    """The streamed spectrum of B's outputs is that of the stacked ones, narrower and wider than the rank."""
    x, b = rng.normal(size=(500, 6)) @ rng.normal(size=(6, 6)), rng.normal(size=(outputs, 6))
    expected = np.zeros(6)
    full = np.linalg.svd(x @ b.T, compute_uv=False)[:6]
    expected[: len(full)] = full
    np.testing.assert_allclose(singular_values(x.T @ x), np.linalg.svd(x, compute_uv=False))
    np.testing.assert_allclose(image_singular_values(x.T @ x, b.T @ b), expected, atol=1e-5 * expected[0])


def test_rank_deficient_grams_do_not_turn_negative(rng):
    x = rng.normal(size=(30, 2)) @ rng.normal(size=(2, 7))
    values = singular_values(x.T @ x)
    assert (values >= 0).all() and values[2:].max() < 1e-5 * values[0]


def test_nan_stays_nan():
    gram = np.full((3, 3), np.nan)
    assert np.isnan(singular_values(gram)).all()
    assert np.isnan(image_singular_values(gram, np.eye(3))).all()


def test_curves_of_different_length_end_at_one():
    table = padded([np.array([0.5, 1.0]), np.array([0.2, 0.4, 1.0]), np.full(1, np.nan)])
    np.testing.assert_array_equal(table, [[0.5, 1, 1], [0.2, 0.4, 1], [np.nan] * 3])
    assert padded([np.linspace(0, 1, 999)]).shape == (1, ENERGY_POINTS)


def test_subspace_similarity_of_known_subspaces(rng):
    basis = np.linalg.qr(rng.normal(size=(8, 8)))[0].T
    same = subspace_similarity(basis[:3], basis[:4])
    np.testing.assert_allclose(same, 1.0)  # one always lies in the other
    np.testing.assert_allclose(subspace_similarity(basis[:3], basis[3:]), 0.0, atol=1e-12)
    swapped = subspace_similarity(basis[:2], basis[[1, 0]])
    np.testing.assert_allclose(swapped, [[0, 1], [1, 1]], atol=1e-12)
    mine, theirs = basis[:3], np.linalg.qr(rng.normal(size=(8, 5)))[0].T
    phi = subspace_similarity(mine, theirs)
    for i in range(3):
        for j in range(5):
            expected = np.linalg.norm(mine[: i + 1] @ theirs[: j + 1].T) ** 2 / min(i + 1, j + 1)
            assert phi[i, j] == pytest.approx(expected)
