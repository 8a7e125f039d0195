"""Cross-device reductions that do nothing when `axis_name` is None: the only `lax` collectives in the mathematics.

The rule of the house: a loss reduces *moments* or gathers embeddings here, and the train step averages gradients once with
`pmean`. Then value and gradient equal those of the whole batch on one device. Under `jit` over a mesh arrays are already
global and `axis_name` stays None.
"""

from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
from jax import Array, lax

from sslx.checks import check_integer
from sslx.typing import AxisName

Tree = TypeVar("Tree")


def pmean_if(tree: Tree, axis_name: AxisName) -> Tree:
    """Mean of every leaf over the devices of `axis_name`; the tree itself when there is no axis."""
    return tree if axis_name is None else lax.pmean(tree, axis_name)


def psum_if(tree: Tree, axis_name: AxisName) -> Tree:
    """Sum of every leaf over the devices of `axis_name`; the tree itself when there is no axis."""
    return tree if axis_name is None else lax.psum(tree, axis_name)


def all_gather_if(x: Array, axis_name: AxisName, *, axis: int = 0) -> Array:
    """The blocks of all devices concatenated along `axis` in device order; `x` itself when there is no axis."""
    return x if axis_name is None else lax.all_gather(x, axis_name, axis=axis, tiled=True)


def as_varying(tree: Tree, x: Array) -> Tree:
    """The tree, told to `jax.shard_map` to differ between the devices over which `x` is split.

    A derivative with respect to what is the same everywhere it adds up over them; one that stays on the device has to ask for it.
    """
    return jax.tree.map(lambda leaf: leaf + jnp.zeros_like(x, jnp.result_type(leaf), shape=()), tree)


def axis_size(axis_name: AxisName) -> int:
    """Number of devices along `axis_name`, 1 without an axis: a Python integer, known at trace time."""
    return 1 if axis_name is None else lax.psum(1, axis_name)


def axis_index(axis_name: AxisName) -> Array | int:
    """Index of this device along `axis_name`, 0 without an axis."""
    return 0 if axis_name is None else jax.lax.axis_index(axis_name)


def map_rows(f: Callable[..., Array], rows: tuple[Array, ...], chunk: int | None) -> Array:
    """f of all rows at once, or `chunk` rows at a time, made again for the gradient, so that memory grows with the chunk.

    f takes rows [N, ...] or a single one [...].
    """
    if chunk is None:
        return f(*rows)
    check_integer("chunk", chunk)
    return lax.map(lambda row: jax.checkpoint(f)(*row), rows, batch_size=chunk)


def row_indices(x: Array, axis_name: AxisName) -> Array:
    """Where the rows of `x` on this device stand among the rows of all devices, [N]."""
    return axis_index(axis_name) * x.shape[0] + jnp.arange(x.shape[0])
