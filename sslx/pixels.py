"""What the numbers in an image mean: whole numbers from 0 to 255, 0 and 1 (bool), or floating point in [0, 1]."""

import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from sslx.typing import AnyArray


def white(images: AnyArray) -> int:
    """The largest value of a pixel: 255 of whole numbers, 1 of floating-point numbers and of bool."""
    return 255 if jnp.issubdtype(images.dtype, jnp.integer) else 1


def unit_interval(images: AnyArray, dtype: DTypeLike = jnp.float32) -> Array:
    """Images as floating point in [0, 1]: as `dtype`, or as they are where they are floating point already.

    Raises:
        TypeError: the images are no array.
    """
    if not hasattr(images, "dtype"):
        raise TypeError(f"images must be an array, got {type(images).__name__}; pass np.asarray(images)")
    if jnp.issubdtype(images.dtype, jnp.floating):
        return jnp.asarray(images)
    return jnp.asarray(images, dtype) / white(images)
