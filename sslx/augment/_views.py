"""What a view is, and how several of them are made from one batch."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Int, Key

Images: TypeAlias = Float[Array, "N H W C"]
Index: TypeAlias = Int[Array, " N"]
View: TypeAlias = Callable[[Array, Array, Array], Array]


def check_images(images: Array, *, coloured: bool = False) -> None:
    """Raise unless `images` are floating-point [N, H, W, C], with three channels where colour is asked for."""
    if images.ndim != 4:
        raise ValueError(f"images must have shape [N, H, W, C], got {images.shape}; give one image as images[None]")
    check_pixels(images)
    if coloured and images.shape[3] != 3:
        raise ValueError(f"images must be RGB, [N, H, W, 3], got {images.shape}; repeat a grey channel with jnp.repeat(images, 3, -1)")


def check_batch(images: Array, index: Array, *, coloured: bool = False) -> None:
    """Raise unless `images` are as `check_images` wants them and `index` has a place for each."""
    check_images(images, coloured=coloured)
    check_index(images, index)


def check_pixels(images: Array) -> None:
    """Raise unless `images` are floating-point."""
    if not jnp.issubdtype(images.dtype, jnp.floating):
        raise TypeError(f"images must be floating-point in [0, 1], got dtype {images.dtype}; pass images.astype(jnp.float32) / 255")


def check_index(images: Array, index: Array) -> None:
    """Raise unless `index` has a place for each image."""
    if index.shape != images.shape[:1]:
        raise ValueError(f"index must have shape [N] = {images.shape[:1]}, got {index.shape}; pass the place of every image, jnp.arange(N)")


def example_keys(key: Key[Array, ""], index: Index) -> Key[Array, " N"]:
    """One key per example, that depends on the batch's key and on the example's global index only."""
    return jax.vmap(lambda i: jax.random.fold_in(key, i))(index)


def make_views(key: Key[Array, ""], images: Float[Array, "N ..."], index: Index, views: Sequence[View]) -> Float[Array, "V N ..."]:
    """Every view of every image, [V, N, H, W, C]; view v is drawn from `fold_in(key, v)`.

    Args:
        key: the batch's key.
        images: [N, H, W, C] in [0, 1], or of any other shape [N, ...] that the views take.
        index: global index of every example, [N].
        views: one function per view.

    Raises:
        TypeError: unless the images are floating-point; those of 8 bits are to be divided by 255.
        ValueError: unless index has a place for each image.
    """
    check_pixels(images)
    check_index(images, index)
    return jnp.stack([view(jax.random.fold_in(key, v), images, index) for v, view in enumerate(views)])
