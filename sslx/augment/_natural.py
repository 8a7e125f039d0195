"""Random views of natural images: crop, flip, colour jitter, grey, blur, solarize, normalise.

A recipe is `functools.partial(natural_view, ...)`; an asymmetric pair is two of them.
"""

import math

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Key

from sslx.augment import _colour as colour
from sslx.augment._blur import gaussian_blur
from sslx.augment._crop import crop_boxes, resized_crop
from sslx.augment._views import Images, Index, check_batch, check_images, example_keys
from sslx.checks import check_integer, check_range


def natural_view(
    key: Key[Array, ""],
    images: Images,
    index: Index,
    *,
    size: int | None = None,
    scale: tuple[float, float] = (0.08, 1.0),
    ratio: tuple[float, float] = (3 / 4, 4 / 3),
    interpolation: str = "bicubic",
    flip: float = 0.5,
    jitter: float = 0.8,
    brightness: float = 0.4,
    contrast: float = 0.4,
    saturation: float = 0.2,
    hue: float = 0.1,
    grayscale: float = 0.2,
    blur: float = 0.0,
    blur_sigma: tuple[float, float] = (0.1, 2.0),
    solarize: float = 0.0,
    solarize_threshold: float = 0.5,
    mean: tuple[float, ...] | None = None,
    std: tuple[float, ...] | None = None,
) -> Float[Array, "N h w C"]:
    """A random resized crop, flipped, with jittered colours, in grey, blurred and solarized, each with its probability.

    The defaults are those of BYOL (Grill et al., 2020, arXiv:2006.07733, appendix B), which Barlow Twins and VICReg took over,
    without blur and solarizing, which differ between the two views. The order of the four colour operations is drawn once per
    batch, all else per example.

    Args:
        key: the batch's key.
        images: RGB, [N, H, W, 3] in [0, 1].
        index: global index of every example, [N].
        size: side of the square result in pixels; that of the images if None.
        scale: range of the crop's area as a fraction of the image.
        ratio: range of the crop's width over its height.
        interpolation: "bicubic" or "bilinear".
        flip: probability of a left-right flip.
        jitter: probability of the colour jitter.
        brightness: the factor is uniform in 1 +- this; also `contrast` and `saturation`.
        contrast: see `brightness`.
        saturation: see `brightness`.
        hue: the turn of the hue is uniform in +- this, in turns, at most 0.5.
        grayscale: probability of a grey image.
        blur: probability of a Gaussian blur.
        blur_sigma: its standard deviation is uniform in this range, in pixels.
        solarize: probability of solarizing.
        solarize_threshold: values from here up are inverted.
        mean: subtracted per channel at the end.
        std: divided by per channel at the end.

    Returns:
        Images [N, size, size, 3] of the same dtype; in [0, 1] unless normalised.

    Raises:
        TypeError: the images are not floating-point.
        ValueError: the images are not RGB, index is not [N], size is not a positive integer, scale, ratio or blur_sigma is not a range,
            or a probability or strength lies outside its range.
    """
    check_batch(images, index, coloured=True)
    for name, probability in (("flip", flip), ("jitter", jitter), ("grayscale", grayscale), ("blur", blur), ("solarize", solarize)):
        check_range(name, probability, 1.0)
    for name, strength in (("brightness", brightness), ("contrast", contrast), ("saturation", saturation)):
        check_range(name, strength)
    check_range("hue", hue, 0.5)
    if size is not None:
        check_integer("size", size)
    _, height, width, _ = images.shape
    order_key, batch_key = jax.random.split(key)
    crop, shade, coins = jnp.moveaxis(jax.vmap(lambda k: jax.random.split(k, 3))(example_keys(batch_key, index)), 1, 0)
    flips, greys, blurs, sigmas, solarized = jax.vmap(lambda k: jax.random.uniform(k, (5,), jnp.float32))(coins).T
    shape = (height, width) if size is None else (size, size)
    x = resized_crop(
        images, crop_boxes(crop, height, width, scale=scale, ratio=ratio), shape, interpolation=interpolation, mirrored=flips < flip
    )
    if jitter > 0:
        strengths = jnp.array([brightness, contrast, saturation, hue], jnp.float32)
        factors = jax.vmap(lambda k: colour.draw_jitter(k, strengths, jitter))(shade)
        x = colour.colour_jitter(x, colour.Jitter(*factors.T), jax.random.permutation(order_key, 4))
    if grayscale > 0:
        x = colour.grayscale(x, greys < grayscale)
    if blur > 0:
        low, high = blur_sigma
        if not 0 <= low <= high:
            raise ValueError(f"blur_sigma must be a range (low, high) of numbers from 0, got {blur_sigma}; (0.1, 2.0) is the default")
        radius = min(math.ceil(3 * high), min(shape) - 1)
        x = gaussian_blur(x, jnp.where(blurs < blur, low + (high - low) * sigmas, 0), radius=radius)
    if solarize > 0:
        x = colour.solarize(x, jnp.where(solarized < solarize, solarize_threshold, 2))
    return normalise(x, mean, std)


def normalise(images: Images, mean: tuple[float, ...] | None, std: tuple[float, ...] | None) -> Images:
    """(x - mean) / std per channel; None leaves that part out. TypeError unless the images are floating-point."""
    check_images(images)
    if mean is not None:
        images = images - jnp.array(mean, images.dtype)
    return images if std is None else images / jnp.array(std, images.dtype)
