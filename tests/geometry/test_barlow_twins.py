import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sslx import geometry


def _pair(n=40, d=5, seed=0):
    generator = np.random.default_rng(seed)
    z = generator.normal(size=(n, d)) @ generator.normal(size=(d, d)) + 3
    return z, z + 0.5 * generator.normal(size=(n, d))


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
    both = np.corrcoef(z_a.T, z_b.T)
    np.testing.assert_allclose(terms.correlation, both[:5, :5], atol=1e-12)
    np.testing.assert_allclose(terms.cross_correlation, both[:5, 5:], atol=1e-12)
    np.testing.assert_allclose(terms.distance, np.linalg.norm(both[:5, 5:] - np.eye(5)), rtol=1e-12)


def test_split_batch_and_half_precision():
    z_a, z_b = _pair()
    whole = every_result(z_a, z_b)
    split = jax.jit(jax.vmap(lambda a, b: _every_result(a, b, "i"), axis_name="i"))(z_a.reshape(4, 10, 5), z_b.reshape(4, 10, 5))
    half = efficiency_of(np.float16(z_a), np.float16(z_b))
    assert half.efficiency.dtype == jnp.float32
    np.testing.assert_allclose(half.efficiency, whole[2], rtol=0.02)
    for part, value in zip(split, whole, strict=True):
        np.testing.assert_allclose(part, np.broadcast_to(value, part.shape), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("constant", [0.0, 0.1])
def test_a_feature_that_does_not_vary_counts_as_zero(constant):
    """Also where rounding of the mean leaves a spread; the bound, which needs unit variances, is withdrawn."""
    z_a, z_b = (np.where(np.arange(5) == 2, constant, z).astype(np.float32) for z in _pair())
    c, r, eta, _, bound, *_, augmentation, _ = map(np.asarray, every_result(z_a, z_b))
    assert r[2, 2] == c[2, 2] == bound == 0
    assert eta <= 0.8
    assert np.isfinite(augmentation).all()
    np.testing.assert_allclose(np.min(np.abs(augmentation)), 0, atol=1e-5)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_complete_collapse(dtype):
    collapsed = np.full((40, 5), 0.3, dtype)
    terms = efficiency_of(collapsed, collapsed)
    assert float(terms.efficiency) == float(terms.efficiency_bound) == 0
    np.testing.assert_allclose(terms.distance, 5**0.5, rtol=1e-6)
    gradient = jax.jit(jax.grad(lambda z_a, z_b: geometry.barlow_twins_efficiency(z_a, z_b).efficiency))(collapsed, collapsed)
    assert np.isfinite(gradient).all()


def test_ridge_keeps_information_finite_for_identical_views():
    z, _ = _pair()
    augmentation, predictive = (
        jax.jit(lambda z, f=f: f(z, z, ridge=1e-4))(z) for f in (geometry.augmentation_fisher, geometry.predictive_fisher)
    )
    np.testing.assert_allclose(augmentation, 1e4 * np.eye(5), rtol=1e-9)
    assert np.isfinite(predictive).all()


def test_augmentation_fisher_is_nan_exactly_where_it_is_singular():
    """Rank 4 of 8 from 5 distinct rows is not inverted; noise of very different size per feature is."""
    fisher, generator = jax.jit(geometry.augmentation_fisher), np.random.default_rng(0)
    z, noise = generator.normal(size=(2, 20, 8)).astype(np.float32)
    few = np.arange(20) % 5
    assert np.isnan(fisher(z[few], z[few] + 0.1 * noise[few])).all()
    assert np.linalg.eigvalsh(fisher(z, z + noise * np.geomspace(1e-3, 1, 8, dtype=np.float32)))[0] > 0


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 1e-4), (np.float64, 1e-11)])
def test_redundant_features_add_no_information(dtype, tolerance):
    """All but two eigenvalues of 24 features that are copies of two, in other units, are 0, and those two as before."""
    pair, units = [z.astype(dtype) for z in _pair(d=2)], np.random.default_rng(1).normal(size=24).astype(dtype)
    both = (jax.jit(geometry.data_metric_spectra)(*views) for views in (pair, [np.tile(z, 12) * units for z in pair]))
    for plain, redundant in zip(*both, strict=True):
        np.testing.assert_allclose(np.sort(redundant), np.r_[np.zeros(22), np.sort(plain)], rtol=tolerance, atol=tolerance)


def test_nan_stays_nan():
    """One NaN in a view reaches every result."""
    z_a, z_b = _pair()
    z_a[3, 2] = np.nan
    assert all(np.isnan(part).any() for part in every_result(z_a, z_b))


@jax.jit
def _all(z_a, z_b):
    fishers = geometry.augmentation_fisher(z_a, z_b), geometry.predictive_fisher(z_a, z_b)
    return geometry.barlow_twins_efficiency(z_a, z_b), *fishers, geometry.data_metric_spectra(z_a, z_b)


@pytest.mark.parametrize("exponent", [-66, 66])
def test_nothing_depends_on_the_units_of_the_features(exponent):
    """Not even where their squares leave float32."""
    z_a = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
    z_b = z_a + np.random.default_rng(1).normal(size=(60, 4)).astype(np.float32)
    scaled = _all(np.ldexp(z_a, exponent), np.ldexp(z_b, [exponent, 0, 0, exponent]))
    for got, wanted in zip(jax.tree.leaves(scaled), jax.tree.leaves(_all(z_a, z_b)), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)


def test_bad_input(without_typing_hook):
    with pytest.raises(ValueError, match=r"z_a and z_b must have one shape \[N, d\], got \(4, 3\) and \(4, 2\)"):
        geometry.barlow_twins_efficiency(jnp.ones((4, 3)), jnp.ones((4, 2)))
    with pytest.raises(ValueError, match=r"z_a must have at least 2 rows over all devices, got 1; pass a larger batch"):
        geometry.augmentation_fisher(jnp.ones((1, 3)), jnp.ones((1, 3)))
    for fisher in (geometry.augmentation_fisher, geometry.predictive_fisher):
        with pytest.raises(ValueError, match=r"ridge must be at least 0, got -1"):
            fisher(jnp.ones((4, 3)), jnp.ones((4, 3)), ridge=-1)
    with pytest.raises(ValueError, match=r"cross_correlation must have shape \[d, d\], got \(3, 2\)"):
        geometry.efficiency_bound(jnp.ones((3, 2)))
