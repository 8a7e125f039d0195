"""Named data sets as NumPy arrays. Nothing here touches a device or imports jax.

Shapes: images uint8 [N, H, W, C], labels int32 [N] with -1 for an unlabelled image. What has to be decoded or unpacked is
written once to a cache ($SSLX_CACHE, else ~/.cache/sslx) and memory-mapped from then on.
"""

import os
from collections.abc import Callable
from pathlib import Path

from sslx.data._arrayrecord import arrayrecord
from sslx.data._cache import cache_root as cache_root
from sslx.data._cifar import cifar10, cifar100
from sslx.data._dataset import DataError as DataError, Dataset as Dataset, Progress as Progress, Request
from sslx.data._digits import digits
from sslx.data._folder import folder
from sslx.data._npz import npz
from sslx.data._stacked import Chosen as Chosen, Stacked as Stacked
from sslx.data._stl10 import stl10
from sslx.data._tfds import prepare as prepare, prepared, tfds
from sslx.hints import near

DATASETS: dict[str, Callable[[Request], Dataset]] = {
    "digits": lambda request: digits(),
    "cifar10": cifar10,
    "cifar100": cifar100,
    "stl10": stl10,
    "folder:PATH": folder,
    "npz:PATH": npz,
    "arrayrecord:PATH": arrayrecord,
    "tfds:NAME": tfds,
}
"""The one table of data sets. The archives of CIFAR and STL-10 and what tensorflow-datasets prepared lie in the data directory."""


def load(name: str, *, data_dir: str | Path | None = None, progress: Progress | None = None) -> Dataset:
    """Read a data set by name.

    Args:
        name: a key of `DATASETS`, or the name of a data set that tensorflow-datasets has prepared in the data directory.
        data_dir: where archives and prepared data sets lie; by default the environment variable SSLX_DATA.
        progress: called with (images done, images in all) while images are decoded or unpacked.

    Raises:
        DataError: the name is unknown or the files cannot be read.
    """
    data_dir = data_dir or os.environ.get("SSLX_DATA")
    directory = None if data_dir is None else Path(data_dir).expanduser()
    if directory is not None and directory.is_file():
        raise DataError(f"{directory} is not a directory; give the one that holds the data sets as --data-dir or SSLX_DATA")
    try:
        loader, argument = resolve(name, directory)
        return loader(Request(name, argument, directory, progress or (lambda done, total: None)))
    except (OSError, RuntimeError) as error:  # RuntimeError: ~name of somebody who has no home
        raise DataError(f"{name} cannot be read ({error}); check the path and its permissions") from None


def resolve(name: str, directory: Path | None) -> tuple[Callable[[Request], Dataset], str]:
    """The loader of a data set and what stands behind the colon of its name."""
    if name in DATASETS and ":" not in name:
        return DATASETS[name], ""
    kind, colon, argument = name.partition(":")
    for key, loader in DATASETS.items():
        if colon and key.startswith(f"{kind}:"):
            if not argument:
                raise DataError(f"{name!r} names nothing behind the colon; write {key}")
            return loader, argument
    if prepared(directory, name) is not None:
        return tfds, name
    raise DataError(f"unknown data set {name!r}; choose one of {', '.join(DATASETS)}{near(name, DATASETS)}")
