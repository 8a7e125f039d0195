"""A folder of images: PATH/train/<class>/*.png|jpg|jpeg|webp and PATH/test/<class>/... (or validation, val), the test part optional.

Without labels they lie in PATH/train and PATH/test themselves, or all in PATH. Beside PATH/train more images without
labels may lie in PATH/unlabelled. What lies in directories within a class, or within PATH/unlabelled, belongs to it.
"""

import os
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sslx.data._cache import Facts, Source, cached
from sslx.data._dataset import DataError, Dataset, Request, check_labels, held_out, stratified_split
from sslx.data._decode import EXTENSIONS, common_size, decode, in_parallel, probe, write_parts
from sslx.data._examples import SPLITS

LAYOUT = "PATH/train/<class>/*.png (or jpg, jpeg, webp; without labels PATH/*.png and no directories)"


class Listing(NamedTuple):
    """The image files of one split with the names of their classes (none without labels), and what lies between them."""

    sources: list[Source]
    classes: list[str]
    others: list[str]


def folder(request: Request) -> Dataset:
    """Read `folder:PATH`.

    Raises:
        DataError: the folder is missing, empty or not laid out as wanted, or a file in it cannot be used.
    """
    root = Path(os.path.abspath(Path(request.argument).expanduser()))
    try:
        train = loose(root, root) or listing(root, "train", flat=True)
        flat, there = not train.classes, [name for name in SPLITS["test"] if (root / name).is_dir()]
        wanted = images_or_classes if flat else class_folders
        testing = next((name for name in there if wanted(root / name) or (name == "test" and not flat)), None)
        test = listing(root, testing, flat=flat) if testing else None
        more, extra = next(((name, part) for name in SPLITS["unlabelled"] if (part := unlabelled(root, root / name))), (None, None))
        unread = beside(root, {"train", testing, more}) if (root / "train").is_dir() else []
    except OSError as error:
        raise DataError(f"{root} cannot be read ({error}); check the path and its permissions") from None
    number = {name: i for i, name in enumerate(sorted(set(train.classes)))}
    names = tuple(number)
    if test is not None and not number.keys() >= set(test.classes):
        unknown = min(set(test.classes) - number.keys())
        raise DataError(f"{root / str(testing) / unknown} is a class without training images; add {root / 'train' / unknown} or remove it")
    found = {name: part for name, part in {"train": train, "test": test, "unlabelled": extra}.items() if part}
    sources = [entry for part in found.values() for entry in part.sources]
    ends = np.cumsum([len(part.sources) for part in found.values()])
    rows = dict(zip(found, np.split(np.arange(len(sources)), ends[:-1]), strict=True))
    labels = np.full(len(sources), -1, np.int32)
    for name in found.keys() & {"train", "test"} if names else ():
        labels[rows[name]] = [number[name] for name in found[name].classes]
    if names:
        check_labels(str(root / "train"), labels[rows["train"]], len(names))
    notes = ()
    if test is None:
        rows["train"], rows["test"] = stratified_split(labels[rows["train"]], names)
        notes = (f"there is no test/ (or validation/, val/) directory: {held_out(rows['test'], names)}",)
    dataset = cached(request.name, sources, lambda out: write(out, request, sources, labels, rows, Facts(names, notes)))
    return dataset._replace(notes=(*dataset.notes, *passed_over([*unread, *(path for part in found.values() for path in part.others)])))


def passed_over(paths: list[str]) -> list[str]:
    """The note on what is not read."""
    what = "other files than PNG, JPEG or WebP, links to directories, or outside of the classes and parts that are read"
    return [f"passed over: {len(paths)} ({what}), the first {paths[0]}"] if paths else []


def beside(root: Path, read: set[str | None]) -> list[str]:
    """Images and directories in `root` itself, those with nothing in them and those that are read aside."""
    entries = [Path(path) for path in images_or_classes(root)]
    return sorted(str(entry) for entry in entries if entry.name not in read and may_hold_images(entry))


def may_hold_images(entry: Path) -> bool:
    """Whether this is an image, or a directory that is not known to be empty."""
    try:
        return bool(images_or_classes(entry)) if entry.is_dir() else entry.suffix.lower() in EXTENSIONS
    except OSError:
        return True


