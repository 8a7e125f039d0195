"""Data sets that tensorflow-datasets has prepared on disk, read without TensorFlow and without the network.

`prepare` is the one function that downloads; nothing else calls it.
"""

import logging
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sslx.data._cache import Facts, cached, source
from sslx.data._dataset import DataError, Dataset, Request
from sslx.data._examples import SPLITS, Keys, write_splits

INFO = "dataset_info.json"


def tfds_root(data_dir: Path | None) -> Path:
    """The directory of all prepared data sets."""
    return data_dir or Path(os.environ.get("TFDS_DATA_DIR", "~/tensorflow_datasets")).expanduser()


def prepared(data_dir: Path | None, name: str) -> Path | None:
    """Directory of the highest prepared version of `name` ("mnist", "mnist/3.0.1" or "name/config"), None if there is none."""
    if not re.fullmatch(r"\w[\w.+-]*(/[\w.+-]+)*", name) or ".." in name:
        return None
    top = tfds_root(data_dir) / name
    versions = [path.parent for path in (top / INFO, *top.glob(f"*/{INFO}")) if path.is_file()]
    return max(versions, key=lambda path: [int(part) for part in re.findall(r"\d+", path.name)], default=None)


def tfds(request: Request) -> Dataset:
    """Read `tfds:NAME`.

    Raises:
        DataError: it is not prepared, or holds no images that can be used.
    """
    root, name = tfds_root(request.data_dir), request.argument or request.name
    path = prepared(request.data_dir, name)
    if path is None:
        raise DataError(
            f"{name} is not prepared: looked for {root / name}/<version>/{INFO}; get it with: "
            f"python -c \"from sslx.data import prepare; prepare('{name}', '{root}')\""
        )
    files = [source(file) for file in sorted(path.iterdir()) if file.is_file()]
    return cached(request.name, files, lambda out: write(out, path, request))


def prepare(name: str, data_dir: str | Path) -> None:
    """Download and prepare a data set with tensorflow-datasets, in the format that can be read without TensorFlow.

    Raises:
        DataError: the name is unknown, the download fails, or the data set's own code needs TensorFlow.
    """
    import tensorflow_datasets

    try:
        tensorflow_datasets.builder(name, data_dir=str(data_dir), file_format="array_record").download_and_prepare()
    except ImportError as error:
        raise DataError(
            f"{name} cannot be prepared without {error.name or 'TensorFlow'}; pip install tensorflow-cpu and try again"
        ) from None
    except Exception as error:  # the data set's own download and generation code
        raise DataError(
            f"{name} could not be prepared in {data_dir} ({type(error).__name__}: {error}); check the name and the network"
        ) from None


@contextmanager
def quiet() -> Iterator[None]:
    """Keep tensorflow-datasets' advice off standard error."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def write(out: Path, path: Path, request: Request) -> Facts:
    """Write the arrays of a prepared data set into the cache folder `out`."""
    with quiet():
        splits, keys = open_splits(path)
        return write_splits(out, path, request, splits, keys)


def open_splits(path: Path) -> tuple[dict[str, Sequence[Any]], Keys]:
    """The training split, and those for testing and without labels if there are any; which features to use."""
    try:
        import tensorflow_datasets

        builder: Any = tensorflow_datasets.builder_from_directory(path)
        image, label = builder.info.supervised_keys or ("image", "label")  # the second may be missing
        features = builder.info.features
        keys = Keys(image, label, tuple(getattr(features[label], "names", ())) if label in features else ())
        raw: Any = {image: tensorflow_datasets.decode.SkipDecoding()}  # pyright: ignore[reportCallIssue]
        there = {part: [name for name in names if name in builder.info.splits or part == "train"] for part, names in SPLITS.items()}
        found = {part: [builder.as_data_source(name, decoders=raw) for name in names] for part, names in there.items() if names}
        return {part: some[0] if len(some) == 1 else first_with_classes(some, label) for part, some in found.items()}, keys
    except ImportError as error:
        raise DataError(f"{path} cannot be read without {error.name}; pip install tensorflow-datasets array-record") from None
    except Exception as error:  # whatever the reader meets in files that it did not write
        raise DataError(
            f"{path} is no prepared set of images with a train split ({type(error).__name__}: {error}); "
            f"prepare it again with sslx.data.prepare"
        ) from None


def first_with_classes(splits: Sequence[Sequence[Any]], label: str) -> Sequence[Any]:
    """The first split whose first example has a class, else the first; the test images of a competition have -1."""
    return next((data for data in splits if len(data) > 0 and int(data[0].get(label, -1)) >= 0), splits[0])
