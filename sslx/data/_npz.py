"""A NumPy archive: images uint8 [N, H, W, C] or [N, H, W], labels [N], and the same for testing."""

from pathlib import Path

import numpy as np

from sslx.data._dataset import DataError, Dataset, Request, check_labels, number_classes, stratified_split


def npz(request: Request) -> Dataset:
    """Read `npz:PATH`, an archive of `images` and `labels`, and, if there are any, `test_images` and `test_labels`.

    Raises:
        DataError: the file is missing, damaged or without these arrays, or they do not fit.
    """
    path = Path(request.argument).expanduser()
    arrays = read(path)
    for name in ("images", "labels"):
        if name not in arrays:
            raise DataError(
                f"{path} has no array {name!r} (but {', '.join(arrays) or 'none'}); save it with np.savez(path, images=..., labels=...)"
            )
    images, labels = images_of(path, "images", arrays), labels_of(path, "labels", arrays)
    check_pair(path, "images", images, labels)
    classes = number_classes(f"{path}: labels", labels)
    if "test_images" not in arrays:
        train, test = stratified_split(labels, classes)
        notes = (f"there are no test_images: a fifth of every class, {len(test)} images, is held out for testing",)
        return Dataset(request.name, images[train], labels[train], images[test], labels[test], classes, notes=notes)
    if "test_labels" not in arrays:
        raise DataError(f"{path} has test_images without test_labels; save both or neither")
    test_images, test_labels = images_of(path, "test_images", arrays), labels_of(path, "test_labels", arrays)
    if test_images.shape[1:] != images.shape[1:]:
        raise DataError(f"{path}: test_images have shape {test_images.shape[1:]}, images {images.shape[1:]}; bring both to one size")
    check_pair(path, "test_images", test_images, test_labels)
    check_labels(f"{path}: test_labels", test_labels, len(classes))
    return Dataset(request.name, images, labels, test_images, test_labels, classes)


def read(path: Path) -> dict[str, np.ndarray]:
    """All arrays of the archive that we know of."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files if name in ("images", "labels", "test_images", "test_labels")}
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
