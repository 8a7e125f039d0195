"""Features of many images through a frozen encoder, batch by batch."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

Apply = Callable[..., Array]


def extract(apply: Apply, variables: object, images: np.ndarray, *, batch_size: int = 512) -> Float[np.ndarray, "N d"]:
    """`apply(variables, images)` on all images, uint8 or in [0, 1], as one float32 array on the host.

    The last batch is filled up to the same shape, so that the encoder is compiled once. An image set whose features are only
    wanted once should share the jitted `apply` with the other sets.
    """
    size = min(batch_size, len(images))
    parts = []
    for start in range(0, len(images), size):
        block = images[start : start + size]
        padded = np.concatenate([block, np.repeat(block[-1:], size - len(block), axis=0)])
        parts.append(np.asarray(apply(variables, padded), np.float32)[: len(block)])
    return np.concatenate(parts)


def unit_interval(images: Array) -> Array:
    """uint8 images as float32 in [0, 1]; floating-point images as they are."""
    return images if jnp.issubdtype(images.dtype, jnp.floating) else images.astype(jnp.float32) / 255


def jitted(apply: Apply) -> Apply:
    """`apply` jitted, taking uint8 images as well."""
    return jax.jit(lambda variables, images: apply(variables, unit_interval(images)))


def raw_pixels(images: np.ndarray) -> Float[np.ndarray, "N d"]:
    """Pixels in [0, 1] as features: the baseline that needs no network."""
    return images.reshape(len(images), -1).astype(np.float32) / 255
