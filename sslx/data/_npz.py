"""A NumPy archive: images uint8 [N, H, W, C] or [N, H, W], labels [N] if there are any, and the same for testing."""

from pathlib import Path

import numpy as np

from sslx.data._dataset import DataError, Dataset, Request, check_labels, held_out, number_classes, stratified_split


def npz(request: Request) -> Dataset:
    """Read `npz:PATH`, an archive of `images` and `labels`, and, if there are any, `test_images` and `test_labels`.

    An archive with neither `labels` nor `test_labels` is a data set without labels.

    Raises:
        DataError: the file is missing, damaged or without these arrays, or they do not fit.
    """
    path = Path(request.argument).expanduser()
    arrays, others = read(path)
    labelled = not arrays.keys().isdisjoint(("labels", "test_labels"))
    for name in ("images", "labels") if labelled else ("images",):
        if name not in arrays:
            there = ", ".join([*arrays, *others]) or "none"
            raise DataError(f"{path} has no array {name!r} (but {there}); save it with np.savez(path, images=..., labels=...)")
    images, labels = split_of(path, "", arrays)
    classes = number_classes(f"{path}: labels", labels) if labelled else ()
    notes = (f"the arrays {', '.join(others)} of {path} are passed over",) if others else ()
    if "test_images" not in arrays:
        train, test = stratified_split(labels, classes)
        notes = (*notes, f"there are no test_images: {held_out(test, classes)}")
        return Dataset(request.name, images[train], labels[train], images[test], labels[test], classes, notes=notes)
    if labelled and "test_labels" not in arrays:
        raise DataError(f"{path} has test_images without test_labels; save both or neither")
    test_images, test_labels = split_of(path, "test_", arrays)
    if test_images.shape[1:] != images.shape[1:]:
        raise DataError(f"{path}: test_images have shape {test_images.shape[1:]}, images {images.shape[1:]}; bring both to one size")
    if labelled:
        check_labels(f"{path}: test_labels", test_labels, len(classes))
    return Dataset(request.name, images, labels, test_images, test_labels, classes, notes=notes)


def read(path: Path) -> tuple[dict[str, np.ndarray], list[str]]:
    """All arrays of the archive that we know of, and the names of the others."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            known = {name: archive[name] for name in archive.files if name in ("images", "labels", "test_images", "test_labels")}
            return known, [name for name in archive.files if name not in known]
    except FileNotFoundError:
        raise DataError(f"{path} does not exist; give an archive written by np.savez(path, images=..., labels=...)") from None
    except Exception as error:  # damaged bytes may raise anything
        raise DataError(f"{path} is no readable .npz archive of plain arrays ({error}); write it again with np.savez") from None


def split_of(path: Path, prefix: str, arrays: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels of a split, -1 where the archive has none."""
    images = images_of(path, f"{prefix}images", arrays)
    if f"{prefix}labels" not in arrays:
        return images, np.full(len(images), -1, np.int32)
    labels = labels_of(path, f"{prefix}labels", arrays)
    check_pair(path, f"{prefix}images", images, labels)
    return images, labels


def images_of(path: Path, name: str, arrays: dict[str, np.ndarray]) -> np.ndarray:
    """An array of images as uint8 [N, H, W, C]."""
    x = arrays[name]
    if x.dtype != np.uint8:
        raise DataError(
            f"{path}: {name} have dtype {x.dtype}, wanted uint8 from 0 to 255; convert them, (255 * x).astype(np.uint8) from [0, 1]"
        )
    if x.shape[:1] == (0,):
        raise DataError(f"{path}: {name} have shape {x.shape}, wanted one image or more; fill the array or leave it out")
    x = x[..., None] if x.ndim == 3 else x
    if x.ndim != 4 or x.shape[-1] not in (1, 3) or 0 in x.shape:
        raise DataError(
            f"{path}: {name} have shape {x.shape}, wanted [N, H, W] or [N, H, W, C] with 1 or 3 channels; transpose or convert them"
        )
    return x


def labels_of(path: Path, name: str, arrays: dict[str, np.ndarray]) -> np.ndarray:
    """An array of labels as int32 [N]."""
    y = arrays[name]
    if y.ndim != 1 or not np.issubdtype(y.dtype, np.integer):
        raise DataError(f"{path}: {name} have shape {y.shape} and dtype {y.dtype}, wanted whole numbers [N]; number the classes from 0")
    return np.clip(y, -(2**31), 2**31 - 1).astype(np.int32)


def check_pair(path: Path, name: str, images: np.ndarray, labels: np.ndarray) -> None:
    """Raise DataError unless there is one label per image."""
    if len(images) != len(labels):
        raise DataError(f"{path}: {len(images)} {name} have {len(labels)} labels; give every image one label, -1 if it has none")
