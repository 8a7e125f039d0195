"""What a data set is, what a loader is asked for, and the error that says which data could not be read."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Int32, UInt8

Progress: TypeAlias = Callable[[int, int], None]


class DataError(ValueError):
    """A data set that is missing or unreadable: one line that names what came, what was wanted and the remedy."""

    def __init__(self, message: str) -> None:
        """Keep the message to one printable line, whatever a file's name or a decoder's error holds."""
        super().__init__("".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in message))


class Dataset(NamedTuple):
    """Images in host memory (or memory-mapped), height x width x channels, with integer labels (-1: unlabelled).

    Where no image has a label there are no classes either.
    """

    name: str
    train_images: UInt8[np.ndarray, "N H W C"]
    train_labels: Int32[np.ndarray, " N"]
    test_images: UInt8[np.ndarray, "T H W C"]
    test_labels: Int32[np.ndarray, " T"]
    classes: tuple[str, ...]
    unlabelled_images: UInt8[np.ndarray, "U H W C"] | None = None
    notes: tuple[str, ...] = ()
    """What was done to the data that the reader should know of, such as a split or a change of size."""


class Request(NamedTuple):
    """What a loader is asked for: the whole name, its part behind the colon, where archives lie, whom to tell of progress."""

    name: str
    argument: str
    data_dir: Path | None
    progress: Progress


def stratified_split(labels: np.ndarray, classes: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Training and test rows in rising order, a fifth of every class (at least one image) for testing; always the same.

    Without classes it is a fifth of all images.

    Raises:
        DataError: a class, or a data set without classes, has one image only.
    """
    rng = np.random.default_rng(0)
    test = np.zeros(len(labels), bool)
    for label in np.unique(labels[labels >= 0] if classes else labels):
        rows = np.flatnonzero(labels == label)
        if len(rows) < 2:
            whole = f"class {classes[label]}" if classes else "the data set"
            raise DataError(f"{whole} has one image, which cannot be split into training and test images; add images or a test set")
        test[rng.permutation(rows)[: max(1, round(len(rows) / 5))]] = True
    return np.flatnonzero(~test), np.flatnonzero(test)


def held_out(test: np.ndarray, classes: Sequence[str]) -> str:
    """The note on the test rows of `stratified_split`."""
    return f"a fifth of {'every class' if classes else 'all'}, {len(test)} images, is held out for testing"


def check_labels(where: str, labels: np.ndarray, classes: int, *, lowest: int = 0) -> None:
    """Raise DataError unless all labels lie in [lowest, classes) and, the negative ones aside, are of two classes at least."""
    if len(labels) == 0:
        raise DataError(f"{where} holds no images; at least two classes with images are wanted")
    low, high = int(labels.min()), int(labels.max())
    if low < lowest or high >= classes:
        raise DataError(f"{where} has labels from {low} to {high}, wanted {lowest} to {classes - 1}; correct the labels")
    if len(np.unique(labels[labels >= 0])) < 2:
        raise DataError(
            f"{where} holds labels of less than two classes; at least two are wanted to evaluate the features "
            "(an npz or a folder of images alone is trained on without evaluation)"
        )


def number_classes(where: str, labels: np.ndarray) -> tuple[str, ...]:
    """Class names "0", "1", ... up to the largest label; raise DataError unless each of them has an image and there are two at least."""
    count = int(labels.max(initial=-1)) + 1
    check_labels(where, labels, max(count, 1), lowest=-1)
    present = np.unique(labels[labels >= 0])
    if len(present) < count:
        missing = np.setdiff1d(np.arange(min(count, len(present) + 1)), present)[0]
        raise DataError(
            f"{where}: class {missing} has no images, though labels go up to {count - 1}; number the classes from 0 without gaps"
        )
    return tuple(map(str, range(count)))
