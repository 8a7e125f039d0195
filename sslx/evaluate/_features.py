"""Features of many images through a frozen encoder, batch by batch."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, UInt8

Apply = Callable[..., Any]
SIDE = 32
BLOCK = 1024


def extract(apply: Apply, variables: object, images: np.ndarray, *, batch_size: int = 256) -> Any:
    """`apply(variables, images)` on all images, uint8 or in [0, 1]: an array, or a tuple of them, as float32 on the host.

    The last batch is filled up to the same shape, so that a jitted `apply` is compiled once.
    """
    size = min(batch_size, len(images))
    parts = []
    for start in range(0, len(images), size):
        block = images[start : start + size]
        padded = np.concatenate([block, np.repeat(block[-1:], size - len(block), axis=0)])
        parts.append(jax.tree.map(partial(first_rows, len(block)), apply(variables, padded)))
    return jax.tree.map(lambda *blocks: np.concatenate(blocks), *parts)


def first_rows(count: int, y: Array) -> np.ndarray:
    """The first `count` rows as float32 on the host."""
    return np.asarray(y, np.float32)[:count]


def unit_interval(images: Array) -> Array:
    """uint8 images as float32 in [0, 1]; floating-point images as they are."""
    return images if jnp.issubdtype(images.dtype, jnp.floating) else images.astype(jnp.float32) / 255


def jitted(apply: Apply) -> Apply:
    """`apply` jitted, taking uint8 images as well."""
    return jax.jit(lambda variables, images: apply(variables, unit_interval(images)))


def raw_pixels(images: np.ndarray) -> Float[np.ndarray, "N d"]:
    """Pixels in [0, 1] as features: the baseline that needs no network.

    Images with a side of more than `SIDE` are averaged over squares until they have no more, or are one square high or wide: 150,528
    numbers for each image of ImageNet would be nearly a terabyte. What does not fill a square at the right and lower border is left out.
    """
    square = min(-(-max(images.shape[1:3]) // SIDE), *images.shape[1:3])
    blocks = [images[start : start + BLOCK] for start in range(0, len(images), BLOCK)]
    return np.concatenate([shrink(block, square).reshape(len(block), -1) for block in blocks]) / np.float32(255)


def shrink(images: UInt8[np.ndarray, "N H W C"], square: int) -> Float[np.ndarray, "N h w C"]:
    """Means over squares of `square` x `square` pixels."""
    height, width = (side // square for side in images.shape[1:3])
    whole = images[:, : height * square, : width * square]
    return whole.reshape(len(images), height, square, width, square, -1).mean((2, 4), dtype=np.float32)
