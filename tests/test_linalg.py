from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sslx import linalg

R = np.random.default_rng(0)
ROOT = R.normal(size=(4, 6))
PSD = ROOT @ ROOT.T / 6

logdet_shifted, value_and_gradient = jax.jit(linalg.logdet_shifted), jax.jit(jax.value_and_grad(linalg.logdet_shifted))


@pytest.mark.parametrize("scale", [1e-9, 1e-5, 1e-3, 1e-1, 1.0, 1e4])
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 1e-5), (np.float64, 1e-11)])
@pytest.mark.parametrize("shift", [1.0, 1e-2])
def test_logdet_shifted_keeps_its_digits_over_scales(scale, dtype, tolerance, shift):
    a = (scale * PSD).astype(dtype)
    exact = np.sum(np.log1p(np.linalg.eigvalsh(np.asarray(a, np.float64)) / shift))
    found = np.asarray(logdet_shifted(a, shift)) - 4 * np.log(shift)
    assert abs(found - exact) <= tolerance * (exact + 4 * abs(np.log(shift)))


@pytest.mark.parametrize("scale", [1e-3, 1.0])
def test_logdet_shifted_has_the_inverse_as_gradient(scale):
    found = jax.jit(lambda a: linalg.symmetrise(jax.grad(linalg.logdet_shifted)(a, 1.0)))(scale * PSD)
    np.testing.assert_allclose(found, np.linalg.inv(np.eye(4) + scale * PSD), rtol=1e-9)


SPECTRA = {
    "one decade": np.logspace(0, -1, 64),
    "four decades": np.logspace(0, -4, 64),
    "twelve decades": np.logspace(0, -12, 64),
    "many near the top": np.r_[np.linspace(1, 0.99, 40), np.logspace(-1, -8, 24)],
    "rank 5": np.r_[np.linspace(1, 0.1, 5), np.zeros(59)],
    "all equal": np.full(64, 0.3),
}


BASIS = np.linalg.qr(R.normal(size=(64, 64)))[0]


def with_spectrum(values):
    return (BASIS * values) @ BASIS.T


@pytest.mark.parametrize("name", SPECTRA)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_largest_eigenvalue(name, dtype):
    a = (3.0 * with_spectrum(SPECTRA[name])).astype(dtype)
    wanted = np.linalg.eigvalsh(a.astype(np.float64)).max()
    np.testing.assert_allclose(jax.jit(linalg.largest_eigenvalue)(a), wanted, rtol=1e-6)


@pytest.mark.parametrize("name", SPECTRA)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_square_root_is_as_exact_as_rounding_allows(name, dtype):
    values, eps = SPECTRA[name], np.finfo(dtype).eps
    found = jax.jit(linalg.square_root)(with_spectrum(values).astype(dtype))
    error = np.linalg.norm(found - with_spectrum(np.sqrt(values)), 2)
    assert error < (4 * eps / values.min() ** 0.5 if values.min() > 1e-5 else eps**0.5)


@pytest.mark.parametrize("a", [np.zeros((3, 3)), np.ones((3, 3)), 1e12 * np.ones((3, 3)), np.diag([1.0, 0.0, 0.0])])
@pytest.mark.parametrize("shift", [1.0, 1e-8])
def test_logdet_shifted_of_singular_matrices_is_finite(a, shift):
    value, gradient = value_and_gradient(a.astype(np.float32), shift)
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()


def test_logdet_shifted_of_nothing_is_finite():
    """Also under vmap, where both of its branches run."""
    a = np.float32([np.zeros((3, 3)), np.eye(3)])
    assert all(np.isfinite(x).all() for x in jax.vmap(value_and_gradient, (0, None))(a, 0.0))
    assert np.isfinite(value_and_gradient(a[0], 0.0)[1]).all()


def test_safe_shift_lifts_only_what_is_singular():
    shift_and_level = jax.jit(lambda a: (linalg.safe_shift(a, 1.0), linalg.rounding_level(a)))
    assert float(shift_and_level(np.float32(1e9 * PSD))[0]) == 1
    shift, level = map(float, shift_and_level(np.full((3, 3), 1e9, np.float32)))
    assert shift == level


def test_nuclear_norm_counts_rounding_as_zero():
    a = R.normal(size=(5, 3))
    norm_and_gradient = jax.jit(jax.value_and_grad(linalg.nuclear_norm))
    norm, gradient = norm_and_gradient(a)
    assert norm == pytest.approx(np.linalg.norm(a, "nuc"))
    u, _, vt = np.linalg.svd(a, full_matrices=False)
    np.testing.assert_allclose(gradient, u @ vt, rtol=1e-9, atol=1e-12)
    single = np.outer(a[:, 0], a[0])
    unit = single / np.linalg.norm(single)
    np.testing.assert_allclose(norm_and_gradient(single)[1], unit, rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(norm_and_gradient(np.zeros((2, 3)))[1], 0)


def test_lengths_are_safe_at_zero():
    for function in (linalg.l2_normalise, linalg.safe_norm, linalg.safe_reciprocal_norm, linalg.safe_sqrt):

        @jax.jit
        @partial(jax.value_and_grad, has_aux=True)
        def sum_and_value(x, function=function):
            return jnp.sum(function(x)), function(x)

        (_, value), gradient = sum_and_value(np.zeros((2, 3), np.float32))
        np.testing.assert_array_equal(value, 0)
        np.testing.assert_array_equal(gradient, 0)


def test_nan_is_not_taken_for_zero():
    row = np.asarray([[np.nan, 1.0]])
    for function in (linalg.l2_normalise, linalg.safe_norm, linalg.safe_reciprocal_norm, linalg.nuclear_norm):
        assert np.isnan(function(row)).all()
    assert np.isnan(linalg.safe_sqrt(np.asarray(np.nan)))


def test_lengths():
    x = R.normal(size=(5, 3))
    length = np.linalg.norm(x, axis=1)
    np.testing.assert_allclose(jax.jit(linalg.l2_normalise)(x), x / length[:, None])
    np.testing.assert_allclose(jax.jit(linalg.safe_norm)(x), length)
    np.testing.assert_allclose(jax.jit(linalg.safe_reciprocal_norm)(x), 1 / length)
    np.testing.assert_allclose(jax.jit(linalg.off_diagonal_square_sum)(PSD), np.sum(PSD**2) - np.sum(np.diag(PSD) ** 2))
