"""Decoded images on disk: written once as plain .npy files, memory-mapped afterwards.

An entry is a folder named after the sources' paths, sizes and modification times. It is written under a temporary name and
renamed when complete, so a reader never meets a half-written one; of two writers the second to finish drops its copy.
"""

import hashlib
import json
import math
import os
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sslx.data._dataset import DataError, Dataset
from sslx.locks import held

FORMAT = 1  # changes when the same sources would be decoded to other arrays
ARRAYS = ("train_images", "train_labels", "test_images", "test_labels")


class Source(NamedTuple):
    """A file that the arrays are made from: path, size in bytes and modification time in nanoseconds."""

    path: str
    size: int
    modified: int


class Facts(NamedTuple):
    """What a data set holds besides its arrays."""

    classes: tuple[str, ...]
    notes: tuple[str, ...] = ()


def source(path: str | Path) -> Source:
    """The source entry of a file."""
    status = os.stat(path)
    return Source(os.path.abspath(path), status.st_size, status.st_mtime_ns)


def cache_root() -> Path:
    """$SSLX_CACHE, else sslx/ in $XDG_CACHE_HOME, else ~/.cache/sslx."""
    if "SSLX_CACHE" in os.environ:
        return Path(os.environ["SSLX_CACHE"])
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sslx"


def cached(name: str, sources: Iterable[Source], build: Callable[[Path], Facts]) -> Dataset:
    """The data set made from `sources`: from the cache, or by `build(folder)`, which writes the four arrays there.

    Raises:
        DataError: the cache cannot be written, or what `build` raises. Nothing half-written stays behind.
    """
    digest = hashlib.sha256(f"{FORMAT}\n".encode())
    for path, size, modified in sources:
        digest.update(os.fsencode(f"{path}\0{size}\0{modified}\n"))
    folder = cache_root() / digest.hexdigest()[:32]
    if not (folder / "facts.json").exists():
        write_entry(folder, build)
    return open_entry(name, folder)


def write_entry(folder: Path, build: Callable[[Path], Facts]) -> None:
    """Build an entry under a temporary name beside its place and rename it; who comes second waits and finds it there."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with held(folder.parent / f"{folder.name}.lock", wait=True) as alone:
            if not (folder / "facts.json").exists():
                build_entry(folder, build, alone)
    except OSError as error:
        raise DataError(
            f"cannot write the cache {folder.parent} ({error.strerror or error}); make room there or set SSLX_CACHE to another directory"
        ) from None


def build_entry(folder: Path, build: Callable[[Path], Facts], alone: bool) -> None:
    """Build an entry; what a process that was killed has left is removed where no other can be at work."""
    for left in (folder, *folder.parent.glob(f"{folder.name}.partial-*")) if alone else ():
        shutil.rmtree(left, ignore_errors=True)
    temporary = folder.parent / f"{folder.name}.partial-{uuid.uuid4().hex}"
    try:
        temporary.mkdir()
        facts = build(temporary)
        (temporary / "facts.json").write_text(json.dumps(facts._asdict()))
        move_into_place(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def move_into_place(temporary: Path, folder: Path) -> None:
    """Rename; where another process has been faster, its entry stays."""
    try:
        temporary.rename(folder)
    except OSError:
        if not (folder / "facts.json").exists():
            raise


def open_entry(name: str, folder: Path) -> Dataset:
    """Memory-map an entry."""
    try:
        facts = json.loads((folder / "facts.json").read_text())
        train_images, train_labels, test_images, test_labels = (np.load(folder / f"{array}.npy", mmap_mode="r") for array in ARRAYS)
        extra = folder / "unlabelled_images.npy"
        unlabelled = np.load(extra, mmap_mode="r") if extra.exists() else None
    except (OSError, ValueError) as error:
        raise DataError(f"the cache entry {folder} is damaged ({error}); delete that directory and start again") from None
    classes, notes = tuple(facts["classes"]), tuple(facts["notes"])
    return Dataset(name, train_images, np.array(train_labels), test_images, np.array(test_labels), classes, unlabelled, notes)


def check_room(folder: Path, shape: tuple[int, ...]) -> None:
    """Raise DataError where uint8 images [N, H, W, C] do not fit into a folder of the cache; to be asked before they are decoded."""
    needed, free = (size / 2**20 for size in (math.prod(shape), shutil.disk_usage(folder).free))
    if needed > free:
        raise DataError(
            f"the decoded images need {needed:,.1f} MiB in the cache {folder.parent}, where {free:,.1f} MiB are free; make room there "
            "or set SSLX_CACHE to another directory"
        )


def write_images(path: Path, shape: tuple[int, ...], blocks: Iterator[np.ndarray]) -> None:
    """Write uint8 blocks one after the other as one .npy array of `shape`, so that a full disk is an error and no crash."""
    with path.open("wb") as file:
        np.lib.format.write_array_header_2_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
        for block in blocks:
            file.write(np.ascontiguousarray(block, np.uint8).data)
