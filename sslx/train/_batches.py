"""Which images a step sees, a function of seed and step: made as they are asked for, or read ahead of the steps by grain's threads.

N images, B batch.
"""

import contextlib
import itertools
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import jax
import numpy as np
from jax import Array
from jaxtyping import Int

THREADS, AHEAD = 8, 8
Pair = tuple[np.ndarray, np.ndarray]
Part = slice | Int[np.ndarray, " n"]


def epoch_order(seed: int | Array, epoch: int | Array, count: int) -> Int[Array, " N"]:
    """The order in which an epoch visits `count` images: a function of seed and epoch, the same on the host and inside a jitted loop."""
    return jax.random.permutation(jax.random.fold_in(jax.random.key(seed), epoch), count)


def rows_of(count: int, batch_size: int, seed: int) -> Callable[[int], Int[np.ndarray, " B"]]:
    """The rows of a batch by the number of the step; each epoch has its own `epoch_order` of `count` images and drops its short batch."""
    if not 1 <= batch_size <= count:
        raise ValueError(f"batch_size must be from 1 to {count}, the number of images, got {batch_size}")
    order = lru_cache(2)(lambda epoch: np.asarray(epoch_order(seed, epoch, count)))

    def rows(step: int) -> Int[np.ndarray, " B"]:
        epoch, i = divmod(step, count // batch_size)
        return order(epoch)[i * batch_size : (i + 1) * batch_size]

    return rows


def batches(images: Any, labels: np.ndarray, batch_size: int, *, seed: int, start: int = 0, part: Part = slice(None)) -> Iterator[Pair]:
    """Shuffled (images, labels) without end from step `start` on, so that a resumed run sees the batches it would have seen; of each batch
    the rows `part`.

    Raises:
        ValueError: unless batch_size is from 1 to the number of images.
    """
    rows = rows_of(len(images), batch_size, seed)
    return ((images[chosen], labels[chosen]) for chosen in (rows(step)[part] for step in itertools.count(start)))


def streamed(
    images: Any, labels: np.ndarray, batch_size: int, *, seed: int, start: int, stop: int, part: Part = slice(None)
) -> Iterator[Pair]:
    """(images, labels) of the steps from `start` to `stop`, as `batches` gives them, read ahead by grain.

    The number of the step is all that has to be kept to go on, so a checkpoint of the state is one of the stream.

    Args:
        images: indexed by arrays of rows: an array, also a memory-mapped one, [N, H, W, C].
        labels: [N].
        batch_size: B, images of a step.
        seed: of the shuffling.
        start: steps already taken.
        stop: steps at the end.
        part: the rows of each batch to read, where other processes read the others.

    Raises:
        ImportError: grain is not installed.
        ValueError: as `batches`.
    """
    import grain  # as heavy as jax, and not in every image for accelerators

    rows, host = rows_of(len(images), batch_size, seed), None
    with contextlib.suppress(RuntimeError):  # there is none where JAX_PLATFORMS names the accelerator alone
        host = jax.local_devices(backend="cpu")[0]

    def read(step: int) -> Pair:
        with jax.default_device(host):  # not in the queue behind the steps
            chosen = rows(step)[part]
        return images[chosen], labels[chosen]

    steps = grain.MapDataset.range(start, stop).map(read)
    return iter(steps.to_iter_dataset(grain.ReadOptions(num_threads=THREADS, prefetch_buffer_size=AHEAD)))
