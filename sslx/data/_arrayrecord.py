"""ArrayRecord files: PATH/*train*.array_record*, and with test or unlabelled in the name, if there are any, read without TensorFlow.

A record is a serialised tf.train.Example with the features "image" (the bytes of an image file of a kind that folders may hold) and,
unless the set has no labels, "label" (a whole number from 0), as tensorflow-datasets and most converters write it.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sslx.data._cache import cached, source
from sslx.data._dataset import DataError, Dataset, Request
from sslx.data._examples import SPLITS, Keys, write_splits

LAYOUT = "PATH/*train*.array_record*, train a word of its own (and the same with test, validation or unlabelled, if there are any)"
NAME = re.compile(rf"(?:.*[-_.])?({'|'.join(sum(SPLITS.values(), ()))})[-_.].*array_?record")  # the last split word counts
SHARD = re.compile(r"-(\d+)-of-(\d+)")
KEYS = Keys("image", "label", ())


class Records(Sequence[dict[str, Any]]):
    """The examples of some ArrayRecord files by number, {"image": bytes, "label": int, or None without one}."""

    def __init__(self, paths: Sequence[Path]) -> None:
        from array_record.python.array_record_data_source import ArrayRecordDataSource
        from tensorflow_datasets.proto import tf_example_pb2

        messages: Any = tf_example_pb2
        self.source, self.parse = ArrayRecordDataSource([str(path) for path in paths]), messages.Example.FromString

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, row: Any) -> Any:
        features = self.parse(self.source[row]).features.feature
        image, label = features["image"].bytes_list.value, features["label"].int64_list.value
        if len(image) != 1 or len(label) > 1:
            raise ValueError(
                f"it has {len(image)} images and {len(label)} labels, wanted a tf.train.Example with one encoded image "
                "and, if any, one whole number as label"
            )
        return {"image": image[0], "label": label[0] if label else None}


def arrayrecord(request: Request) -> Dataset:
    """Read `arrayrecord:PATH`.

    Raises:
        DataError: the directory or files in it are missing, or a record cannot be used.
    """
    root = Path(request.argument).expanduser()
    if not root.is_dir():
        raise DataError(f"{root} is not a directory; give one with the files {LAYOUT}")
    files = {part: next(filter(None, (files_of(root, name) for name in SPLITS[part])), []) for part in SPLITS}
    if not files["train"]:
        raise DataError(f"{root} has no ArrayRecord files of a training split; the files {LAYOUT} are wanted")
    for paths in files.values():
        check_shards(paths)
    sources = [source(path) for paths in files.values() for path in paths]
    return cached(request.name, sources, lambda out: write_splits(out, root, request, open_files(files), KEYS))


def files_of(root: Path, split: str) -> list[Path]:
    """The ArrayRecord files of a split, which their name has as a word."""
    return sorted(path for path in root.iterdir() if path.is_file() and (name := NAME.match(path.name)) and name[1] == split)


def check_shards(paths: list[Path]) -> None:
    """Raise unless every shard, as -00000-of-00002 names it, has the next one beside it, and the last the first."""
    for path in paths:
        if shard := SHARD.search(path.name):
            following = (int(shard[1]) + 1) % max(int(shard[2]), 1)
            wanted = path.with_name(SHARD.sub(f"-{following:0{len(shard[1])}}-of-{shard[2]}", path.name))
            if not wanted.is_file():
                raise DataError(f"{path.parent} has {path.name}, but no {wanted.name}; put that shard there, or write the set again")


def open_files(files: dict[str, list[Path]]) -> dict[str, Sequence[Any]]:
    """The examples of each part that has files."""
    found: dict[str, Any] = {}
    for part, paths in files.items():
        try:
            if paths:
                found[part] = Records(paths)
        except ImportError as error:
            raise DataError(f"{paths[0]} cannot be read without {error.name}; pip install tensorflow-datasets array-record") from None
        except Exception as error:  # whatever the reader meets in files of another kind
            raise DataError(f"{paths[0]} or a file beside it is no ArrayRecord file or is cut short ({error}); write it again") from None
    return found
