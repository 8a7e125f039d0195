"""Features of many images through a frozen encoder, batch by batch."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

Apply = Callable[..., Any]


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
    """Pixels in [0, 1] as features: the baseline that needs no network."""
    return images.reshape(len(images), -1).astype(np.float32) / 255
