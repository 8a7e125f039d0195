import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from sslx.information import gaussian_entropy, vicreg_decomposition
from sslx.losses import vicreg

steps = jax.jit(vicreg_decomposition)


def embeddings(seed, n=40, d=5, strength=0.1):
    """Features with standard deviations from 0.6 to 1.4 and correlations of the order of `strength`."""
    rng = np.random.default_rng(seed)
    mix = np.eye(d) + strength * rng.standard_normal((d, d))
    return rng.standard_normal((n, d)) @ mix * np.linspace(0.6, 1.4, d)


def test_the_gaps_close_the_account():
    for seed in range(5):
        t = jax.device_get(steps(embeddings(seed, strength=0.5)))
        gaps = t.tangent_gap + t.clip_gap + t.expansion_gap + t.correlation_gap
        np.testing.assert_allclose(t.hinge + t.covariance / 4 + gaps, t.neg_log_det, rtol=1e-12)
        np.testing.assert_allclose(t.neg_log_std + t.neg_log_det_correlation, t.neg_log_det, rtol=1e-12)
        assert t.tangent_gap > 0 > t.clip_gap
        assert t.neg_log_det_correlation > 0


def test_it_starts_at_the_gaussian_entropy_and_ends_at_the_terms_of_vicreg():
    z = embeddings(0)
    t = jax.device_get(steps(z))
    cov = np.cov(z.T) + 1e-4 * np.eye(5)
    np.testing.assert_allclose(2.5 * (1 + np.log(2 * np.pi)) - t.neg_log_det, jax.jit(gaussian_entropy)(cov), rtol=1e-12)
    _, terms = jax.jit(vicreg)(z, z)  # averages the hinge, and sums the covariance, over two equal branches
    np.testing.assert_allclose(t.hinge / 5, terms.variance, rtol=1e-12)
    np.testing.assert_allclose(2 * t.covariance / 5, terms.covariance, rtol=1e-12)


def test_the_expansion_error_is_of_third_order():
    """Whitened features mixed by I + t M: the gap of the expansion divided by t^3 tends to a constant."""
    rng = np.random.default_rng(1)
    raw = rng.standard_normal((50, 4))
    raw -= raw.mean(0)
    white = np.linalg.qr(raw)[0] * 7  # covariance I: 49 degrees of freedom
    m = rng.standard_normal((4, 4))
    ratios = [float(steps(white @ (np.eye(4) + t * m), eps=0.0).expansion_gap) / t**3 for t in (1e-2, 1e-3)]
    np.testing.assert_allclose(ratios[0], ratios[1], rtol=0.1)
    assert abs(ratios[1]) > 1e-2


def test_unit_variance_leaves_only_the_expansion():
    z = embeddings(2)
    t = steps(z / np.std(z, axis=0, ddof=1), eps=0.0)
    np.testing.assert_allclose([t.hinge, t.tangent_gap, t.clip_gap, t.correlation_gap], 0.0, atol=1e-12)


def test_collapse_is_finite_with_finite_gradient():
    value_and_gradient = jax.jit(jax.value_and_grad(lambda z: vicreg_decomposition(z).neg_log_det))
    for z in (np.zeros((6, 3)), np.ones((6, 3)), np.r_[2 * np.ones((1, 3)), np.ones((5, 3))]):
        value, gradient = value_and_gradient(z)
        assert np.isfinite(value)
        assert np.isfinite(gradient).all()
    np.testing.assert_allclose(value_and_gradient(np.ones((6, 3)))[0], -1.5 * np.log(1e-4), rtol=1e-12)


def test_gradients_and_float32():
    z = embeddings(3)
    check_grads(jax.jit(lambda z: jnp.stack(vicreg_decomposition(z))), (z,), 1, ["rev"], eps=1e-5)
    low, high = steps(np.float32(z)), steps(np.float64(np.float32(z)))
    np.testing.assert_allclose(low, high, rtol=1e-4, atol=1e-6)


@pytest.mark.usefixtures("without_typing_hook")
def test_bad_input_is_named():
    with pytest.raises(ValueError, match=r"z must have at least 2 rows and 1 column, got shape \(1, 3\)"):
        vicreg_decomposition(jnp.ones((1, 3)))
