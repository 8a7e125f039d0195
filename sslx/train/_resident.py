"""Many steps as one program, on data that stay on the devices: shuffling and gathering happen inside, the host sees no step.

N images, B batch, S steps of one program.
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Int

from sslx.train._batches import epoch_order
from sslx.train._loop import StepFn
from sslx.train._step import Batch


def chunk_rows(seed: int | Array, first: Array, *, steps: int, count: int, batch_size: int) -> Int[Array, "S B"]:
    """The rows of the batches of steps `first`, `first + 1`, ...: those that `batches` gives, for any `first`.

    Each epoch that the steps can touch is shuffled once.
    """
    per_epoch = count // batch_size
    epoch, position = jnp.divmod(first + jnp.arange(steps), per_epoch)
    epochs = epoch[0] + jnp.arange((steps + per_epoch - 2) // per_epoch + 1)
    orders = jax.vmap(lambda e: epoch_order(seed, e, count))(epochs)
    orders = orders[:, : per_epoch * batch_size].reshape(len(epochs), per_epoch, batch_size)
    return orders[epoch - epoch[0], position]


def make_chunk(step: StepFn, share: Callable[[Array], Array], *, steps: int, batch_size: int, seeds: Sequence[int]) -> StepFn:
    """`steps` steps in one `lax.scan`.

    Args:
        step: `(state, batch) -> (state, metrics)`.
        share: this device's part of the rows of a batch, as `sslx.parallel.Lift` has it.
        steps: how many.
        batch_size: images of a step over all devices.
        seeds: of the shuffling, one for each run that `step` takes side by side.

    Returns:
        `(state, data) -> (state, metrics)`: data is a `Batch` of all images, every metric has a leading axis [S].
    """

    def chunk(state, data: Batch):
        first, count = jnp.ravel(state.step)[0], len(data.labels)
        orders = [chunk_rows(seed, first, steps=steps, count=count, batch_size=batch_size) for seed in seeds]
        rows = orders[0] if len(seeds) == 1 else jnp.stack(orders, axis=2)

        def body(state, rows: Array):
            mine = share(rows)
            return step(state, Batch(data.images[mine], data.labels[mine]))

        return jax.lax.scan(body, state, rows)

    return chunk
