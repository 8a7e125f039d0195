"""Device placement: the only file that names meshes, `pmap` and `jit`.

A step function `(state, batch) -> (state, metrics)` is written once and lifted here in one of two ways. Under `jit` over a data
mesh arrays are global and the step sees no axis; under `pmap` each device sees its share and the step reduces over `AXIS`. In
both the state is replicated and the leading axis of the batch is split. Data that stay on the devices are replicated too, and the step
takes its share of each batch there. Under `jit` the devices may be those of several processes, each of which has all host values, but of a
batch only the rows that its own devices hold.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from jaxtyping import Int

from sslx.checks import check_choice

AXIS = "batch"
MODES = ("auto", "jit", "pmap")
Rows = Int[np.ndarray, " n"]
Tree = TypeVar("Tree")
Step = Callable[[Any, Any], tuple[Any, Any]]


class Lift(NamedTuple):
    """How a step runs on the devices: `replicate` a state, `shard` a host batch, lift a `step`, take one copy back: `unreplicate`.

    The lifted step donates its state, so both conversions copy. `shard` takes those rows of a batch that `held` gives for its size: all of
    them where there is one process. `place` puts host arrays on every device; inside a step, `share` is this device's part of an array
    whose leading axis is the batch.
    """

    axis_name: str | None
    step: Callable[[Step], Step]
    replicate: Callable[[Any], Any]
    held: Callable[[int], Rows]
    shard: Callable[[Any], Any]
    unreplicate: Callable[[Any], Any]
    place: Callable[[Any], Any]
    share: Callable[[Any], Any]


def lift(mode: str = "auto", devices: int | None = None) -> Lift:
    """The lift of that name over the first `devices` devices (all of them by default); "auto" means "jit".

    Raises:
        ValueError: unknown mode, more devices than there are, or "pmap" with several processes.
    """
    check_choice("parallel", mode, MODES)
    if mode == "pmap" and jax.process_count() > 1:
        raise ValueError(f"parallel pmap is for one process, there are {jax.process_count()}; use jit")
    found = jax.devices()
    if devices is not None and not 1 <= devices <= len(found):
        raise ValueError(f"devices must be between 1 and {len(found)}, got {devices}; only {len(found)} are visible to jax")
    chosen = found[:devices]
    return _pmap_lift(chosen) if mode == "pmap" else _jit_lift(chosen)


@jax.jit
def copied(tree: Tree) -> Tree:
    """The same numbers in buffers of their own, which a donating step may take."""
    return jax.tree.map(jnp.copy, tree)


@partial(jax.jit, static_argnums=1)
def stacked(tree: Tree, copies: int) -> Tree:
    """The tree with a leading axis of that many copies."""
    return jax.tree.map(lambda x: jnp.broadcast_to(x, (copies, *jnp.shape(x))), tree)


@jax.jit
def first(tree: Tree) -> Tree:
    """The first entry of the leading axis."""
    return jax.tree.map(lambda x: x[0], tree)


def put(tree: Any, sharding: NamedSharding) -> Any:
    """A tree, all of which every process has, on the devices."""
    if sharding.is_fully_addressable:
        return jax.device_put(tree, sharding)
    return jax.tree.map(lambda x: jax.make_array_from_callback(x.shape, sharding, lambda index: x[index]), tree)


def held_rows(split: Any, count: int) -> Rows:
    """The rows of an array of `count` that lie on the devices of this process, rising."""
    places = split.addressable_devices_indices_map((count,)).values()
    return np.unique(np.concatenate([np.arange(count)[place] for place in places]))


def put_rows(tree: Any, split: Any) -> Any:
    """Arrays of the whole batch on the devices, from the rows that this process holds."""
    if split.is_fully_addressable:
        return jax.device_put(tree, split)

    def whole(x: np.ndarray) -> Array:
        count = len(x) * split.num_devices // len(split.addressable_devices)
        rows = held_rows(split, count)

        def part(index: Any) -> np.ndarray:
            return x[np.isin(rows, np.arange(count)[index[:1]])]

        return jax.make_array_from_callback((count, *x.shape[1:]), split, part)

    return jax.tree.map(whole, tree)


def _jit_lift(devices: list[Any]) -> Lift:
    # Auto axes: with the explicit ones that make_mesh defaults to, z_a.T @ z_b over a sharded batch is a sharding error.
    mesh = jax.make_mesh((len(devices),), (AXIS,), axis_types=(AxisType.Auto,), devices=devices)
    everywhere, split = NamedSharding(mesh, PartitionSpec()), NamedSharding(mesh, PartitionSpec(AXIS))
    return Lift(
        axis_name=None,
        step=lambda step: jax.jit(step, donate_argnums=0, out_shardings=everywhere),
        replicate=lambda state: put(copied(state), everywhere),
        held=partial(held_rows, split),
        shard=lambda batch: put_rows(batch, split),
        unreplicate=lambda state: copied(jax.tree.map(lambda x: x.addressable_data(0), state)),
        place=lambda data: put(data, everywhere),
        share=lambda rows: jax.lax.with_sharding_constraint(rows, split),
    )


def _pmap_lift(devices: list[Any]) -> Lift:
    width = len(devices)
    each = NamedSharding(jax.make_mesh((width,), (AXIS,), axis_types=(AxisType.Auto,), devices=devices), PartitionSpec(AXIS))

    def share(rows: Array) -> Array:
        local = rows.shape[0] // width
        return jax.lax.dynamic_slice_in_dim(rows, jax.lax.axis_index(AXIS) * local, local)

    def shard(batch: Any) -> Any:
        return jax.tree.map(lambda x: x.reshape(width, x.shape[0] // width, *x.shape[1:]), batch)

    return Lift(
        axis_name=AXIS,
        step=lambda step: jax.pmap(step, axis_name=AXIS, devices=devices, donate_argnums=0, out_axes=(0, None)),  # pyright: ignore
        replicate=lambda state: jax.device_put(stacked(state, width), each),
        held=np.arange,
        shard=shard,
        unreplicate=lambda state: first(jax.tree.map(lambda x: x.addressable_data(0), state)),
        place=lambda data: jax.tree.map(lambda x: jax.device_put(np.broadcast_to(x, (width, *x.shape)), each), data),
        share=share,
    )


def check_divisible(batch_size: int, devices: int, micro_batches: int = 1) -> None:
    """Raise ValueError unless the batch splits evenly over the devices, and there into micro-batches of two images or more."""
    if batch_size < 2 * micro_batches:
        raise ValueError(
            f"batch size {batch_size} leaves batch norm less than two images in each of {micro_batches} micro-batches; take fewer of them"
        )
    parts = devices * micro_batches
    if batch_size % parts:
        lower = max(parts, batch_size - batch_size % parts)
        over = f"{devices} device{'s'[: devices > 1]}" + (f" and {micro_batches} micro-batches" if micro_batches > 1 else "")
        raise ValueError(f"batch size {batch_size} does not split over {over}; use a multiple such as {lower}")


def host(tree: Tree) -> Tree:
    """The tree on the host as NumPy arrays; waits for the devices."""
    return jax.tree.map(np.asarray, jax.device_get(tree))
