"""Splits of encoded images, with labels where there are any, one example at a time -> the arrays of a data set."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sslx.data._cache import Facts
from sslx.data._dataset import DataError, Request, check_labels, held_out, number_classes, stratified_split
from sslx.data._decode import Header, common_size, decode, in_parallel, probe, write_parts

SPLITS = {"train": ("train",), "test": ("test", "validation", "val"), "unlabelled": ("unlabelled", "unlabeled")}


class Keys(NamedTuple):
    """Names of the features that hold the image and, if there is one, the label, and of the classes (none where they are numbers only)."""

    image: str
    label: str
    classes: tuple[str, ...]


def write_splits(out: Path, path: Path, request: Request, splits: dict[str, Sequence[Any]], keys: Keys) -> Facts:
    """Write the arrays of the examples found at `path` into the cache folder `out`.

    Raises:
        DataError: an example is damaged, the labels are not what is wanted, or the cache has not enough room.
    """
    headers, given = [], {}
    splits = {part: data for part, data in splits.items() if len(data) or part == "train"}
    for part, data in splits.items():
        read = list(in_parallel(partial(label_and_header, path, data, keys), range(len(data))))
        headers += [header for _, header in read]
        given[part] = [label for label, _ in read]
    labels, classes = labels_and_classes(path, given, keys)
    size, notes = common_size(headers)
    if not classes:
        notes += (f"no example has a {keys.label}",)
    rows = {part: np.arange(len(data)) for part, data in splits.items()}
    if "test" not in splits:
        splits["test"], labels["test"] = splits["train"], labels["train"]
        rows["train"], rows["test"] = stratified_split(labels["train"], classes)
        notes += (f"there is no test split: {held_out(rows['test'], classes)}",)
    parts = {part: (partial(pixels, path, data, keys, size), rows[part].tolist()) for part, data in splits.items()}
    write_parts(out, parts, {part: found[rows[part]] for part, found in labels.items()}, size, request.progress)
    return Facts(classes, notes)


def label_and_header(path: Path, data: Sequence[Any], keys: Keys, row: int) -> tuple[int | None, Header]:
    """The label, if there is one, and the header of one image."""
    try:
        example = data[row]
        label, image = example.get(keys.label), bytes(example[keys.image])
        label = None if label is None else int(label)
    except Exception as error:  # damaged records may raise anything
        raise DataError(f"{path} is damaged at example {row} ({error}); write it again, a prepared set with sslx.data.prepare") from None
    return label, probe(f"{path}: image {row}", image)


def labels_and_classes(path: Path, given: dict[str, list[int | None]], keys: Keys) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """Labels of the training and the test part, and the classes that they name; -1 and none where no image has a label.

    Raises:
        DataError: some images have no label, or the labels are not numbers of at least two classes.
    """
    given = {part: found for part, found in given.items() if part != "unlabelled"}
    if given["train"] and all(label is None for found in given.values() for label in found):
        return {part: np.full(len(found), -1, np.int32) for part, found in given.items()}, ()
    labels = {}
    for part, found in given.items():
        if None in found:
            raise DataError(
                f"{path}, {part}: example {found.index(None)} has no {keys.label}; give every one a label, -1 where it is unknown"
            )
        labels[part] = np.array(found, np.int64).clip(-(2**31), 2**31 - 1).astype(np.int32)
    classes = keys.classes or number_classes(f"{path}, train", labels["train"])
    for part, found in labels.items():
        check_labels(f"{path}, {part}", found, len(classes), lowest=-1)
    return labels, classes


def pixels(path: Path, data: Sequence[Any], keys: Keys, size: tuple[int, int], row: int) -> np.ndarray:
    """One decoded image."""
    return decode(f"{path}: image {row}", size, data[row][keys.image])
