"""What a data set is, and the error that says which one could not be read."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Int32, UInt8


class DataError(ValueError):
    """A data set that is missing or unreadable: one line that names what came, what was wanted and the remedy."""


class Dataset(NamedTuple):
    """Images in host memory (or memory-mapped), height x width x channels, with integer labels (-1: unlabelled)."""

    name: str
    train_images: UInt8[np.ndarray, "N H W C"]
    train_labels: Int32[np.ndarray, " N"]
    test_images: UInt8[np.ndarray, "T H W C"]
    test_labels: Int32[np.ndarray, " T"]
    classes: tuple[str, ...]
    unlabelled_images: UInt8[np.ndarray, "U H W C"] | None = None
