import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sslx import geometry


def _pair(n=40, d=5, seed=0):
    generator = np.random.default_rng(seed)
    z = generator.normal(size=(n, d)) @ generator.normal(size=(d, d)) + 3
    return jnp.asarray(z), jnp.asarray(z + 0.5 * generator.normal(size=(n, d)))


def _every_result(z_a, z_b, axis_name=None):
    return (
        *geometry.barlow_twins_efficiency(z_a, z_b, axis_name=axis_name),
        geometry.augmentation_fisher(z_a, z_b, axis_name=axis_name),
        geometry.predictive_fisher(z_a, z_b, axis_name=axis_name),
        *geometry.data_metric_spectra(z_a, z_b, axis_name=axis_name),
    )


every_result = jax.jit(_every_result)
efficiency_of = jax.jit(geometry.barlow_twins_efficiency)


def test_correlations_are_those_of_numpy():
    z_a, z_b = _pair()
    terms = efficiency_of(z_a, z_b)
    both = np.corrcoef(np.asarray(z_a).T, np.asarray(z_b).T)
    np.testing.assert_allclose(terms.correlation, both[:5, :5], atol=1e-12)
    np.testing.assert_allclose(terms.cross_correlation, both[:5, 5:], atol=1e-12)
    np.testing.assert_allclose(terms.distance, np.linalg.norm(both[:5, 5:] - np.eye(5)), rtol=1e-12)


def test_split_batch_and_half_precision():
    z_a, z_b = _pair()
    whole = every_result(z_a, z_b)
    split = jax.jit(jax.vmap(lambda a, b: _every_result(a, b, "i"), axis_name="i"))(z_a.reshape(4, 10, 5), z_b.reshape(4, 10, 5))
    half = efficiency_of(z_a.astype(jnp.float16), z_b.astype(jnp.float16))
    assert half.efficiency.dtype == jnp.float32
    np.testing.assert_allclose(half.efficiency, whole[2], rtol=0.02)
    for part, value in zip(split, whole, strict=True):
        np.testing.assert_allclose(part, jnp.broadcast_to(value, part.shape), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("constant", [0.0, 0.1])
def test_a_feature_that_does_not_vary_counts_as_zero(constant):
    """Also where rounding of the mean leaves a spread; the bound, which needs unit variances, is withdrawn."""
    z_a, z_b = (z.astype(jnp.float32).at[:, 2].set(constant) for z in _pair())
    c, r, eta, _, bound, *_, augmentation, _ = every_result(z_a, z_b)
    assert r[2, 2] == c[2, 2] == bound == 0
    assert eta <= 0.8
    assert bool(jnp.all(jnp.isfinite(augmentation)))
    np.testing.assert_allclose(jnp.min(jnp.abs(augmentation)), 0, atol=1e-5)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_complete_collapse(dtype):
    collapsed = jnp.full((40, 5), 0.3, dtype)
    terms = efficiency_of(collapsed, collapsed)
    assert terms.efficiency == terms.efficiency_bound == 0
    np.testing.assert_allclose(terms.distance, 5**0.5, rtol=1e-6)
    gradient = jax.jit(jax.grad(lambda z: geometry.barlow_twins_efficiency(z, collapsed).efficiency))(collapsed)
    assert bool(jnp.all(jnp.isfinite(gradient)))


def test_ridge_keeps_information_finite_for_identical_views():
    z, _ = _pair()
    fisher = geometry.augmentation_fisher(z, z, ridge=1e-4)
    np.testing.assert_allclose(fisher, 1e4 * np.eye(5), rtol=1e-9)
    assert bool(jnp.all(jnp.isfinite(geometry.predictive_fisher(z, z, ridge=1e-4))))


def test_bad_input(without_typing_hook):
    with pytest.raises(ValueError, match=r"z_a and z_b must have one shape \[N, d\], got \(4, 3\) and \(4, 2\)"):
        geometry.barlow_twins_efficiency(jnp.ones((4, 3)), jnp.ones((4, 2)))
    with pytest.raises(ValueError, match=r"z_a must have at least 2 rows .*got shape \(1, 3\)"):
        geometry.augmentation_fisher(jnp.ones((1, 3)), jnp.ones((1, 3)))
    with pytest.raises(ValueError, match=r"cross_correlation must have shape \[d, d\], got \(3, 2\)"):
        geometry.efficiency_bound(jnp.ones((3, 2)))
