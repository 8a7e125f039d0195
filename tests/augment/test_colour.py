"""Colour maps against Pillow and the standard library, and the jitter made of them."""

import colorsys
from itertools import combinations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from sslx import augment
from sslx.augment import Jitter, colour_jitter
from sslx.augment._colour import draw_jitter

RNG = np.random.default_rng(0)
BYTES = RNG.integers(0, 256, (5, 12, 10, 3)).astype(np.uint8)
BYTES[0, 0] = [[v] * 3 for v in range(0, 250, 25)]  # grey pixels: no hue
BYTES[1, 0, :, :2] = BYTES[1, 0, :, :1]  # two equal channels
IMAGES = BYTES / 255
FACTORS = np.array([0.0, 0.6, 1.0, 1.4, 3.0])


@pytest.mark.parametrize(
    ("name", "enhancer"),
    [("brightness", ImageEnhance.Brightness), ("contrast", ImageEnhance.Contrast), ("saturation", ImageEnhance.Color)],
)
def test_enhancers_equal_pillow_to_one_level(name, enhancer):
    out = np.asarray(jax.jit(getattr(augment, name))(IMAGES, FACTORS))
    for n, factor in enumerate(FACTORS):
        wanted = np.asarray(enhancer(Image.fromarray(BYTES[n])).enhance(float(factor)))
        assert np.abs(np.round(out[n] * 255) - wanted).max() <= 1
    np.testing.assert_allclose(out[2], IMAGES[2], atol=1e-12)


def test_enhancers_equal_their_formulas():
    grey = IMAGES @ np.array([0.2989, 0.587, 0.114])
    others = {"brightness": np.zeros((5, 1, 1, 1)), "contrast": grey.mean((1, 2))[:, None, None, None], "saturation": grey[..., None]}
    f = FACTORS[:, None, None, None]
    for name, other in others.items():
        out = jax.jit(getattr(augment, name))(IMAGES, FACTORS)
        np.testing.assert_allclose(out, np.clip(f * IMAGES + (1 - f) * other, 0, 1), atol=1e-6)


def test_grey_and_solarized_images_equal_pillow():
    grey = np.asarray(jax.jit(augment.grayscale)(IMAGES, np.array([True, True, False, True, False])))
    inverted = np.asarray(jax.jit(augment.solarize)(IMAGES, np.array([128.0, 0.0, 400.0, 255.0, 17.0]) / 255))
    for n, threshold in enumerate([128, 0, 400, 255, 17]):
        image = Image.fromarray(BYTES[n])
        wanted = np.asarray(image.convert("L").convert("RGB") if n in (0, 1, 3) else image)
        assert np.abs(np.round(grey[n] * 255) - wanted).max() <= 1
        np.testing.assert_allclose(inverted[n] * 255, np.asarray(ImageOps.solarize(image, threshold)), atol=1e-9)


def test_hue_turns_as_in_the_standard_library():
    turns = np.array([0.0, 0.1, -0.1, 0.5, -0.37])
    out = np.asarray(jax.jit(augment.hue)(IMAGES, turns))
    for n, turn in enumerate(turns.tolist()):
        hsv = [colorsys.rgb_to_hsv(*pixel) for pixel in BYTES[n].reshape(-1, 3) / 255]
        wanted = [colorsys.hsv_to_rgb((h + turn) % 1, s, v) for h, s, v in hsv]
        np.testing.assert_allclose(out[n].reshape(-1, 3), wanted, atol=1e-6)


def test_the_jitter_applies_the_four_maps_in_the_given_order():
    factors = Jitter(*(RNG.uniform(low, high, 5) for low, high in [(0.6, 1.4), (0.6, 1.4), (0.6, 1.4), (-0.1, 0.1)]))
    maps = [jax.jit(f) for f in (augment.brightness, augment.contrast, augment.saturation, augment.hue)]
    jitter = jax.jit(colour_jitter)
    results = []
    for order in [(0, 1, 2, 3), (3, 2, 1, 0), (2, 0, 3, 1), (1, 3, 0, 2)]:
        wanted = IMAGES
        for i in order:
            wanted = maps[i](wanted, factors[i])
        results.append(np.asarray(jitter(IMAGES, factors, np.array(order))))
        np.testing.assert_allclose(results[-1], wanted, atol=1e-9)
    assert all(np.abs(a - b).max() > 0.01 for a, b in combinations(results, 2))


def test_neutral_factors_leave_the_images_as_they_are():
    ones = np.ones(5)
    np.testing.assert_allclose(jax.jit(colour_jitter)(IMAGES, Jitter(ones, ones, ones, 0 * ones), np.arange(4)), IMAGES, atol=1e-6)


def test_factors_are_uniform_and_neutral_where_the_coin_says_so():
    strengths = np.array([0.4, 0.2, 1.5, 0.1])
    draw = jax.jit(jax.vmap(lambda key: draw_jitter(key, jnp.asarray(strengths), 0.8)))
    factors = np.asarray(draw(jax.random.split(jax.random.key(0), 20_000)))
    neutral = (factors == np.array([1.0, 1.0, 1.0, 0.0])).all(1)
    np.testing.assert_allclose(neutral.mean(), 0.2, atol=0.01)
    drawn = factors[~neutral]
    low, high = np.array([0.6, 0.8, 0.0, -0.1]), np.array([1.4, 1.2, 2.5, 0.1])
    np.testing.assert_allclose(drawn.min(0), low, atol=0.01)
    np.testing.assert_allclose(drawn.max(0), high, atol=0.01)
    np.testing.assert_allclose(drawn.mean(0), (low + high) / 2, atol=0.02)
    np.testing.assert_allclose(drawn.std(0), (high - low) / np.sqrt(12), atol=0.02)
