import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sslx import geometry


def _rankme(z, eps=1e-7):
    s = np.linalg.svd(np.asarray(z, np.float64), compute_uv=False)
    p = s / s.sum() + eps
    return np.exp(-np.sum(p * np.log(p)))


@pytest.mark.parametrize(("n", "d"), [(40, 12), (7, 12)])
def test_rankme_is_its_definition(n, d):
    z = np.random.default_rng(0).normal(size=(n, d)) + 1.0
    np.testing.assert_allclose(geometry.rankme(jnp.asarray(z)), _rankme(z), rtol=1e-12)
    np.testing.assert_allclose(geometry.rankme(jnp.asarray(z, jnp.float32)), _rankme(z), rtol=1e-5)
    np.testing.assert_allclose(geometry.effective_rank(jnp.asarray(z)), _rankme(z, 0.0), rtol=1e-12)


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.float32, jnp.float64])
def test_rankme_at_collapse(dtype):
    """A zero matrix gives eps^(-K eps), equal rows give 1; values and gradients are finite."""
    value, gradient = jax.value_and_grad(geometry.rankme)(jnp.zeros((10, 64), dtype))
    np.testing.assert_allclose(value, 1e-7 ** (-10 * 1e-7), rtol=1e-6)
    assert bool(jnp.all(jnp.isfinite(gradient)))
    assert geometry.effective_rank(jnp.zeros((10, 64), dtype)) == 0
    np.testing.assert_allclose(geometry.rankme(jnp.ones((10, 64), dtype)), 1, rtol=1e-3)


def test_rankme_rejects_other_shapes(without_typing_hook):
    with pytest.raises(ValueError, match=r"z must have shape \[N, d\], got \(4, 3, 2\)"):
        geometry.rankme(jnp.ones((4, 3, 2)))
