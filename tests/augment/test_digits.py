"""The views for digits: what they depend on, and the size of each deformation."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sslx.augment import digits_view, make_views
from sslx.augment._digits import affine_matrices, smooth_field, spread

OFF = {"rotation": 0.0, "log_scale": 0.0, "shear": 0.0, "shift": 0.0, "elastic": 0.0, "gain": 0.0, "gamma": 0.0, "noise": 0.0}
view = jax.jit(digits_view)


@pytest.fixture(scope="module")
def batch():
    return np.asarray(jax.random.uniform(jax.random.key(3), (8, 8, 8, 1), jnp.float32)), np.arange(8, dtype=np.int32)


def test_same_key_same_view_and_other_key_other_view(batch):
    first, again, other = (np.asarray(view(jax.random.key(seed), *batch)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (np.abs(first - other).max(axis=(1, 2, 3)) > 0.05).all()


def test_jit_equals_eager(batch):
    np.testing.assert_allclose(view(jax.random.key(0), *batch), digits_view(jax.random.key(0), *map(jnp.asarray, batch)), atol=1e-6)


def test_a_view_depends_on_the_global_index_and_not_on_the_place_in_the_batch(batch):
    images, index = batch
    whole = np.asarray(view(jax.random.key(0), images, index))
    order = np.array([5, 2, 7, 0, 1, 3, 4, 6])
    np.testing.assert_array_equal(view(jax.random.key(0), images[order], index[order]), whole[order])
    parts = jax.pmap(partial(digits_view, jax.random.key(0)), devices=jax.devices()[:4])
    split = parts(images.reshape(4, 2, 8, 8, 1), index.reshape(4, 2)).reshape(whole.shape)
    np.testing.assert_allclose(split, whole, atol=1e-6)
    alike = np.asarray(view(jax.random.key(0), np.broadcast_to(images[:1], images.shape), index))
    assert (np.abs(alike[1:] - alike[:1]).max(axis=(1, 2, 3)) > 0.05).all()


def test_views_of_one_batch_differ_and_are_stacked_in_order(batch):
    views = jax.jit(lambda key, x, i: make_views(key, x, i, [digits_view, partial(digits_view, **OFF), digits_view]))
    out = np.asarray(views(jax.random.key(0), *batch))
    assert out.shape == (3, 8, 8, 8, 1)
    np.testing.assert_allclose(out[1], batch[0], atol=1e-6)
    assert (np.abs(out[0] - out[2]).max(axis=(1, 2, 3)) > 0.05).all()
    np.testing.assert_array_equal(out[2], view(jax.random.fold_in(jax.random.key(0), 2), *batch))


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float64])
def test_a_view_is_the_same_in_every_floating_type(batch, dtype):
    images, index = batch
    out = view(jax.random.key(0), images.astype(dtype), index)
    assert out.dtype == dtype
    np.testing.assert_allclose(np.float32(out), view(jax.random.key(0), images, index), atol=0.03)


def test_an_affine_matrix_is_rotation_times_shear_over_magnification():
    angle, log_scale, shear = 0.3, 0.2, -0.1
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    wanted = np.exp(-log_scale) * rotation @ np.array([[1, shear], [0, 1]])
    np.testing.assert_allclose(jax.jit(affine_matrices)(*map(np.atleast_1d, (angle, log_scale, shear)))[0], wanted, rtol=1e-12)


def test_gain_and_gamma_are_log_uniform_and_noise_is_normal():
    """log(out) = a + e^b log(x) at two grey levels gives a and b; at x = 0 the noise is left, here far smaller than both."""
    images = np.tile(np.float32([0.5, 0.25, 0.0]).reshape(1, 1, 3, 1), (4000, 1, 1, 1))
    shaded = jax.jit(partial(digits_view, **{**OFF, "gain": 0.4, "gamma": 0.3, "noise": 1e-4}))
    half, quarter, black = np.asarray(shaded(jax.random.key(0), images, np.arange(4000)), np.float64).reshape(4000, 3).T
    gamma = np.log((np.log(half) - np.log(quarter)) / np.log(2))
    gain = np.log(half) + np.exp(gamma) * np.log(2)
    for drawn, size in [(gain, 0.4), (gamma, 0.3)]:
        assert np.abs(drawn).max() <= size + 0.01
        np.testing.assert_allclose([drawn.mean(), drawn.std()], [0, size / np.sqrt(3)], atol=0.05 * size)
    np.testing.assert_allclose([black.mean(), black.std()], [0, 1e-4], atol=5e-6)
    assert np.abs(np.corrcoef(gain, gamma)[0, 1]) < 0.06


def test_the_elastic_field_falls_off_as_a_gaussian_of_the_distance_to_a_knot():
    weights = np.exp(-0.5 * np.subtract.outer([0, 0.75, 1.5, 2.25, 3], np.arange(4)) ** 2)
    np.testing.assert_allclose(spread(4, 5), weights / np.linalg.norm(weights, axis=1, keepdims=True), rtol=1e-6)


def test_the_elastic_field_is_smooth_and_has_unit_variance_everywhere():
    field = np.asarray(jax.jit(smooth_field, static_argnums=(1, 2))(np.random.default_rng(0).normal(size=(4000, 4, 4, 2)), 8, 6))
    np.testing.assert_allclose(field.std(axis=0), 1, atol=0.06)
    assert np.abs(np.diff(field, axis=1)).mean() < 0.5
