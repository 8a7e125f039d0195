import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

import reference
from sslx.entropy import LOG_TWO_PI_E, gaussian_entropy, logdet_entropy, median_squared_distance, pairwise_entropy_isotropic

R = np.random.default_rng(0)
TALL, WIDE = R.normal(size=(9, 4)) + 2, R.normal(size=(4, 9)) + 2
logdet, pairwise = jax.jit(logdet_entropy), jax.jit(pairwise_entropy_isotropic, static_argnames="lower")
value_and_gradient = jax.jit(jax.value_and_grad(gaussian_entropy))


def test_gaussian_entropy_is_scipys():
    cov = np.cov(TALL.T)
    assert jax.jit(gaussian_entropy)(cov) == pytest.approx(scipy.stats.multivariate_normal(cov=cov).entropy())


@pytest.mark.parametrize("scale", [1e-20, 1e20])
def test_gaussian_entropy_at_any_scale(scale):
    value, gradient = value_and_gradient(jnp.asarray(scale * np.eye(2), jnp.float32))
    np.testing.assert_allclose(value, LOG_TWO_PI_E + math.log(scale), rtol=1e-6)
    np.testing.assert_allclose(gradient * scale, np.eye(2) / 2, rtol=1e-6)
    assert value_and_gradient(jnp.asarray(scale * np.ones((2, 2)), jnp.float32))[0] == -np.inf


@pytest.mark.parametrize("z", [TALL, WIDE])
@pytest.mark.parametrize("beta", [0.1, 1.0, 50.0])
def test_logdet_entropy_on_either_gram_matrix(z, beta):
    assert logdet(z, beta=beta) == pytest.approx(reference.logdet_entropy(z, beta), rel=1e-12)


def test_gaussian_entropy_of_matrices_that_are_not_positive_definite():
    """A limit and gradient 0 where it is singular, whatever rounding left of the determinant; nan where it is indefinite."""
    root, zero, indefinite = R.normal(size=(2, 1)), np.zeros((2, 2)), (np.diag([1, -1]), -np.eye(2), [[1, 0.5], [0.5, 0]])
    for singular in (root @ root.T, np.diag([1, 0]), zero):
        value, gradient = value_and_gradient(jnp.asarray(singular, jnp.float32))
        assert value == -np.inf
        np.testing.assert_array_equal(gradient, zero)
    assert all(np.isnan(value_and_gradient(jnp.asarray(cov, jnp.float32))[0]) for cov in indefinite)


@pytest.mark.parametrize("scale", [1.0, 1e3, 1e5])
@pytest.mark.parametrize("rows", [200, 40])
def test_directions_without_variance_have_no_entropy_however_large_the_points(rows, scale):
    z = np.float32(scale * np.random.default_rng(0).normal(size=(rows, 32)) @ np.random.default_rng(1).normal(size=(32, 64)))
    assert logdet(z) == pytest.approx(reference.logdet_entropy(np.float64(z), 1.0), rel=1e-3)


@pytest.mark.parametrize("weak", [0.004, 0.01, 0.02])
def test_weak_directions_keep_their_entropy_beside_one_that_has_none(weak):
    z = 1e4 * np.random.default_rng(0).normal(size=(512, 64)) * np.repeat([1, weak], 32)
    z[:, 63] = z[:, 62]
    z = z.astype(np.float32)
    several = jax.jit(jax.vmap(logdet_entropy))(np.stack([z, z[:, ::-1]]))
    np.testing.assert_allclose([logdet(z), *several], reference.logdet_entropy(np.float64(z), 1.0), rtol=1e-4)


def test_logdet_entropy_tends_to_the_gaussian_shape():
    half_logdet = np.linalg.slogdet(reference.biased_covariance(TALL))[1] / 2
    assert float(logdet(TALL, beta=1e9)) - 2 * math.log(1e9) == pytest.approx(half_logdet, rel=1e-6)


def test_float32_is_close_to_float64():
    @jax.jit
    def estimates(z):
        return logdet_entropy(z), gaussian_entropy(jnp.cov(z.T)), pairwise_entropy_isotropic(z, 0.7)

    low, high = (estimates(np.float32(TALL).astype(dtype)) for dtype in (np.float32, np.float64))
    assert low[0].dtype == jnp.float32
    np.testing.assert_allclose(low, high, rtol=1e-4)


@pytest.mark.parametrize("lower", [True, False])
def test_pairwise_entropy_is_the_double_sum(lower):
    assert pairwise(TALL, 0.7, lower=lower) == pytest.approx(reference.pairwise_entropy(TALL, 0.7, lower), rel=1e-12)


@pytest.mark.parametrize("lower", [True, False])
def test_pairwise_entropy_lies_between_one_component_and_log_n_more(lower):
    component = 2 * math.log(2 * math.pi * math.e * 0.7)
    apart, together = (pairwise(c * TALL, 0.7, lower=lower) for c in (1e3, 0.0))
    assert apart == pytest.approx(component + math.log(9))
    assert together == pytest.approx(component)


def test_pairwise_bounds_hold_the_true_entropy_between_them():
    """The truth by integrating a mixture of three Gaussians on a line."""
    centres, variance = np.array([[-1.0], [0.2], [2.0]]), 0.4
    x = np.linspace(-8, 9, 20001)
    density = np.mean(scipy.stats.norm.pdf(x[:, None], centres[:, 0], math.sqrt(variance)), axis=1)
    truth = np.trapezoid(scipy.special.entr(density), x)
    lower, upper = (float(pairwise(centres, variance, lower=low)) for low in (True, False))
    assert lower < truth < upper


def test_median_leaves_a_row_and_itself_out():
    assert jax.jit(median_squared_distance)(TALL) == pytest.approx(reference.median_squared_distance(TALL))


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
def test_median_of_what_is_not_finite_is_unknown(bad):
    assert np.isnan(median_squared_distance(jnp.asarray(TALL).at[1, 0].set(bad)))


@pytest.mark.parametrize(
    "function", [logdet_entropy, lambda z, **axis: pairwise_entropy_isotropic(z, 0.3, **axis), median_squared_distance]
)
def test_points_of_all_devices(function):
    z = R.normal(size=(8, 3))
    spread = jax.pmap(lambda part: function(part, axis_name="batch"), axis_name="batch", devices=jax.devices()[:4])(z.reshape(4, 2, 3))
    np.testing.assert_allclose(spread, jax.jit(function)(z), rtol=1e-12)


@pytest.mark.usefixtures("without_typing_hook")
def test_bad_input():
    with pytest.raises(ValueError, match=r"z must have shape \[N, d\], got \(3,\)"):
        logdet_entropy(jnp.ones(3))
    with pytest.raises(ValueError, match="z must have at least 2 rows over all devices, got 1"):
        median_squared_distance(jnp.ones((1, 3)))
    with pytest.raises(ValueError, match="beta must be at least 0, got -1"):
        logdet_entropy(jnp.ones((4, 3)), beta=-1)
    with pytest.raises(ValueError, match="variance must be above 0, got -1"):
        pairwise_entropy_isotropic(jnp.ones((4, 3)), -1)
    with pytest.raises(ValueError, match=r"cov must have shape \[d, d\], got \(2, 3\)"):
        gaussian_entropy(jnp.ones((2, 3)))
