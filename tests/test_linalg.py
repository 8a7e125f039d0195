import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sslx import linalg

R = np.random.default_rng(0)
ROOT = R.normal(size=(4, 6))
PSD = ROOT @ ROOT.T / 6


@pytest.mark.parametrize("scale", [1e-9, 1e-5, 1e-3, 1e-1, 1.0, 1e4])
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 1e-5), (np.float64, 1e-11)])
@pytest.mark.parametrize("shift", [1.0, 1e-2])
def test_logdet_shifted_keeps_its_digits_over_scales(scale, dtype, tolerance, shift):
    a = jnp.asarray(scale * PSD, dtype)
    exact = np.sum(np.log1p(np.linalg.eigvalsh(np.asarray(a, np.float64)) / shift))
    found = linalg.logdet_shifted(a, shift) - 4 * np.log(shift)
    assert abs(found - exact) <= tolerance * (exact + 4 * abs(np.log(shift)))


@pytest.mark.parametrize("scale", [1e-3, 1.0])
def test_logdet_shifted_has_the_inverse_as_gradient(scale):
    found = jax.grad(lambda a: linalg.logdet_shifted(a, 1.0))(scale * PSD)
    np.testing.assert_allclose(linalg.symmetrise(found), np.linalg.inv(np.eye(4) + scale * PSD), rtol=1e-9)


@pytest.mark.parametrize("a", [np.zeros((3, 3)), np.ones((3, 3)), 1e12 * np.ones((3, 3)), np.diag([1.0, 0.0, 0.0])])
@pytest.mark.parametrize("shift", [1.0, 1e-8])
def test_logdet_shifted_of_singular_matrices_is_finite(a, shift):
    value, gradient = jax.value_and_grad(lambda a: linalg.logdet_shifted(a, shift))(a.astype(np.float32))
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()


def test_safe_shift_lifts_only_what_is_singular():
    well = jnp.asarray(1e9 * PSD, jnp.float32)
    assert linalg.safe_shift(well, 1.0) == 1
    assert linalg.safe_shift(jnp.full((3, 3), 1e9, jnp.float32), 1.0) == linalg.rounding_level(jnp.full((3, 3), 1e9, jnp.float32))


def test_nuclear_norm_counts_rounding_as_zero():
    a = R.normal(size=(5, 3))
    assert linalg.nuclear_norm(jnp.asarray(a)) == pytest.approx(np.linalg.norm(a, "nuc"))
    u, _, vt = np.linalg.svd(a, full_matrices=False)
    np.testing.assert_allclose(jax.grad(linalg.nuclear_norm)(a), u @ vt, rtol=1e-9, atol=1e-12)
    single = np.outer(a[:, 0], a[0])
    unit = single / np.linalg.norm(single)
    np.testing.assert_allclose(jax.grad(linalg.nuclear_norm)(single), unit, rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(jax.grad(linalg.nuclear_norm)(np.zeros((2, 3))), 0)


def test_lengths_are_safe_at_zero():
    zeros = jnp.zeros((2, 3), jnp.float32)
    for function in (linalg.l2_normalise, linalg.safe_norm, linalg.safe_reciprocal_norm, linalg.safe_sqrt):
        np.testing.assert_array_equal(function(zeros), 0)
        np.testing.assert_array_equal(jax.grad(lambda x, function=function: jnp.sum(function(x)))(zeros), 0)


def test_lengths():
    x = R.normal(size=(5, 3))
    length = np.linalg.norm(x, axis=1)
    np.testing.assert_allclose(linalg.l2_normalise(jnp.asarray(x)), x / length[:, None])
    np.testing.assert_allclose(linalg.safe_norm(jnp.asarray(x)), length)
    np.testing.assert_allclose(linalg.safe_reciprocal_norm(jnp.asarray(x)), 1 / length)
    np.testing.assert_allclose(linalg.off_diagonal_square_sum(jnp.asarray(PSD)), np.sum(PSD**2) - np.sum(np.diag(PSD) ** 2))
