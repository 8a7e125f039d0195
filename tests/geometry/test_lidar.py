import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sslx import geometry

lidar = jax.jit(geometry.lidar, static_argnames="delta")


def _scatter(z):
    means = z.mean(axis=1)
    residuals = (z - means[:, None]).reshape(-1, z.shape[2])
    return np.cov(means.T, bias=True), residuals.T @ residuals / len(residuals)


def _lidar(z, delta=1e-4, eps=1e-8):
    between, within = _scatter(z)
    l = np.linalg.eigvals(np.linalg.solve(within + delta * np.eye(len(within)), between)).real
    p = np.maximum(l, 0) / np.maximum(l, 0).sum() + eps
    return np.exp(-np.sum(p * np.log(p)))


def test_lidar_is_its_definition():
    generator = np.random.default_rng(0)
    images = generator.normal(size=(30, 1, 6)) * [3, 2, 1, 1, 0.5, 0.1]
    z = images + 0.3 * generator.normal(size=(30, 4, 6)) @ generator.normal(size=(6, 6))
    np.testing.assert_allclose(lidar(z), _lidar(z), rtol=1e-9)
    np.testing.assert_allclose(lidar(z, delta=1.0), _lidar(z, delta=1.0), rtol=1e-9)
    np.testing.assert_allclose(lidar(np.float32(z)), _lidar(z), rtol=1e-4)


@pytest.mark.parametrize("exponent", [-66, 66])
def test_far_from_the_unit_of_delta(exponent):
    """Features much smaller than delta, or much larger, whose squares float32 does not hold."""
    z = np.random.default_rng(0).normal(size=(30, 4, 6)).astype(np.float32) * np.float32([3, 2, 1, 1, 0.5, 0.1])
    scaled = np.ldexp(z, exponent)
    np.testing.assert_allclose(lidar(scaled), _lidar(scaled.astype(np.float64)), rtol=1e-4)
    np.testing.assert_allclose(lidar(scaled, delta=0.0), lidar(z, delta=0.0), rtol=1e-5)


def test_lidar_of_identical_images_and_of_zeros():
    views = np.random.default_rng(1).normal(size=(1, 5, 4))
    for z in (np.repeat(views, 6, axis=0), np.zeros((6, 5, 4))):
        np.testing.assert_allclose(lidar(jnp.asarray(z)), 1, atol=1e-5)


def test_lidar_sees_what_varies_between_images_only():
    """Large variance that all views of an image do not share adds no dimension."""
    generator = np.random.default_rng(2)
    images = generator.normal(size=(500, 1, 2)) @ np.eye(2, 8)
    z = images + generator.normal(size=(500, 50, 8)) * np.r_[0.1, 0.1, np.full(6, 3.0)]
    assert 1.8 < lidar(jnp.asarray(z)) < 2.3


def test_gradient_where_directions_do_not_vary_within_images():
    """Views that are equal, or vary in a plane by far more than rounding leaves of delta: value and gradient are finite."""
    generator = np.random.default_rng(3)
    plane = 1000 * generator.normal(size=(8, 2, 2)) @ generator.normal(size=(2, 4))
    both = jax.jit(jax.value_and_grad(geometry.lidar))
    for z in (plane, np.repeat(plane[:, :1], 2, axis=1)):
        value, gradient = both(np.float32(z))
        assert 1 < value < 4
        assert np.isfinite(gradient).all()


def test_nan_stays_nan():
    """One NaN in a view reaches the value."""
    z = np.random.default_rng(0).normal(size=(30, 4, 6))
    z[3, 2, 1] = np.nan
    assert np.isnan(lidar(z))


def test_bad_input(without_typing_hook):
    for option in ("delta", "eps"):
        with pytest.raises(ValueError, match=f"{option} must be at least 0, got -1"):
            geometry.lidar(jnp.ones((3, 2, 4)), **{option: -1})
        with pytest.raises(ValueError, match=f"{option} must be at least 0, got -1"):
            geometry.lidar_from_moments(*[geometry.update_moments(geometry.init_host_moments(4), np.ones((3, 4)))] * 2, **{option: -1})
    with pytest.raises(ValueError, match=r"z must have shape \[images >= 2, views >= 2, d\], got \(6, 4\)"):
        geometry.lidar(jnp.ones((6, 4)))
    for few in ((1, 4, 3), (6, 1, 3), (6, 4, 0)):
        with pytest.raises(ValueError, match=re.escape(f"z must have shape [images >= 2, views >= 2, d], got {few}")):
            geometry.lidar(jnp.ones(few))
