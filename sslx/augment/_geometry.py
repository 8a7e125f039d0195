"""Bilinear resampling: images on arbitrary coordinates and under affine maps.

Pixel (row, column) has its centre at integer coordinates. Outside the image is zero, and a sample between the outermost
pixel and the outside is interpolated between the two (scipy.ndimage's mode "grid-constant").
"""

import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Float

from sslx.augment._views import Images, check_images
from sslx.moments import at_least_float32


def warp(images: Images, coordinates: Float[Array, "N P 2"]) -> Float[Array, "N P C"]:
    """Bilinear samples of every image at P (row, column) coordinates in pixels.

    out[p] = sum_ij tent(row_p - i) tent(column_p - j) image[i, j] with tent(u) = max(0, 1 - |u|): four gathers from the image
    framed in zeros.
    """
    check_images(images)
    n, height, width, channels = images.shape
    framed = jnp.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0))).reshape(n, -1, channels)
    corner = jnp.floor(coordinates)
    right, below = coordinates[..., 1:] - corner[..., 1:], coordinates[..., :1] - corner[..., :1]

    def pixel(down: int, across: int) -> Array:
        row = jnp.clip(corner[..., 0] + down + 1, 0, height + 1)
        column = jnp.clip(corner[..., 1] + across + 1, 0, width + 1)
        at = (row * (width + 2) + column).astype(jnp.int32)
        return jnp.take_along_axis(framed, at[..., None], axis=1)

    above_line = (1 - right) * pixel(0, 0) + right * pixel(0, 1)
    below_line = (1 - right) * pixel(1, 0) + right * pixel(1, 1)
    return ((1 - below) * above_line + below * below_line).astype(images.dtype)


def affine(
    images: Images, matrices: Float[Array, "N 2 2"], shifts: Float[Array, "N 2"], displacement: Float[Array, "N H W 2"] | None = None
) -> Images:
    """Resample every image on the affine map of its pixel grid about the image centre c.

    out(x) = image(c + A (x - c) + t [+ u(x)]), x = (row, column) in pixels: A and t lead from the output to the input.

    Args:
        images: [N, H, W, C].
        matrices: A, [N, 2, 2].
        shifts: t in pixels, [N, 2].
        displacement: u in pixels, [N, H, W, 2], a further displacement per output pixel.

    Returns:
        Images of the same shape and dtype.

    Raises:
        TypeError: the images are not floating-point.
        ValueError: they are not [N, H, W, C].
    """
    check_images(images)
    n, height, width, channels = images.shape
    centre = jnp.array([(height - 1) / 2, (width - 1) / 2])
    grid = jnp.stack(jnp.meshgrid(jnp.arange(height), jnp.arange(width), indexing="ij"), -1).reshape(-1, 2) - centre
    matrices = at_least_float32(matrices)
    coordinates = jnp.einsum("nij,pj->npi", matrices, grid.astype(matrices.dtype), precision=lax.Precision.HIGHEST)
    coordinates += (centre + shifts)[:, None].astype(matrices.dtype)
    if displacement is not None:
        coordinates += displacement.reshape(n, -1, 2).astype(matrices.dtype)
    return warp(images, coordinates).reshape(n, height, width, channels)
