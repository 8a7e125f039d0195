"""A folder of images: PATH/train/<class>/*.png|jpg|... and PATH/test/<class>/... (or validation, val), the test part optional.

Without labels they lie in PATH/train and PATH/test themselves, or all in PATH. Beside PATH/train more images without
labels may lie in PATH/unlabelled. What lies in directories within a class, or within PATH/unlabelled, belongs to it.
"""

import os
from collections import Counter
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sslx.data._cache import Facts, Source, cached
from sslx.data._dataset import DataError, Dataset, Request, check_labels, held_out, stratified_split
from sslx.data._decode import EXTENSIONS, KINDS, common_size, decode, in_parallel, probe, write_parts
from sslx.data._examples import SPLITS

ANNOTATIONS = "val_annotations.txt"
LAYOUT = "PATH/train/<class>/*.png (or other image files; without labels PATH/*.png and no directories)"


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
        train = loose(root) or listing(root, "train", flat=True)
        testing = test_part(root, set(train.classes))
        test = (annotated(root / testing) or listing(root, testing, flat=not train.classes)) if testing else None
        more, extra = next(((name, part) for name in SPLITS["unlabelled"] if (part := unlabelled(root / name))), (None, None))
        unread = beside(root, {"train", testing, more}) if (root / "train").is_dir() else []
    except OSError as error:
        raise DataError(f"{root} cannot be read ({error}); check the path and its permissions") from None
    number = {name: i for i, name in enumerate(sorted(set(train.classes)))}
    names = tuple(number)
    if test is not None and not number.keys() >= set(test.classes):
        unknown = min(set(test.classes) - number.keys())
        raise DataError(f"{root / str(testing) / unknown} is a class without training images; add {root / 'train' / unknown} or remove it")
    found = {name: part for name, part in {"train": train, "test": test, "unlabelled": extra}.items() if part}
    places = Counter(place for part in found.values() for place in directories(part))
    if twice := [place for place, times in places.items() if times > 1]:
        raise DataError(f"{min(twice)} is read twice; remove one of the links to it")
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
    what = f"other files than {KINDS}, or outside of the classes and parts that are read"
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


def loose(top: Path) -> Listing | None:
    """The images that lie in `top` itself, without classes; None where it holds none, or directories."""
    if not top.is_dir() or class_folders(top):
        return None
    found = images_in(str(top))
    return found if found.sources else None


def unlabelled(top: Path) -> Listing | None:
    """The images in `top` and its directories; None where there is nothing."""
    found = images_in(str(top)) if top.is_dir() else Listing([], [], [])
    if found.others and not found.sources:
        raise DataError(f"{top} holds no images; add {KINDS} files or remove the directory")
    return found if found.sources else None


def listing(root: Path, split: str, *, flat: bool) -> Listing:
    """Images of root/split/<class>/ in the order of class and file name or, where `flat` allows it, of root/split itself."""
    top = root / split
    if not root.is_dir():
        raise DataError(f"{root} is not a directory; give a folder with the layout {LAYOUT}")
    if not top.is_dir():
        raise DataError(f"{root} has no directory {split}/; the layout {LAYOUT} is wanted")
    if flat and (found := loose(top)):
        return found
    folders = class_folders(top)
    found = Listing([], [], sorted(set(map(mended, images_or_classes(top))) - set(folders)))
    for directory in folders:
        part = images_in(directory, frozenset({os.path.realpath(top)}))
        if not part.sources:
            raise DataError(f"{directory} is a class with no images; add {KINDS} files or remove the directory")
        found.sources.extend(part.sources)
        found.classes.extend([os.path.basename(directory)] * len(part.sources))
        found.others.extend(part.others)
    if not found.sources:
        raise DataError(f"{top} has no class directories; the layout {LAYOUT} is wanted")
    return found


def test_part(root: Path, classes: set[str]) -> str | None:
    """The directory of the test images: the first that has one of the classes, or anything where there are none; else one that is laid out
    in another way, which is told where it is read."""
    there = [name for name in SPLITS["test"] if (root / name).is_dir()]
    if not classes:
        return next((name for name in there if images_or_classes(root / name)), None)
    inside = {name: set(map(os.path.basename, class_folders(root / name))) for name in there}
    fitting = [name for name in there if classes & inside[name] or (root / name / ANNOTATIONS).is_file()]
    return next(iter([*fitting, *(name for name in there if inside[name] or name == "test")]), None)


def annotated(top: Path) -> Listing | None:
    """The images in top/images with the classes that a table beside them gives, as in TinyImageNet's val; None without them."""
    if not (top / ANNOTATIONS).is_file() or not (top / "images").is_dir():
        return None
    table = dict(line.split("\t")[:2] for line in (top / ANNOTATIONS).read_text(errors="replace").splitlines() if "\t" in line)
    found = images_in(str(top / "images"))
    if unknown := [entry.path for entry in found.sources if os.path.basename(entry.path) not in table]:
        raise DataError(f"{top / ANNOTATIONS} does not have {unknown[0]}; add its class or remove the image")
    return found._replace(classes=[table[os.path.basename(entry.path)] for entry in found.sources])


def directories(part: Listing) -> list[str]:
    """Where the images of a part lie, all links followed, once for each path that leads there."""
    return list(map(os.path.realpath, {os.path.dirname(entry.path) for entry in part.sources}))


def class_folders(top: Path) -> list[str]:
    """The directories in `top`, hidden ones aside, in order."""
    return sorted(entry.path for entry in os.scandir(top) if entry.is_dir() and not entry.name.startswith("."))


def images_in(directory: str, above: frozenset[str] = frozenset()) -> Listing:
    """The image files in a directory and those within it in order, without classes, and the paths of all else that is not hidden.

    Links are followed, but for those to a directory `above`, which would go round in circles.
    """
    here, files, others = os.path.realpath(directory), [], []
    if here in above:
        return Listing([], [], [directory])
    for entry in os.scandir(directory):
        if entry.name.startswith("."):
            continue
        if entry.is_symlink():
            mended(entry.path)
        if entry.is_dir():
            below = images_in(entry.path, above | {here})
            files.extend(below.sources)
            others.extend(below.others)
        elif entry.is_file() and entry.name.lower().endswith(EXTENSIONS):
            status = entry.stat()
            files.append(Source(entry.path, status.st_size, status.st_mtime_ns))
        else:
            others.append(entry.path)
    return Listing(sorted(files), [], sorted(others))


def mended(path: str) -> str:
    """The path; DataError where it is a link to nothing."""
    if os.path.islink(path) and not os.path.exists(path):
        raise DataError(f"{path} is a link to {os.path.realpath(path)}, which does not exist; remove or mend it")
    return path


def write(out: Path, request: Request, sources: list[Source], labels: np.ndarray, rows: dict[str, np.ndarray], facts: Facts) -> Facts:
    """Decode the rows of every part into the cache folder `out`."""
    paths = [entry.path for entry in sources]
    size, notes = common_size(list(in_parallel(probe, paths, lambda done: request.progress(done, len(paths)))))
    parts = {part: (partial(decode, size=size), [paths[row] for row in chosen]) for part, chosen in rows.items()}
    write_parts(out, parts, {part: labels[chosen] for part, chosen in rows.items() if part != "unlabelled"}, size, request.progress)
    return facts._replace(notes=(*notes, *facts.notes))
