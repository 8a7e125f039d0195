"""A NumPy archive: images uint8 [N, H, W, C] or [N, H, W], labels [N] if there are any, the same for testing, and images without any."""

from pathlib import Path

import numpy as np

from sslx.data._dataset import DataError, Dataset, Request, check_labels, held_out, number_classes, stratified_split

PARTS = ("", "test_", "unlabelled_")
ARRAYS = ("images", "labels", "test_images", "test_labels", "unlabelled_images")


def npz(request: Request) -> Dataset:
    """Read `npz:PATH`, an archive of `images` and `labels` and, if there are any, `test_images`, `test_labels`, `unlabelled_images`.

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
    if labelled and "test_images" in arrays and "test_labels" not in arrays:
        raise DataError(f"{path} has test_images without test_labels; save both or neither")
    images = {part: images_of(path, f"{part}images", arrays) for part in PARTS if f"{part}images" in arrays}
    labels = {part: labels_of(path, part, arrays, len(x)) for part, x in images.items()}
    for part, x in images.items():
        if x.shape[1:] != images[""].shape[1:]:
            raise DataError(f"{path}: {part}images have shape {x.shape[1:]}, images {images[''].shape[1:]}; bring both to one size")
    classes = number_classes(f"{path}: labels", labels[""]) if labelled else ()
    notes = (f"the arrays {', '.join(others)} of {path} are passed over",) if others else ()
    if "test_" not in images:
        train, test = stratified_split(labels[""], classes)
        notes += (f"there are no test_images: {held_out(test, classes)}",)
        for each in (images, labels):
            each[""], each["test_"] = each[""][train], each[""][test]
    elif labelled:
        check_labels(f"{path}: test_labels", labels["test_"], len(classes))
    parts = images[""], labels[""], images["test_"], labels["test_"]
    return Dataset(request.name, *parts, classes, images.get("unlabelled_"), notes)


def read(path: Path) -> tuple[dict[str, np.ndarray], list[str]]:
    """All arrays of the archive that we know of, and the names of the others."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            known = {name: archive[name] for name in ARRAYS if name in archive.files}
            return known, [name for name in archive.files if name not in known]
    except FileNotFoundError:
        raise DataError(f"{path} does not exist; give an archive written by np.savez(path, images=..., labels=...)") from None
    except Exception as error:  # damaged bytes may raise anything
        raise DataError(f"{path} is no readable .npz archive of plain arrays ({error}); write it again with np.savez") from None


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


def labels_of(path: Path, part: str, arrays: dict[str, np.ndarray], count: int) -> np.ndarray:
    """The labels of the images of a part as int32 [count], -1 where the archive has none."""
    name = f"{part}labels"
    if name not in arrays:
        return np.full(count, -1, np.int32)
    y = arrays[name]
    if y.ndim != 1 or not np.issubdtype(y.dtype, np.integer):
        raise DataError(f"{path}: {name} have shape {y.shape} and dtype {y.dtype}, wanted whole numbers [N]; number the classes from 0")
    if len(y) != count:
        raise DataError(f"{path}: {count} {part}images have {len(y)} labels; give every image one label, -1 if it has none")
    return np.clip(y, -(2**31), 2**31 - 1).astype(np.int32)