def images_or_classes(top: Path) -> list[str]:
    """What there is in `top`, hidden entries aside."""
    return [entry.path for entry in os.scandir(top) if not entry.name.startswith(".")]


def loose(root: Path, top: Path) -> Listing | None:
    """The images that lie in `top` itself, without classes; None where it holds none, or directories."""
    if not top.is_dir() or class_folders(top):
        return None
    found = images_in(root, str(top))
    return found if found.sources else None


def unlabelled(root: Path, top: Path) -> Listing | None:
    """The images in `top` and its directories; None where there is nothing."""
    found = images_in(root, str(top)) if top.is_dir() else Listing([], [], [])
    if found.others and not found.sources:
        raise DataError(f"{top} holds no images; add PNG, JPEG or WebP files or remove the directory")
    return found if found.sources else None


def listing(root: Path, split: str, *, flat: bool) -> Listing:
    """Images of root/split/<class>/ in the order of class and file name or, where `flat` allows it, of root/split itself."""
    top = root / split
    if not root.is_dir():
        raise DataError(f"{root} is not a directory; give a folder with the layout {LAYOUT}")
    if not top.is_dir():
        raise DataError(f"{root} has no directory {split}/; the layout {LAYOUT} is wanted")
    if flat and (found := loose(root, top)):
        return found
    directories = class_folders(top)
    found = Listing([], [], sorted(set(images_or_classes(top)) - set(directories)))
    for directory in directories:
        part = images_in(root, directory)
        if not part.sources:
            raise DataError(f"{directory} is a class with no images; add PNG, JPEG or WebP files or remove the directory")
        found.sources.extend(part.sources)
        found.classes.extend([os.path.basename(directory)] * len(part.sources))
        found.others.extend(part.others)
    if not found.sources:
        raise DataError(f"{top} has no class directories; the layout {LAYOUT} is wanted")
    return found


def class_folders(top: Path) -> list[str]:
    """The directories in `top`, hidden ones aside, in order."""
    return sorted(entry.path for entry in os.scandir(top) if entry.is_dir() and not entry.name.startswith("."))


def images_in(root: Path, directory: str) -> Listing:
    """The image files in a directory and those within it in order, without classes, and the paths of all else that is not hidden.

    Of a directory that is a link only the files are read: it may lead to one that holds it, or to another part.
    """
    inside(root, directory)
    deep = not os.path.islink(directory)
    files, others = [], []
    for entry in os.scandir(directory):
        if entry.name.startswith("."):
            continue
        image = entry.name.lower().endswith(EXTENSIONS)
        if deep and entry.is_dir(follow_symlinks=False):
            below = images_in(root, entry.path)
            files.extend(below.sources)
            others.extend(below.others)
            continue
        if image and entry.is_symlink():
            inside(root, entry.path)
        if image and entry.is_file():
            status = entry.stat()
            files.append(Source(entry.path, status.st_size, status.st_mtime_ns))
        else:
            others.append(entry.path)
    return Listing(sorted(files), [], sorted(others))


def inside(root: Path, path: str) -> None:
    """Raise DataError where a path leads out of the folder or to nothing."""
    target = Path(os.path.realpath(path))
    if not target.is_relative_to(os.path.realpath(root)):
        raise DataError(f"{path} is a link to {target}, outside {root}; copy the files into the folder")
    if not target.exists():
        raise DataError(f"{path} is a link to {target}, which does not exist; remove or mend it")


def write(out: Path, request: Request, sources: list[Source], labels: np.ndarray, rows: dict[str, np.ndarray], facts: Facts) -> Facts:
    """Decode the rows of every part into the cache folder `out`."""
    paths = [entry.path for entry in sources]
    size, notes = common_size(list(in_parallel(probe, paths)))
    parts = {part: (partial(decode, size=size), [paths[row] for row in chosen]) for part, chosen in rows.items()}
    write_parts(out, parts, {part: labels[chosen] for part, chosen in rows.items() if part != "unlabelled"}, size, request.progress)
    return facts._replace(notes=(*notes, *facts.notes))
