"""Images that are not floating-point [N, H, W, C] are refused by every view and every step of one, with the remedy."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sslx import augment

pytestmark = pytest.mark.usefixtures("without_typing_hook")
KEY, INDEX, IMAGES = jax.random.key(0), jnp.arange(2), jnp.ones((2, 4, 4, 3))
FACTOR, BOXES = jnp.ones(2), jnp.asarray([[0.0, 0.0, 4.0, 4.0]] * 2)
COLOURED = {
    "natural_view": lambda x: augment.natural_view(KEY, x, INDEX),
    "contrast": lambda x: augment.contrast(x, FACTOR),
    "saturation": lambda x: augment.saturation(x, FACTOR),
    "hue": lambda x: augment.hue(x, FACTOR),
    "grayscale": lambda x: augment.grayscale(x, FACTOR > 0),
}
ALL = COLOURED | {
    "digits_view": lambda x: augment.digits_view(KEY, x, INDEX),
    "resized_crop": lambda x: augment.resized_crop(x, BOXES, (2, 2)),
    "gaussian_blur": lambda x: augment.gaussian_blur(x, FACTOR, radius=1),
    "brightness": lambda x: augment.brightness(x, FACTOR),
    "solarize": lambda x: augment.solarize(x, FACTOR),
    "affine": lambda x: augment.affine(x, jnp.ones((2, 2, 2)), jnp.ones((2, 2))),
    "warp": lambda x: augment.warp(x, jnp.ones((2, 1, 2))),
    "normalise": lambda x: augment.normalise(x, (0.5,) * 3, (0.2,) * 3),
}


def test_views_may_be_of_anything_with_a_place_for_each_that_is_floating_point():
    vectors = jnp.ones((2, 6))
    views = [lambda key, x, index: x, lambda key, x, index: 2 * x]
    np.testing.assert_array_equal(augment.make_views(KEY, vectors, INDEX, views), [vectors, 2 * vectors])
    with pytest.raises(TypeError, match=r"images must be floating-point in .* got dtype int32"):
        augment.make_views(KEY, vectors.astype(jnp.int32), INDEX, views)
    with pytest.raises(ValueError, match=r"index must have shape \[N\] = \(2,\), got \(3,\)"):
        augment.make_views(KEY, vectors, jnp.arange(3), views)


@pytest.mark.parametrize("name", ALL)
def test_bytes_and_single_images(name):
    message = r"images must be floating-point in \[0, 1\], got dtype uint8; pass images.astype\(jnp.float32\) / 255"
    with pytest.raises(TypeError, match=message):
        ALL[name](np.full((2, 4, 4, 3), 200, np.uint8))
    with pytest.raises(ValueError, match=r"images must have shape \[N, H, W, C\], got \(4, 4, 3\); give one image as images\[None\]"):
        ALL[name](IMAGES[0])


@pytest.mark.parametrize("name", COLOURED)
def test_grey_images(name):
    with pytest.raises(ValueError, match=r"images must be RGB, \[N, H, W, 3\], got \(2, 4, 4, 1\); repeat a grey channel"):
        COLOURED[name](IMAGES[..., :1])


@pytest.mark.parametrize("view", [augment.natural_view, augment.digits_view, partial(augment.make_views, views=[])])
def test_every_image_has_a_place(view):
    """One place for all of them would give all the same random crop."""
    with pytest.raises(ValueError, match=r"index must have shape \[N\] = \(2,\), got \(1,\); pass the place of every image"):
        view(KEY, IMAGES, INDEX[:1])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 0}, "size must be an integer of at least 1, got 0"),
        ({"scale": (-1.0, 1.0)}, r"scale must be a range \(low, high\) of numbers above 0, got \(-1.0, 1.0\)"),
        ({"scale": (1.0, 0.08)}, "scale must be a range"),
        ({"ratio": (0.0, 1.0)}, r"ratio must be a range \(low, high\) of numbers above 0, got \(0.0, 1.0\)"),
        ({"solarize": 20.0}, "solarize must be between 0 and 1, got 20.0"),
        ({"flip": -0.5}, "flip must be between 0 and 1, got -0.5"),
        ({"contrast": -0.4}, "contrast must be at least 0, got -0.4"),
        ({"hue": 36.0}, "hue must be between 0 and 0.5, got 36.0"),
        ({"blur": 0.5, "blur_sigma": (2.0, 0.1)}, r"blur_sigma must be a range \(low, high\) of numbers from 0, got \(2.0, 0.1\)"),
    ],
)
def test_options_of_a_natural_view_out_of_range(options, message):
    with pytest.raises(ValueError, match=message):
        augment.natural_view(KEY, IMAGES, INDEX, **options)
