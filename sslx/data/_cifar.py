"""CIFAR-10 and CIFAR-100 in the original binary version (Krizhevsky, 2009).

A record holds one label byte (CIFAR-100: coarse, then fine, of which the fine one is used) and 3 x 32 x 32 pixels, planar, row
by row.
"""

from functools import partial
from pathlib import Path

import numpy as np

from sslx.data._archive import Archive, class_names, exactly, locate, members, records, sources
from sslx.data._cache import Facts, cached
from sslx.data._dataset import Dataset, Request, check_labels

PIXELS = 3 * 32 * 32
CIFAR10 = Archive("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz", "cifar-10-batches-bin")
CIFAR100 = Archive("https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz", "cifar-100-binary")


def cifar10(request: Request) -> Dataset:
    """50,000 training and 10,000 test images, 32x32 RGB, of ten classes."""
    parts = {"train": [f"data_batch_{i}.bin" for i in range(1, 6)], "test": ["test_batch.bin"]}
    path = locate(request, CIFAR10)
    return cached(request.name, sources(path), partial(write, path=path, parts=parts, label_bytes=1, names="batches.meta.txt", count=10))


def cifar100(request: Request) -> Dataset:
    """50,000 training and 10,000 test images, 32x32 RGB, of a hundred classes."""
    parts = {"train": ["train.bin"], "test": ["test.bin"]}
    path = locate(request, CIFAR100)
    return cached(
        request.name, sources(path), partial(write, path=path, parts=parts, label_bytes=2, names="fine_label_names.txt", count=100)
    )


def write(out: Path, *, path: Path, parts: dict[str, list[str]], label_bytes: int, names: str, count: int) -> Facts:
    """Write the arrays of one archive into the cache folder `out`."""
    record = label_bytes + PIXELS
    contents = {}
    for name, size, read in members(path, {names, *parts["train"], *parts["test"]}):
        if name != names:
            records(path, name, size, record)
        contents[name] = exactly(path, read, size)
    for part, files in parts.items():
        rows = np.concatenate([np.frombuffer(contents[name], np.uint8).reshape(-1, record) for name in files])
        labels = rows[:, label_bytes - 1].astype(np.int32)
        check_labels(f"{path}: {' '.join(files)}", labels, count)
        np.save(out / f"{part}_labels.npy", labels)
        np.save(out / f"{part}_images.npy", rows[:, label_bytes:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1).copy())
    return Facts(class_names(contents[names], count))
