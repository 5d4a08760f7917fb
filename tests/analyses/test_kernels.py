"""Kernels against their definitions, the streamed ones against all features stacked, and the null band."""

import numpy as np
import pytest
from sklearn.metrics.pairwise import rbf_kernel as sklearn_rbf

from core.analyses.hsic import PERMUTATIONS, cka, cka_grid, directions, hsic_biased, null_band
from core.analyses.kernels import (
    BLOCK,
    flattened_kernels,
    linear_kernel,
    median_gamma,
    rbf_kernel,
    squared_distances,
)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def centre(k):
    h = np.eye(len(k)) - 1 / len(k)
    return h @ k @ h


@pytest.mark.parametrize("n", [5, BLOCK + 1, 2 * BLOCK + 3])
def test_streamed_kernels_are_those_of_stacked_features(rng, n):
    """Whatever the number of blocks; B's wide features are never made. Nothing may be read twice within a block."""
    clips = [{"0.v": rng.normal(size=(11, 4)), "1.fc": rng.normal(size=(11, 3))} for _ in range(n)]
    b = rng.normal(size=(30, 4))
    read = []

    def fetch(i):
        read.append(i)
        return clips[i]

    plain, image = flattened_kernels(fetch, n, {"0.v": b.T @ b})
    assert set(plain) == {"0.v", "1.fc"} and set(image) == {"0.v"}
    for module, kernel in plain.items():
        flat = np.stack([clip[module].ravel() for clip in clips])
        np.testing.assert_allclose(kernel, flat @ flat.T)
    wide = np.stack([(clip["0.v"] @ b.T).ravel() for clip in clips])
    np.testing.assert_allclose(image["0.v"], wide @ wide.T)
    assert max(map(read.count, range(n))) <= -(-n // BLOCK)


def test_a_metric_gives_the_kernel_of_the_image(rng):
    x, b = rng.normal(size=(7, 4)), rng.normal(size=(20, 4))
    np.testing.assert_allclose(linear_kernel(x, b.T @ b), linear_kernel(x @ b.T), atol=1e-10)


def test_distances_from_inner_products_centred_or_not(rng):
    x = rng.normal(size=(6, 3)) + 5
    expected = ((x[:, None] - x) ** 2).sum(axis=2)
    np.testing.assert_allclose(squared_distances(x @ x.T), expected, atol=1e-10)
    np.testing.assert_allclose(squared_distances(linear_kernel(x)), expected, atol=1e-10)


def test_rbf_is_scikit_learns_but_for_a_constant(rng):
    x = rng.normal(size=(8, 5))
    for gamma in (1 / 5, 0.7):
        mine, theirs = rbf_kernel(x @ x.T, gamma), sklearn_rbf(x, gamma=gamma)
        np.testing.assert_allclose(mine + 1, theirs)
        np.testing.assert_allclose(centre(mine), centre(theirs), atol=1e-12)


def test_rbf_of_tiny_features_keeps_its_digits(rng):
    """Gradients of 1e-7 under gamma = 1 / 768000: exp(-gamma d^2) would be 1 in float64, and CKA lost."""
    x = 1e-7 * rng.normal(size=(9, 5))
    tiny = rbf_kernel(x @ x.T, 1 / 768_000)
    # where exponents are this small, exp is linear, and the kernel that of inner products
    assert cka(tiny, linear_kernel(x)) == pytest.approx(1.0)


def test_the_median_distance(rng):
    x = np.array([[0.0], [1.0], [3.0]])  # distances 1, 2, 3
    assert median_gamma(x @ x.T) == pytest.approx(1 / 8)
    assert np.isnan(median_gamma(np.ones((4, 4))))
    assert np.isnan(median_gamma(np.ones((1, 1))))


@pytest.mark.parametrize("unbiased", [False, True])
def test_a_grid_is_cka_of_each_pair(rng, unbiased):
    stacks = [np.stack([linear_kernel(rng.normal(size=(9, 4))) for _ in range(k)]) for k in (3, 2)]
    grid = cka_grid(*(directions(stack, unbiased=unbiased) for stack in stacks))
    for i in range(3):
        for j in range(2):
            assert grid[i, j] == pytest.approx(cka(stacks[0][i], stacks[1][j], unbiased=unbiased))


def test_one_undefined_kernel_leaves_the_others_alone(rng):
    kernels = np.stack([linear_kernel(rng.normal(size=(6, 3))), np.zeros((6, 6))])
    grid = cka_grid(*[directions(kernels, unbiased=True)] * 2)
    assert grid[0, 0] == pytest.approx(1)
    assert np.isnan(grid[1]).all() and np.isnan(grid[:, 1]).all()


def test_the_null_band_holds_unrelated_features_and_not_related_ones(rng):
    x = rng.normal(size=(40, 6))
    one, same, other = (
        directions(linear_kernel(f)[None], unbiased=True)[0] for f in (x, x + 0.3, rng.normal(size=(40, 6)))
    )
    orders = []

    def shuffled(order):
        orders.append(order)
        return np.array([np.vdot(one[np.ix_(order, order)], unit) for unit in (same, other)])

    mean, low, high = null_band(shuffled, 40, 3)
    assert len(orders) == PERMUTATIONS and all(sorted(order) == list(range(40)) for order in orders)
    assert (np.abs(mean) < 0.02).all() and (low < 0).all() and (high > 0).all()
    assert np.vdot(one, same) == pytest.approx(1) and high[0] < 0.3
    assert low[1] < np.vdot(one, other) < high[1]
    np.testing.assert_array_equal(null_band(shuffled, 40, 3), (mean, low, high))


def test_the_biased_null_of_few_clips_and_wide_features_is_near_one(rng):
    """Why it is shown beside: related or not, the value is the same."""
    one, other = (directions(linear_kernel(rng.normal(size=(8, 3000)))[None], unbiased=False)[0] for _ in range(2))
    _, low, high = null_band(lambda order: np.array(np.vdot(one[np.ix_(order, order)], other)), 8, 0)
    assert 0.9 < low < np.vdot(one, other) < high


def test_shuffling_both_sides_alike_changes_nothing(rng):
    k, m = (linear_kernel(rng.normal(size=(7, 3))) for _ in range(2))
    order = rng.permutation(7)
    square = np.ix_(order, order)
    assert hsic_biased(k[square], m[square]) == pytest.approx(hsic_biased(k, m))
