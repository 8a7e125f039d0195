"""Splits of encoded images with labels, one example at a time -> the arrays of a data set."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sslx.data._cache import Facts, write_images
from sslx.data._dataset import DataError, Request, check_labels, number_classes, stratified_split
from sslx.data._decode import Header, common_size, decode, in_parallel, probe

SPLITS = {"train": ("train",), "test": ("test", "validation", "val"), "unlabelled": ("unlabelled", "unlabeled")}


class Keys(NamedTuple):
    """Names of the features that hold the image and the label, and of the classes (none where they are numbers only)."""

    image: str
    label: str
    classes: tuple[str, ...]


def write_splits(out: Path, path: Path, request: Request, splits: dict[str, Sequence[Any]], keys: Keys) -> Facts:
    """Write the arrays of labelled examples, found at `path`, into the cache folder `out`.

    Raises:
        DataError: an example is damaged, or the labels are not what is wanted.
    """
    headers, labels = [], {}
    for part, data in splits.items():
        read = list(in_parallel(partial(label_and_header, path, data, keys), range(len(data))))
        headers += [header for _, header in read]
        labels[part] = np.array([label for label, _ in read], np.int64).clip(-(2**31), 2**31 - 1).astype(np.int32)
    classes = keys.classes or number_classes(f"{path}, train", labels["train"])
    for part in labels.keys() & {"train", "test"}:
        check_labels(f"{path}, {part}", labels[part], len(classes), lowest=-1)
    size, notes = common_size(headers)
    rows = {part: np.arange(len(data)) for part, data in splits.items()}
    if "test" not in splits:
        splits["test"], labels["test"] = splits["train"], labels["train"]
        rows["train"], rows["test"] = stratified_split(labels["train"], classes)
        notes += (f"there is no test split: a fifth of every class, {len(rows['test'])} images, is held out for testing",)
    for part, data in splits.items():
        chosen = rows[part].tolist()
        images = in_parallel(
            partial(pixels, path, data, keys, size), chosen, lambda done, chosen=chosen: request.progress(done, len(chosen))
        )
        write_images(out / f"{part}_images.npy", (len(chosen), *size, 3), images)
        if part != "unlabelled":
            np.save(out / f"{part}_labels.npy", labels[part][rows[part]])
    return Facts(classes, notes)


def label_and_header(path: Path, data: Sequence[Any], keys: Keys, row: int) -> tuple[int, Header]:
    """The label and the header of one image."""
    try:
        example = data[row]
        label, image = int(example[keys.label]), bytes(example[keys.image])
    except Exception as error:  # damaged records may raise anything
        raise DataError(f"{path} is damaged at example {row} ({error}); write it again, a prepared set with sslx.data.prepare") from None
    return label, probe(f"{path}: image {row}", image)


def pixels(path: Path, data: Sequence[Any], keys: Keys, size: tuple[int, int], row: int) -> np.ndarray:
    """One decoded image."""
    return decode(f"{path}: image {row}", size, data[row][keys.image])
