"""STL-10 in the original binary version (Coates, Ng and Lee, 2011).

Images and labels lie in files of their own: 3 x 96 x 96 pixels, planar, column by column; labels from 1 to 10.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from sslx.data._archive import Archive, Read, class_names, exactly, locate, members, records, sources
from sslx.data._cache import Facts, cached, check_room, write_images
from sslx.data._dataset import DataError, Dataset, Progress, Request, check_labels

STL10 = Archive("http://ai.stanford.edu/~acoates/stl10/stl10_binary.tar.gz", "stl10_binary")
SIDE = 96
RECORD = 3 * SIDE * SIDE
CHUNK = 1024
IMAGES = {"train_X.bin": "train_images", "test_X.bin": "test_images", "unlabeled_X.bin": "unlabelled_images"}
LABELS = {"train_y.bin": "train_labels", "test_y.bin": "test_labels"}


def stl10(request: Request) -> Dataset:
    """5,000 training and 8,000 test images, 96x96 RGB, of ten classes, and 100,000 unlabelled images."""
    path = locate(request, STL10)
    return cached(request.name, sources(path), partial(write, path=path, progress=request.progress))


def write(out: Path, *, path: Path, progress: Progress) -> Facts:
    """Write the arrays of the archive into the cache folder `out`; the images never stand in memory as a whole."""
    counts, names = {}, b""
    for name, size, read in members(path, {*IMAGES, *LABELS, "class_names.txt"}):
        if name in IMAGES:
            counts[IMAGES[name]] = n = records(path, name, size, RECORD)
            check_room(out, shape := (n, SIDE, SIDE, 3))
            write_images(out / f"{IMAGES[name]}.npy", shape, blocks(path, read, n, progress))
        elif name in LABELS:
            labels = np.frombuffer(exactly(path, read, size), np.uint8).astype(np.int32) - 1
            check_labels(f"{path}: {name} (minus one)", labels, 10)
            counts[LABELS[name]] = len(labels)
            np.save(out / f"{LABELS[name]}.npy", labels)
        else:
            names = exactly(path, read, size)
    for part in ("train", "test"):
        if counts[f"{part}_images"] != counts[f"{part}_labels"]:
            raise DataError(
                f"{path} has {counts[f'{part}_images']} {part} images and {counts[f'{part}_labels']} labels; get the original again"
            )
    return Facts(class_names(names, 10))


def blocks(path: Path, read: Read, count: int, progress: Progress) -> Iterator[np.ndarray]:
    """The images of one member, row by row."""
    for start in range(0, count, CHUNK):
        n = min(CHUNK, count - start)
        planes = np.frombuffer(exactly(path, read, n * RECORD), np.uint8).reshape(n, 3, SIDE, SIDE)
        yield planes.transpose(0, 3, 2, 1)
        progress(start + n, count)
