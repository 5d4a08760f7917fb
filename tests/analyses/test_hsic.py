"""CKA against the textbook formulas with explicit loops, and what it cannot be."""

import numpy as np
import pytest

from core.analyses.hsic import cka, cka_to_last, hsic_biased, hsic_unbiased, linear_kernel


def hsic_unbiased_by_loops(k, m):
    """The U-statistic: means over distinct (i, j), (i, j, q, r) and (i, j, q)."""
    n = len(k)
    pairs = [(i, j) for i in range(n) for j in range(n) if i != j]
    triples = [(i, j, q) for i, j in pairs for q in range(n) if q not in (i, j)]
    fours = [(i, j, q, r) for i, j, q in triples for r in range(n) if r not in (i, j, q)]
    first = np.mean([k[i, j] * m[i, j] for i, j in pairs])
    second = np.mean([k[i, j] * m[q, r] for i, j, q, r in fours])
    third = np.mean([k[i, j] * m[i, q] for i, j, q in triples])
    return first + second - 2 * third


@pytest.fixture
def kernels():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(6, 4)), rng.normal(size=(6, 3))
    return linear_kernel(x), linear_kernel(y), x, y


def test_unbiased_hsic_is_the_u_statistic(kernels):
    k, m, _, _ = kernels
    assert hsic_unbiased(k, m) == pytest.approx(hsic_unbiased_by_loops(k, m))


def test_biased_hsic_is_the_trace_with_centring_matrices(kernels):
    k, m, _, _ = kernels
    h = np.eye(6) - 1 / 6
    assert hsic_biased(k, m) == pytest.approx(np.trace(k @ h @ m @ h) / 25)


def test_linear_cka_is_the_ratio_of_cross_covariances(kernels):
    k, m, x, y = kernels
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    expected = np.linalg.norm(x.T @ y) ** 2 / (np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y))
    assert cka(k, m) == pytest.approx(expected)


@pytest.mark.parametrize("unbiased", [False, True])
def test_invariants(unbiased):
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(12, 5)), rng.normal(size=(12, 5))
    rotation = np.linalg.qr(rng.normal(size=(5, 5)))[0]
    value = cka(linear_kernel(x), linear_kernel(y), unbiased=unbiased)
    moved = linear_kernel(3 * x @ rotation + 100.0)
    assert cka(moved, linear_kernel(y), unbiased=unbiased) == pytest.approx(value)
    assert cka(linear_kernel(y), linear_kernel(x), unbiased=unbiased) == pytest.approx(value)
    assert cka(moved, linear_kernel(x), unbiased=unbiased) == pytest.approx(1.0)
    order = rng.permutation(12)
    assert cka(linear_kernel(x[order]), linear_kernel(y[order]), unbiased=unbiased) == pytest.approx(value)


def test_unbiased_is_near_zero_for_unrelated_wide_features_where_biased_is_not():
    rng = np.random.default_rng(2)
    k, m = (linear_kernel(rng.normal(size=(10, 2000))) for _ in range(2))
    assert cka(k, m) > 0.9
    assert abs(cka(k, m, unbiased=True)) < 0.2


@pytest.mark.parametrize("unbiased", [False, True])
def test_no_variance_is_nan_never_zero(unbiased):
    rng = np.random.default_rng(3)
    other = linear_kernel(rng.normal(size=(7, 3)))
    assert np.isnan(cka(linear_kernel(np.full((7, 3), 0.1)), other, unbiased=unbiased))
    assert np.isnan(cka(other, linear_kernel(np.zeros((7, 3))), unbiased=unbiased))
    assert np.isnan(cka(np.full((7, 7), 0.3), other, unbiased=unbiased))  # a kernel that was not centred


def test_tiny_scales_are_not_taken_for_no_variance():
    x = np.random.default_rng(4).normal(size=(8, 3))
    assert cka(linear_kernel(1e-6 * x), linear_kernel(x)) == pytest.approx(1.0)


def test_too_few_clips():
    with pytest.raises(ValueError, match="at least 4"):
        hsic_unbiased(np.eye(3), np.eye(3))
    x = np.random.default_rng(5).normal(size=(3, 4, 6))
    assert np.isnan(cka_to_last(x, unbiased=True)).all()
    assert np.isnan(cka_to_last(x[:2], unbiased=False)).all()
    assert cka_to_last(x, unbiased=False)[-1] == pytest.approx(1.0)


def test_cka_to_last_goes_point_by_point():
    x = np.random.default_rng(6).normal(size=(9, 4, 6)).astype(np.float32)
    x[:, 1] = x[:, 3]
    x[:, 2] = 1.0
    curve = cka_to_last(x, unbiased=True)
    assert curve[1] == pytest.approx(1.0)
    assert np.isnan(curve[2])
    assert curve[0] == pytest.approx(cka(linear_kernel(x[:, 0]), linear_kernel(x[:, 3]), unbiased=True))
