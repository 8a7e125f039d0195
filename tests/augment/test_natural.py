"""Views of natural images: what they depend on, and that each part happens with its probability."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sslx.augment import RECIPES, natural_view, normalise

WHOLE = {"scale": (1.0, 1.0), "ratio": (1.0, 1.0), "jitter": 0.0}
view = jax.jit(partial(natural_view, size=12, blur=0.5, solarize=0.3))


@pytest.fixture(scope="module")
def batch():
    return np.asarray(jax.random.uniform(jax.random.key(3), (8, 16, 16, 3), jnp.float32)), np.arange(8, dtype=np.int32)


def test_same_key_same_view_and_other_key_other_view(batch):
    first, again, other = (np.asarray(view(jax.random.key(seed), *batch)) for seed in (0, 0, 1))
    assert first.shape == (8, 12, 12, 3)
    assert 0 <= first.min() <= first.max() <= 1
    np.testing.assert_array_equal(first, again)
    assert (np.abs(first - other).max(axis=(1, 2, 3)) > 0.05).all()


def test_a_view_depends_on_the_global_index_and_not_on_the_place_in_the_batch(batch):
    images, index = batch
    whole = np.asarray(view(jax.random.key(0), images, index))
    split = jax.pmap(lambda x, i: view(jax.random.key(0), x, i), devices=jax.devices()[:4])
    parts = np.asarray(split(images[::-1].reshape(4, 2, 16, 16, 3), index[::-1].reshape(4, 2))).reshape(whole.shape)
    np.testing.assert_allclose(parts[::-1], whole, atol=1e-5)
    alike = np.asarray(view(jax.random.key(0), np.broadcast_to(images[:1], images.shape), index))
    assert (np.abs(alike[1:] - alike[:1]).max(axis=(1, 2, 3)) > 0.05).all()


def test_bfloat16_views_are_close_to_float32(batch):
    images, index = batch
    out = view(jax.random.key(0), images.astype(jnp.bfloat16), index)
    assert out.dtype == jnp.bfloat16
    error = np.abs(np.float32(out) - np.asarray(view(jax.random.key(0), images, index)))
    assert np.quantile(error, 0.98) < 0.03  # solarizing turns a rounding error at the threshold into a jump


def test_each_part_happens_with_its_probability_and_in_its_order():
    image = np.random.default_rng(0).random((4, 4, 3))
    images, index = jnp.asarray(np.tile(image, (3000, 1, 1, 1)), jnp.float32), jnp.arange(3000)
    parts = jax.jit(partial(natural_view, **WHOLE, flip=0.4, grayscale=0.2, blur=0.3, blur_sigma=(0.5, 1.0), solarize=0.1))
    out = np.asarray(parts(jax.random.key(0), images, index))
    grey = np.repeat(image @ np.array([0.2989, 0.587, 0.114])[:, None], 3, -1)
    seen = np.zeros((2, 2, 2), int)
    for flipped, greyed, solarized in np.ndindex(2, 2, 2):
        wanted = grey if greyed else image
        wanted = wanted[:, ::-1] if flipped else wanted
        wanted = np.where(wanted >= 0.5, 1 - wanted, wanted) if solarized else wanted
        seen[flipped, greyed, solarized] = np.isclose(out, wanted, atol=1e-5).all((1, 2, 3)).sum()
    sharp = seen.sum()
    np.testing.assert_allclose(sharp / 3000, 0.7, atol=0.03)
    np.testing.assert_allclose([seen[1].sum() / sharp, seen[:, 1].sum() / sharp, seen[:, :, 1].sum() / sharp], [0.4, 0.2, 0.1], atol=0.035)


def test_normalising_is_per_channel(batch):
    mean, std = (0.5, 0.4, 0.3), (0.2, 0.25, 0.5)
    images = jnp.asarray(batch[0])
    np.testing.assert_allclose(normalise(images, mean, std), (batch[0] - mean) / std, atol=1e-6)
    np.testing.assert_array_equal(normalise(images, None, None), batch[0])


def test_grey_images_are_refused():
    with pytest.raises(ValueError, match=r"images must be RGB, \[N, H, W, 3\], got \(2, 8, 8, 1\); repeat a grey channel"):
        natural_view(jax.random.key(0), jnp.zeros((2, 8, 8, 1)), jnp.arange(2))


def test_every_recipe_has_two_views_of_one_size():
    for name, views in RECIPES.items():
        side, channels = (8, 1) if name == "digits" else (32, 3)
        args = jax.ShapeDtypeStruct((2, side, side, channels), jnp.float32), jax.ShapeDtypeStruct((2,), jnp.int32)
        shapes = {jax.eval_shape(partial(v, jax.random.key(0)), *args).shape for v in views}
        assert len(views) == 2
        assert shapes == {(2, 224, 224, 3) if name == "imagenet" else (2, side, side, channels)}
