"""Two arrays of images as one, without copying either: labelled and unlabelled images of a data set too large for two copies."""

import numpy as np
from jaxtyping import Int, UInt8


class Stacked:
    """The rows of `first`, then those of `second`; indexed by arrays of row numbers, as `batches` does."""

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
