"""Arrays of images that copy none, for a data set too large for two copies: two arrays as one, and some rows of one.

Both are indexed by arrays of row numbers, as `batches` does.
"""

import numpy as np
from jaxtyping import Int, UInt8


class Stacked:
    """The rows of `first`, then those of `second`: labelled and unlabelled images."""

    def __init__(self, first: UInt8[np.ndarray, "N H W C"], second: UInt8[np.ndarray, "U H W C"]) -> None:
        self.first, self.second = first, second

    @property
    def shape(self) -> tuple[int, ...]:
        """[N + U, H, W, C]."""
        return (len(self), *self.first.shape[1:])

    def __len__(self) -> int:
        return len(self.first) + len(self.second)

    def __getitem__(self, rows: Int[np.ndarray, " B"]) -> UInt8[np.ndarray, "B H W C"]:
        result = np.empty((len(rows), *self.first.shape[1:]), np.uint8)
        in_first = rows < len(self.first)
        result[in_first] = self.first[rows[in_first]]
        result[~in_first] = self.second[rows[~in_first] - len(self.first)]
        return result


class Chosen:
    """The rows `kept` of `images`, in that order."""

    def __init__(self, images: UInt8[np.ndarray, "N H W C"], kept: Int[np.ndarray, " n"]) -> None:
        self.images, self.kept = images, kept

    def __len__(self) -> int:
        return len(self.kept)

    def __getitem__(self, rows: Int[np.ndarray, " B"]) -> UInt8[np.ndarray, "B H W C"]:
        return self.images[self.kept[rows]]
