"""Features of many images through a frozen encoder, batch by batch."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np
from jax import Array
from jaxtyping import Float, Shaped

from sslx.checks import check_integer
from sslx.pixels import unit_interval, white

Apply = Callable[..., Any]
SIDE = 32
BLOCK = 1024


def extract(
    apply: Apply, variables: object, images: np.ndarray, *, batch_size: int = 256, progress: Callable[[int, int], None] | None = None
) -> Any:
    """`apply(variables, images)` on all images, uint8 or in [0, 1]: an array, or a tuple of them, as float32 on the host.

    The last batch is filled up to the same shape, so that a jitted `apply` is compiled once. `progress` is called with (images done, images
    in all).

    Raises:
        ValueError: when there are no images, or unless batch_size is an integer of at least 1.
    """
    check_integer("batch_size", batch_size)
    _check_images(images)
    size = min(batch_size, len(images))
    whole: Any = None
    for start in range(0, len(images), size):
        if progress is not None:
            progress(start, len(images))
        block = images[start : start + size]
        found = apply(variables, np.concatenate([block, np.repeat(block[-1:], size - len(block), axis=0)]))
        if whole is None:
            whole = jax.tree.map(lambda y: np.empty((len(images), *y.shape[1:]), np.float32), found)
        jax.tree.map(partial(fill, slice(start, start + len(block))), whole, found)
    return whole


def fill(rows: slice, whole: np.ndarray, y: Array) -> None:
    """Write the first rows of `y` into those `rows`."""
    whole[rows] = np.asarray(y[: rows.stop - rows.start], np.float32)


def jitted(apply: Apply) -> Apply:
    """`apply` jitted, taking uint8 images as well."""
    return jax.jit(lambda variables, images: apply(variables, unit_interval(images)))


def raw_pixels(images: np.ndarray) -> Float[np.ndarray, "N d"]:
    """Pixels in [0, 1], of images of whole numbers up to 255 or that lie there, as features: the baseline that needs no network.

    Images with a side of more than `SIDE` are averaged over squares until they have no more, or are one square high or wide: 150,528
    numbers for each image of ImageNet would be nearly a terabyte. What does not fill a square at the right and lower border is left out.

    Raises:
        ValueError: unless images have shape [N >= 1, H, W, C].
    """
    _check_images(images)
    if images.ndim != 4:
        raise ValueError(f"images must have shape [N, H, W, C], got {images.shape}; grey images have one channel")
    square = min(-(-max(images.shape[1:3]) // SIDE), *images.shape[1:3])
    blocks = [images[start : start + BLOCK] for start in range(0, len(images), BLOCK)]
    return np.concatenate([shrink(block, square).reshape(len(block), -1) for block in blocks]) / np.float32(white(images))


def shrink(images: Shaped[np.ndarray, "N H W C"], square: int) -> Float[np.ndarray, "N h w C"]:
    """Means over squares of `square` x `square` pixels; sums of whole numbers are whole, which is exact and faster."""
    height, width = (side // square for side in images.shape[1:3])
    whole = images[:, : height * square, : width * square]
    dtype = np.uint32 if images.dtype.kind in "iu" else np.float32
    rows = whole.reshape(len(images), height, square, -1).sum(2, dtype=dtype)
    squares = rows.reshape(len(images), height, width, square, -1).sum(3, dtype=dtype)
    return squares.astype(np.float32) / np.float32(square**2)


def _check_images(images: np.ndarray) -> None:
    if len(images) == 0:
        raise ValueError(f"images must be at least one, got shape {images.shape}; choose another split")
