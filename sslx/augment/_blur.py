"""Gaussian blur as two matrix products, one sigma per image."""

import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

from sslx.augment._crop import separable
from sslx.augment._views import Images, check_images


def gaussian_blur(images: Images, sigmas: Float[Array, " N"], *, radius: int) -> Images:
    """Convolve every image with a Gaussian, exp(-t^2 / (2 sigma^2)) for |t| <= radius, normalised to sum one.

    The convention is torchvision's `gaussian_blur` with a kernel of 2 radius + 1: the image is mirrored about its outermost
    pixels. A sigma of 0 leaves an image as it is.

    Args:
        images: [N, H, W, C] in [0, 1].
        sigmas: standard deviations in pixels, [N].
        radius: half width of the kernel in pixels, less than the height and the width.

    Returns:
        Images of the same shape and dtype.

    Raises:
        TypeError: the images are not floating-point.
        ValueError: the radius does not fit into the image.
    """
    check_images(images)
    _, height, width, _ = images.shape
    if not 0 <= radius < min(height, width):
        raise ValueError(f"radius must lie in [0, {min(height, width) - 1}] for {height}x{width} images, got {radius}")
    distance = jnp.arange(radius + 1, dtype=jnp.float32)
    spread = jnp.maximum(sigmas.astype(jnp.float32), 1e-3)[:, None]
    weights = jnp.exp(-0.5 * (distance / spread) ** 2)
    weights /= 2 * weights.sum(-1, keepdims=True) - 1
    down, across = (jnp.einsum("nt,tij->nij", weights, mirrored_taps(size, radius)) for size in (height, width))
    return separable(images, down, across)


def mirrored_taps(size: int, radius: int) -> np.ndarray:
    """taps[t, i, j]: how often pixel j is met at distance t from pixel i of an axis mirrored about its end pixels."""
    taps = np.zeros((radius + 1, size, size), np.float32)
    pixels = np.arange(size)
    for step in range(-radius, radius + 1):
        source = np.abs(pixels + step)
        source = np.where(source >= size, 2 * (size - 1) - source, source)
        taps[abs(step), pixels, source] += 1
    return taps
