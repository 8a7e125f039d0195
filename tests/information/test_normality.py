import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from sslx.information import normality_pvalues, normaltest

omnibus = jax.jit(normaltest)


def pvalues_of(f, samples=512):
    return jax.jit(lambda key, x, sigma: normality_pvalues(key, f, x, sigma, samples=samples))


@pytest.mark.parametrize("samples", [20, 512])
def test_equals_scipy(samples):
    rng = np.random.default_rng(samples)
    gaussian = rng.standard_normal((samples, 40)) * 10.0 ** rng.uniform(-5, 5, 40) + rng.standard_normal(40)
    skewed = np.concatenate([gaussian[:, :20] ** 2, rng.uniform(size=(samples, 20)), rng.standard_t(5, (samples, 20))], axis=1)
    values = np.concatenate([gaussian, skewed, -skewed], axis=1)
    np.testing.assert_allclose(omnibus(jnp.asarray(values)), scipy.stats.normaltest(values).pvalue, rtol=1e-6)


def test_float32_is_close_to_float64():
    values = np.random.default_rng(0).standard_normal((512, 30)).astype(np.float32)
    low = omnibus(jnp.asarray(values))
    assert low.dtype == jnp.float32
    np.testing.assert_allclose(low, scipy.stats.normaltest(values.astype(np.float64)).pvalue, rtol=1e-4)


def test_any_scale_in_float32():
    values = np.random.default_rng(0).standard_normal((512, 1)).astype(np.float32) * np.float32([1.0, 1e19, 1e-20, 1e30])
    p = omnibus(jnp.asarray(values))
    np.testing.assert_allclose(p, np.full(4, p[0]), rtol=1e-4)


def test_a_unit_that_does_not_vary_is_nan():
    values = np.random.default_rng(1).standard_normal((100, 4))
    values[:, 1], values[:, 2] = 0.0, 0.3
    np.testing.assert_array_equal(np.isnan(omnibus(jnp.asarray(values))), [False, True, True, False])
    assert np.isnan(omnibus(jnp.full((512, 30), 3.5700817, jnp.float32))).all()  # whose float32 mean is another number


def test_outputs_of_an_affine_network_are_gaussian_and_those_of_a_square_are_not():
    x = jax.random.normal(jax.random.key(0), (300, 2, 2), jnp.float64)
    p = np.asarray(pvalues_of(lambda v: jnp.append(3 * v.ravel() + 1, jnp.sum(v**2)))(jax.random.key(1), x, 0.5))
    assert p.shape == (300, 5)
    # one unit per image, so that the 300 p-values are independent; K^2 is only near chi-squared at 512 samples
    assert scipy.stats.kstest(p[:, 0], "uniform").pvalue > 1e-3
    assert np.mean(p[:, :4] > 0.01) > 0.97
    assert np.mean(p[:, 4] > 0.01) < 0.7


def test_noise_is_fresh_for_every_image_and_fixed_by_the_key():
    pvalues, x = pvalues_of(lambda v: v, samples=64), jnp.zeros((3, 2))
    p = pvalues(jax.random.key(0), x, 1.0)
    assert len(np.unique(p)) == 6
    np.testing.assert_array_equal(p, pvalues(jax.random.key(0), x, 1.0))
    assert not np.any(np.asarray(p) == pvalues(jax.random.key(1), x, 1.0))


def test_small_noise_leaves_a_relu_network_gaussian_and_large_noise_does_not():
    rng = np.random.default_rng(2)
    w, x = jnp.asarray(rng.standard_normal((2, 8, 8))), jnp.asarray(rng.standard_normal((20, 8)))
    pvalues = pvalues_of(lambda v: w[1] @ jax.nn.relu(w[0] @ v))
    small, large = (np.asarray(pvalues(jax.random.key(4), x, sigma)) for sigma in (1e-5, 3.0))
    assert np.mean(small[~np.isnan(small)] > 0.01) > 0.95  # for one image every hidden unit is dead, and its outputs constant
    assert np.mean(large[~np.isnan(large)] > 0.01) < 0.2


@pytest.mark.usefixtures("without_typing_hook")
def test_bad_input_is_named():
    with pytest.raises(ValueError, match=r"samples >= 20, got \(19, 2\)"):
        normaltest(jnp.ones((19, 2)))
    with pytest.raises(ValueError, match="samples must be an integer of at least 20, got 19"):
        normality_pvalues(jax.random.key(0), lambda v: v, jnp.ones((1, 2)), 1.0, samples=19)
    with pytest.raises(ValueError, match="sigma must be above 0, got -1"):
        normality_pvalues(jax.random.key(0), lambda v: v, jnp.ones((1, 2)), -1.0)
    with pytest.raises(ValueError, match=r"sigma must be one number, got shape \(2,\)"):
        normality_pvalues(jax.random.key(0), lambda v: v, jnp.ones((1, 2)), jnp.ones(2))
    with pytest.raises(TypeError, match="x must be floating-point, got dtype int64"):
        normality_pvalues(jax.random.key(0), lambda v: v, jnp.ones((1, 2), jnp.int64), 1.0)
