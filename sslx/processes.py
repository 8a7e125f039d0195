"""Several processes, say one on each host, as one run: how they find each other, and what the first of them does for all."""

import functools
import os
import pickle
import socket
import time
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils

P = ParamSpec("P")
T = TypeVar("T")


class ProcessError(RuntimeError):
    """The processes of a run do not find each other, or one of them has stopped: one line with the remedy."""


def start(seconds: float = 300) -> None:
    """Join the other processes of the run, before jax touches a device.

    jax knows by itself where they are under SLURM, Open MPI and Kubernetes and on TPU pods; elsewhere the environment variables
    JAX_COORDINATOR_ADDRESS (host and port of the first process), JAX_NUM_PROCESSES and JAX_PROCESS_ID say it.

    Args:
        seconds: how long to wait for the others.

    Raises:
        ProcessError: there is nothing that says where they are, or the first process cannot be reached.
    """
    address, count, index = os.environ.get("JAX_COORDINATOR_ADDRESS"), number("JAX_NUM_PROCESSES"), number("JAX_PROCESS_ID")
    if address:
        wait_for(address, seconds if index else 0.0)
    try:
        jax.distributed.initialize(num_processes=count, process_id=index, initialization_timeout=int(seconds), shutdown_timeout_seconds=30)
        multihost_utils.sync_global_devices("start")  # what waits later has no short limit
    except Exception as error:  # each kind of cluster has its own
        reason = " ".join(str(error).split())
        raise ProcessError(
            f"--distributed cannot join the other processes ({reason}); start it with srun or mpirun or on a TPU pod, or set "
            "JAX_COORDINATOR_ADDRESS=HOST:PORT (of process 0), JAX_NUM_PROCESSES and JAX_PROCESS_ID (from 0) for every process"
        ) from None


def number(name: str) -> int | None:
    """The whole number in an environment variable, None where it is not set."""
    value = os.environ.get(name)
    if value is not None and not value.isdecimal():
        raise ProcessError(f"{name} must be a whole number of at least 0, got {value!r}; correct the environment variable")
    return None if value is None else int(value)


def wait_for(address: str, seconds: float) -> None:
    """Return when the address answers, or at once for no seconds: jax ends a process that cannot reach it without an exception."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise ProcessError(f"JAX_COORDINATOR_ADDRESS must be HOST:PORT, got {address!r}; correct the environment variable")
    end, answered = time.monotonic() + seconds, not seconds
    while not answered:
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()
            answered = True
        except OSError as error:
            if time.monotonic() > end:
                raise ProcessError(
                    f"process 0 did not answer at {address} for {seconds:g} s ({error}); see that it runs, and that "
                    "JAX_COORDINATOR_ADDRESS names its host and a free port of it"
                ) from None
            time.sleep(0.2)


def is_first() -> bool:
    """Whether this is the process that writes, prints and evaluates; a lone process is."""
    return jax.process_index() == 0


def on_first(work: Callable[P, T]) -> Callable[P, T]:
    """`work` done by the first process alone; every process calls it, waits, and gets the result or the exception, which pickle takes."""

    @functools.wraps(work)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        if jax.process_count() == 1:
            return work(*args, **kwargs)
        result = error = None
        if is_first():
            try:
                result = work(*args, **kwargs)
            except Exception as raised:  # the others would wait for ever
                error = raised
        result, error = from_first((result, error))
        if error is not None:
            raise error
        return result

    return call


def on_all(work: Callable[P, T]) -> Callable[P, T]:
    """`work` done by every process: where it raises in one of them, all stop, the others with a ProcessError."""

    @functools.wraps(work)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        if jax.process_count() == 1:
            return work(*args, **kwargs)
        result: Any = None
        error = None
        try:
            result = work(*args, **kwargs)
        except Exception as raised:  # the others would wait for ever
            error = raised
        failed = np.flatnonzero(multihost_utils.process_allgather(np.int32(error is not None)))
        if error is not None:
            raise error
        if len(failed):
            raise ProcessError(f"process {failed[0]} has stopped; it says why")
        return result

    return call


def from_first(value: Any) -> Any:
    """The first process's value."""
    content = np.frombuffer(pickle.dumps(value), np.uint8)
    billions, rest = map(int, multihost_utils.broadcast_one_to_all(np.array(divmod(len(content), 10**9), np.int32)))
    mine = content if is_first() else np.empty(billions * 10**9 + rest, np.uint8)
    return pickle.loads(multihost_utils.broadcast_one_to_all(mine))
