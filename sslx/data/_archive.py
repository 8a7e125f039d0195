"""Published .tar.gz archives: where they lie, and their members in the order of the file, without unpacking to disk."""

import os
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, TypeAlias

from sslx.data._cache import Source, source
from sslx.data._dataset import DataError, Request

Read: TypeAlias = Callable[[int], bytes]


class Archive(NamedTuple):
    """A published archive: its address and the directory that unpacking it makes."""

    url: str
    directory: str

    @property
    def file(self) -> str:
        """Name of the archive file."""
        return self.url.rsplit("/", 1)[-1]


def locate(request: Request, archive: Archive) -> Path:
    """The archive or the directory unpacked from it, in the data directory.

    Raises:
        DataError: neither is there.
    """
    wanted = f"{archive.file} or {archive.directory}/"
    if request.data_dir is None:
        raise DataError(
            f"{request.name} needs a data directory that holds {wanted}: pass --data-dir DIR or set SSLX_DATA; "
            f"get it with: wget -P DIR {archive.url}"
        )
    for name in (archive.file, archive.directory):
        if (request.data_dir / name).exists():
            return request.data_dir / name
    raise DataError(
        f"{request.name} is not in {request.data_dir}: looked for {wanted}; get it with: wget -P {request.data_dir} {archive.url}"
    )


def sources(path: Path) -> list[Source]:
    """The archive, or the files of the directory."""
    try:
        return [source(path)] if path.is_file() else [source(file) for file in sorted(path.iterdir()) if file.is_file()]
    except OSError as error:
        raise damaged(path, error) from None


def members(path: Path, wanted: set[str]) -> Iterator[tuple[str, int, Read]]:
    """Name, size and reader of every wanted member, to be read before the next one is asked for.

    Raises:
        DataError: the archive is damaged, or a wanted member is not in it.
    """
    missing = set(wanted)
    try:
        for name, size, read in (tar_members if path.is_file() else directory_members)(path):
            if name in wanted:
                missing.discard(name)
                yield name, size, read
    except Exception as error:  # damaged bytes may raise anything
        raise damaged(path, error) from None
    if missing:
        raise DataError(f"{path} holds no {min(missing)}: it is truncated or another archive; delete it and get the original again")


def tar_members(path: Path) -> Iterator[tuple[str, int, Read]]:
    """The regular files of a tar archive."""
    with tarfile.open(path) as tar:
        for member in tar:
            file = tar.extractfile(member) if member.isreg() else None
            if file is not None:
                yield os.path.basename(member.name), member.size, file.read


def directory_members(path: Path) -> Iterator[tuple[str, int, Read]]:
    """The regular files of a directory."""
    for entry in sorted(path.iterdir()):
        if entry.is_file():
            with entry.open("rb") as file:
                yield entry.name, entry.stat().st_size, file.read


def exactly(path: Path, read: Read, size: int) -> bytes:
    """Exactly `size` bytes of a member of `path`."""
    try:
        data = read(size)
    except Exception as error:  # damaged bytes may raise anything
        raise damaged(path, error) from None
    if len(data) != size:
        raise damaged(path, EOFError("it ends too early"))
    return data


def damaged(path: Path, error: BaseException) -> DataError:
    """The error for an archive that cannot be read."""
    return DataError(f"{path} is truncated or damaged ({error}); delete it and get the original again")


def records(path: Path, name: str, size: int, record: int) -> int:
    """How many records a member holds.

    Raises:
        DataError: none, or not a whole number of them.
    """
    if size == 0 or size % record:
        raise DataError(f"{path}: {name} has {size} bytes, wanted a multiple of {record}, one record per image; get the original again")
    return size // record


def class_names(text: bytes, count: int) -> tuple[str, ...]:
    """One name per line, or numbers where the list does not fit."""
    names = tuple(text.decode("utf-8", "replace").split())
    return names if len(names) == count else tuple(map(str, range(count)))
