"""A lock has one holder, and is gone with it."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from sslx import locks

HOLD = """
import sys
from pathlib import Path

from sslx.locks import held

with held(Path(sys.argv[1]), wait=True):
    print(flush=True)
    input()
"""


def test_one_at_a_time(tmp_path):
    inside, path = [], tmp_path / "lock"

    def count(_):
        with locks.held(path, wait=True) as alone:
            assert alone
            inside.append(1)
            assert len(inside) == 1
            inside.pop()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(count, range(200)))
    assert not path.exists()


def test_another_process_is_met_until_it_is_killed(tmp_path):
    path = tmp_path / "lock"
    with subprocess.Popen([sys.executable, "-c", HOLD, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(BlockingIOError), locks.held(path, wait=False):
            pass
        other.kill()
    with locks.held(path, wait=False) as alone:
        assert alone


@pytest.mark.parametrize("missing", ["system", "file system"])
def test_without_locks_all_go_on(missing, tmp_path, monkeypatch):
    if missing == "system":
        monkeypatch.setattr(locks, "fcntl", None)
    else:
        monkeypatch.setattr(locks.fcntl, "flock", lambda *_: (_ for _ in ()).throw(OSError(95, "Operation not supported")))
    with locks.held(tmp_path / "lock", wait=False) as mine, locks.held(tmp_path / "lock", wait=False) as yours:
        assert not mine
        assert not yours
        assert (tmp_path / "lock").exists() == (missing == "file system")  # elsewhere an open one could not be removed
