"""An interruption before a command runs, while Python is still loading what it needs."""

import contextlib
import io
import os
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from sslx import __main__, cli, console
from sslx.interruption import deferred

ROOT = Path(__file__).parent.parent
SCRIPT, NAME = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]["sslx"].split(":")
AS_JAX_LOADS = """
import importlib.abc, runpy, signal, sys

class Interrupt(importlib.abc.MetaPathFinder):
    def find_spec(self, name, *_):
        if name == "jax":
            signal.raise_signal(signal.Signals[sys.argv.pop()])

sys.meta_path.insert(0, Interrupt())
"""


@pytest.mark.parametrize(
    ("start", "name"),
    [
        (f"from {SCRIPT} import {NAME}; sys.exit({NAME}())", "SIGINT"),
        ("runpy.run_module('sslx', run_name='__main__')", "SIGINT"),
        ("runpy.run_module('sslx', run_name='__main__')", "SIGTERM"),
    ],
)
def test_an_interruption_while_the_libraries_load_is_one_line(start, name):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", AS_JAX_LOADS + start, "list", "methods", name]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "sslx: interrupted\n")


def test_the_line_is_seen_where_messages_are_held_back(monkeypatch, capfd):
    codes = []
    monkeypatch.setattr(os, "_exit", codes.append)
    with contextlib.redirect_stderr(io.StringIO()):  # as options are read
        __main__.stop()
    assert (codes, capfd.readouterr().err) == ([130], "sslx: interrupted\n")


def test_a_command_is_interrupted_as_usual_and_ended_likewise(monkeypatch):
    def pretend(*, begin):
        handlers.extend(map(signal.getsignal, both))
        begin()
        return 0

    both = signal.SIGINT, signal.SIGTERM
    handlers, usual = [], list(map(signal.getsignal, both))
    monkeypatch.setattr(cli, "main", pretend)
    try:
        assert __main__.main() == 0
        assert [*handlers, *map(signal.getsignal, both)] == [__main__.stop, __main__.stop, usual[0], signal.default_int_handler]
    finally:
        signal.signal(signal.SIGTERM, usual[1])


def test_all_is_loaded_when_the_command_begins(monkeypatch):
    calls = []
    monkeypatch.setattr(console, "attempt", lambda command: [calls.append("loaded"), command(), 0][-1])
    monkeypatch.setattr(cli.List, "__call__", lambda _: calls.append("runs"))
    assert cli.main(["list", "methods"], begin=lambda: calls.append("begins")) == 0
    assert calls == ["loaded", "begins", "runs"]


def test_an_end_that_waited_is_not_forgotten():
    """One that comes while the last checkpoint is written, after which nobody asks."""
    usual = signal.signal(signal.SIGTERM, signal.default_int_handler)
    done = []
    try:
        with pytest.raises(KeyboardInterrupt), deferred():
            done.append(signal.raise_signal(signal.SIGTERM))
    finally:
        signal.signal(signal.SIGTERM, usual)
    assert done == [None]


def test_a_program_of_the_users_ends_in_its_own_way():
    """Training lets SIGTERM wait where the command line has made it an interruption, and nowhere else."""
    usual = signal.getsignal(signal.SIGTERM)
    with deferred() as ended:
        assert signal.getsignal(signal.SIGTERM) is usual
        assert not ended()
