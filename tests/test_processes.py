"""Several processes as one run: the same run as one process with as many devices, written once, and one line for every failure."""

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from sslx import console, frozen, parallel, processes, run
from sslx.folder import SPEED, read_lines

ROOT = Path(__file__).parent.parent


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def begin(arguments, **variables):
    """A fresh process with its own environment."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("JAX_", "SLURM_", "OMPI_", "XLA_"))}
    environment |= {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu", **variables}
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def finish(process):
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def test_two_processes_are_one_run(tmp_path, request):
    program, compiled = Path(__file__).with_name("one_of_several.py"), request.config.cache.mkdir("jax")
    np.savez(tmp_path / "of0.npz", images=np.zeros((400, 8, 8), np.uint8), labels=np.arange(400) % 2)
    joint = {"JAX_COORDINATOR_ADDRESS": f"127.0.0.1:{free_port()}", "JAX_NUM_PROCESSES": "2"}
    started = [begin([program, compiled, tmp_path / f"of{i}", 1], **joint, JAX_PROCESS_ID=str(i)) for i in range(2)]
    alone = begin([program, compiled, tmp_path / "alone", 2])
    (code, out, err), (other_code, other_out, other_err), (alone_code, _, alone_err) = map(finish, (*started, alone))
    refused = f"sslx: {tmp_path} is not empty; choose another --out, or add --resume to go on with the run in it\n"
    assert (code, other_code, alone_code) == (0, 0, 0), (err, other_err, alone_err)
    assert out.count(f"Everything is in {tmp_path}/of0") == 2
    assert "Everything" not in other_out
    assert err.startswith(f"sslx: process 1 has stopped; it says why\n{refused}")  # one process's failure is everybody's
    assert len(re.findall(r"step 4/4, loss [\d.]+: kNN on validation images", err)) == 1
    assert (
        other_err
        == f"sslx: {tmp_path}/of1.npz does not exist; give an archive written by np.savez(path, images=..., labels=...)\n{refused}"
    )
    assert alone_err.startswith(
        "sslx: --distributed cannot join the other processes (coordinator_address should be defined.); start it with"
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["alone", "of0", "of0.npz"]

    ours, theirs = run.RunFolder(tmp_path / "of0"), run.RunFolder(tmp_path / "alone")
    (metrics,), (wanted,) = read_lines(ours.metrics), read_lines(theirs.metrics)
    assert without_speed(metrics) == pytest.approx(without_speed(wanted), rel=1e-5)
    for record, want in zip(read_lines(ours.validation), read_lines(theirs.validation), strict=True):
        np.testing.assert_allclose(np.hstack(list(record.values())), np.hstack(list(want.values())), rtol=1e-5, atol=1e-9)
    states = [jax.device_get(leaves(frozen.load_run(each.path)[1])) for each in (ours, theirs)]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7), *states)
    assert json.loads(ours.summary.read_text())["device"] == "2 x cpu"


def without_speed(record):
    return {name: value for name, value in record.items() if name not in SPEED}


def leaves(state):
    return state.params, state.batch_stats, state.opt_state, jax.random.key_data(state.key)


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"PROCESS_ID": "1"}, "process 0 did not answer at 127.0.0.1:1 for 0.1 s (*refused); see that it runs, and that JAX_COORDINATOR"),
        ({"COORDINATOR_ADDRESS": "host0"}, "JAX_COORDINATOR_ADDRESS must be HOST:PORT, got 'host0'; correct the environment variable"),
        ({"PROCESS_ID": "one"}, "JAX_PROCESS_ID must be a whole number of at least 0, got 'one'; correct the environment variable"),
        ({"PROCESS_ID": "0"}, "--distributed cannot join the other processes (*); start it with srun or mpirun or on a TPU pod, or set"),
    ],
)
def test_a_start_that_fails_is_one_line(monkeypatch, capsys, variables, message):
    for name, value in ({"COORDINATOR_ADDRESS": "127.0.0.1:1", "NUM_PROCESSES": "2"} | variables).items():
        monkeypatch.setenv(f"JAX_{name}", value)
    jax.devices()  # too late to join others
    assert console.guarded(lambda: processes.start(0.1)) == 2
    before, _, after = message.partition("*")
    line = capsys.readouterr().err
    assert line.startswith(f"sslx: {before}")
    assert after in line
    assert line.count("\n") == 1


def test_a_value_of_more_than_two_gigabytes_is_sent(monkeypatch):
    size = 2**31  # the pages of such an empty value are never touched
    monkeypatch.setattr(processes, "pickle", SimpleNamespace(dumps=bytes, loads=len))
    assert processes.from_first(size) == size


def test_pmap_is_for_one_process(monkeypatch):
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    with pytest.raises(ValueError, match="parallel pmap is for one process, there are 2; use jit"):
        parallel.lift("pmap")
