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


def example_keys(key: Key[Array, ""], index: Index) -> Key[Array, " N"]:
    """One key per example, that depends on the batch's key and on the example's global index only."""
    return jax.vmap(lambda i: jax.random.fold_in(key, i))(index)


def make_views(key: Key[Array, ""], images: Images, index: Index, views: Sequence[View]) -> Float[Array, "V N ..."]:
    """Every view of every image, [V, N, H, W, C]; view v is drawn from `fold_in(key, v)`."""
    return jnp.stack([view(jax.random.fold_in(key, v), images, index) for v, view in enumerate(views)])
