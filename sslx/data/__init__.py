"""Named data sets as NumPy arrays. Nothing here touches a device.

Shapes: images uint8 [N, H, W, C], labels int32 [N] with -1 for an unlabelled image.
"""

from collections.abc import Callable

from sslx.data._dataset import DataError as DataError, Dataset as Dataset
from sslx.data._digits import digits

DATASETS: dict[str, Callable[[], Dataset]] = {"digits": digits}


def load(name: str) -> Dataset:
    """Read a data set by name.

    Raises:
        DataError: the name is unknown or the files cannot be read.
    """
    if name not in DATASETS:
        raise DataError(f"unknown data set {name!r}; choose one of {', '.join(DATASETS)}")
    return DATASETS[name]()
