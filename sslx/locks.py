"""One process at a time: a lock on a file, which the system takes back when the process ends, in whatever way."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows has none
    fcntl = None


@contextlib.contextmanager
def held(path: Path, *, wait: bool) -> Iterator[bool]:
    """Hold the lock of a file, which is there for as long; False where there are no locks.

    Raises:
        BlockingIOError: another process holds it, unless it is waited for.
        OSError: the file cannot be made.
    """
    if fcntl is None:
        yield False
        return
    while True:
        with path.open("w") as file:
            alone = locked(file.fileno(), wait)
            if alone and not is_at(path, file.fileno()):
                continue  # whoever held it has removed it
            try:
                yield alone
            finally:
                path.unlink(missing_ok=True)
            return


def locked(file: int, wait: bool) -> bool:
    """Lock an open file; False where the file system cannot."""
    assert fcntl
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        raise
    except OSError:
        return False
    return True


def is_at(path: Path, file: int) -> bool:
    """Whether the open file is still the one at `path`."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(file))
    except FileNotFoundError:
        return False
