"""Batches read ahead of the steps by grain's threads, from images too many for the device or for memory.

N images, B batch.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import jax
import numpy as np

from sslx.train._loop import epoch_order

THREADS, AHEAD = 8, 8


class Steps:
    """The batches of steps 0, 1, ..., `stop` - 1 by their number: those that `batches` gives, or of each the part of one process."""

    def __init__(self, images: Any, labels: np.ndarray, batch_size: int, *, seed: int, stop: int, process: int, processes: int) -> None:
        self.images, self.labels, self.batch_size, self.stop = images, labels, batch_size, stop
        self.per_epoch, local = len(images) // batch_size, batch_size // processes
        self.part = slice(process * local, (process + 1) * local)
        self.order = lru_cache(2)(lambda epoch: np.asarray(epoch_order(seed, epoch, len(images))))

    def __len__(self) -> int:
        return self.stop

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        epoch, i = divmod(int(index), self.per_epoch)
        with jax.default_device(jax.local_devices(backend="cpu")[0]):  # not in the queue behind the steps
            rows = self.order(epoch)[i * self.batch_size : (i + 1) * self.batch_size][self.part]
        return self.images[rows], self.labels[rows]


def streamed(
    images: Any, labels: np.ndarray, batch_size: int, *, seed: int, start: int, stop: int, process: int = 0, processes: int = 1
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(images, labels) of the steps from `start` to `stop`, as `batches` gives them, read ahead by grain.

    The number of the step is all that has to be kept to go on, so a checkpoint of the state is one of the stream.

    Args:
        images: indexed by arrays of rows: an array, also a memory-mapped one, [N, H, W, C].
        labels: [N].
        batch_size: B, images of a step over all processes.
        seed: of the shuffling.
        start: steps already taken.
        stop: steps at the end.
        process: of which process the part is given.
        processes: how many share a batch.

    Raises:
        ImportError: grain is not installed.
    """
    import grain  # as heavy as jax, and not in every image for accelerators

    steps = Steps(images, labels, batch_size, seed=seed, stop=stop, process=process, processes=processes)
    return iter(grain.MapDataset.source(steps)[start:].to_iter_dataset(grain.ReadOptions(num_threads=THREADS, prefetch_buffer_size=AHEAD)))
