"""Colour: deterministic maps of RGB images in [0, 1], and the random colour jitter made of four of them.

All follow the float versions of torchvision's functions of the same name: a blend f x + (1 - f) y is clipped to [0, 1], grey is
0.2989 R + 0.587 G + 0.114 B, hue turns by a fraction of the circle, solarising inverts what is at or above the threshold. A
factor has one value per image, [N]. The arithmetic is in at least float32, the result in the dtype of the images. Images
that are not floating-point are refused with a TypeError, grey ones with a ValueError where the map needs RGB.
"""

from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Bool, Float, Int

from sslx.augment._views import Images, check_images
from sslx.moments import at_least_float32

Factor: TypeAlias = Float[Array, " N"]
GREY = (0.2989, 0.587, 0.114)


def luma(images: Images) -> Float[Array, "N H W 1"]:
    """Grey level 0.2989 R + 0.587 G + 0.114 B."""
    check_images(images, coloured=True)
    red, green, blue = (weight * at_least_float32(images[..., c : c + 1]) for c, weight in enumerate(GREY))
    return red + green + blue


def blend(images: Images, other: Array, factor: Factor) -> Images:
    """f images + (1 - f) other, clipped to [0, 1]."""
    check_images(images)
    f = factor[:, None, None, None]
    return jnp.clip(f * at_least_float32(images) + (1 - f) * other, 0, 1).astype(images.dtype)


def brightness(images: Images, factor: Factor) -> Images:
    """Blend with black: 0 is black, 1 the image."""
    return blend(images, jnp.zeros((), jnp.float32), factor)


def contrast(images: Images, factor: Factor) -> Images:
    """Blend with the mean grey level of the image: 0 is uniform grey, 1 the image."""
    check_images(images, coloured=True)
    n, height, width, _ = images.shape
    weights = jnp.tile(jnp.array(GREY), height * width) / (height * width)
    mean = jnp.dot(at_least_float32(images).reshape(n, -1), weights, precision=lax.Precision.HIGHEST)
    return blend(images, mean[:, None, None, None], factor)


def saturation(images: Images, factor: Factor) -> Images:
    """Blend with the grey image: 0 is grey, 1 the image."""
    return blend(images, luma(images), factor)


def hue(images: Images, turn: Factor) -> Images:
    """Turn the hue by `turn` of the circle, at constant value V = max and chroma c = max - min.

    With h the hue in sixths of a turn, channel n (5, 3, 1 for R, G, B) becomes V - c clip(min(k, 4 - k), 0, 1), k = n + h mod 6.
    """
    check_images(images, coloured=True)
    rgb = at_least_float32(images)
    red, green, blue = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    top = jnp.maximum(jnp.maximum(red, green), blue)
    chroma = top - jnp.minimum(jnp.minimum(red, green), blue)
    sector = jnp.where(top == red, green - blue, jnp.where(top == green, blue - red, red - green))
    origin = jnp.where(top == red, 0.0, jnp.where(top == green, 2.0, 4.0))
    sixths = origin + sector / jnp.where(chroma > 0, chroma, 1) + 6 * turn[:, None, None]
    k = sixths[..., None] + jnp.array([5.0, 3.0, 1.0], rgb.dtype)
    k -= 6 * jnp.floor(k / 6)  # ten times faster than jnp.mod on a CPU
    return (top[..., None] - chroma[..., None] * jnp.clip(jnp.minimum(k, 4 - k), 0, 1)).astype(images.dtype)


def grayscale(images: Images, where: Bool[Array, " N"]) -> Images:
    """The chosen images in grey, in all three channels."""
    return jnp.where(where[:, None, None, None], luma(images), images).astype(images.dtype)


def solarize(images: Images, threshold: Factor) -> Images:
    """1 - x where x is at or above the threshold; a threshold above 1 leaves the image as it is."""
    check_images(images)
    return jnp.where(images >= threshold[:, None, None, None], 1 - images, images)


class Jitter(NamedTuple):
    """Factors of the colour jitter, one per image; 1, 1, 1 and 0 leave an image as it is."""

    brightness: Factor
    contrast: Factor
    saturation: Factor
    hue: Factor


def colour_jitter(images: Images, jitter: Jitter, order: Int[Array, "4"]) -> Images:
    """Brightness (0), contrast (1), saturation (2) and hue (3), applied to the whole batch in the given order."""
    steps = [lambda x, f=f, factor=factor: f(x, factor) for f, factor in zip((brightness, contrast, saturation, hue), jitter, strict=True)]
    return lax.fori_loop(0, 4, lambda i, x: lax.switch(order[i], steps, x), images)


def draw_jitter(key: Array, strengths: Float[Array, "4"], probability: float) -> Float[Array, "4"]:
    """Factors of one image: U(max(0, 1 - s), 1 + s), the turn of the hue U(-s, s); neutral with 1 - probability."""
    u = jax.random.uniform(key, (5,), jnp.float32)
    neutral, least = jnp.array([1, 1, 1, 0], jnp.float32), jnp.array([0, 0, 0, -1], jnp.float32)
    low, high = jnp.maximum(neutral - strengths, least), neutral + strengths
    return jnp.where(u[4] < probability, low + (high - low) * u[:4], neutral)
