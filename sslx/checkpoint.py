"""Checkpoints by orbax: one unreplicated copy of the train state; the last one and the best on validation stay, or all."""

import shutil
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp
from jax.sharding import SingleDeviceSharding

from sslx.folder import FolderError
from sslx.parallel import host
from sslx.processes import is_first
from sslx.train import TrainState


class Checkpoints:
    """The checkpoints of one run folder, to be used as a context.

    A save is committed when the call returns: nothing is left to fail in another thread, and at eight saves in a run the overlap
    with training would gain little. Only the first of several processes opens them, and calls the methods.
    """

    def __init__(self, folder: Path, *, keep_all: bool = False) -> None:
        policies = ocp.checkpoint_managers
        self.folder = folder.absolute()
        options = ocp.CheckpointManagerOptions(
            preservation_policy=policies.AnyPreservationPolicy(
                [policies.LatestN(None if keep_all else 1), policies.BestN(get_metric_fn=lambda metrics: metrics["validation"], n=1)]
            ),
            best_fn=lambda metrics: metrics["validation"],
            enable_async_checkpointing=False,
            create=False,  # orbax wants it so where one process alone writes
            multiprocessing_options=ocp.options.MultiprocessingOptions(active_processes={0}),
        )
        self._manager: Any = None
        if is_first():
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise FolderError(f"cannot use {folder} for checkpoints ({error.strerror}); move away what is there") from None
            with self._refusing("read", "move what is damaged away, or train again"):
                self._manager = ocp.CheckpointManager(self.folder, options=options)

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *_: object) -> None:
        if self._manager is not None:
            self._manager.close()

    @contextmanager
    def _refusing(self, what: str, remedy: str) -> Iterator[None]:
        """One line for whatever a full disk or a damaged file makes orbax and its storage raise."""
        try:
            yield
        except jax.errors.JaxRuntimeError:  # of the device, whose memory is full
            raise
        except Exception as error:
            reason = textwrap.shorten(str(error) or type(error).__name__, 300)
            raise FolderError(f"a checkpoint in {self.folder} cannot be {what} ({reason}); {remedy}") from None

    def save(self, step: int, state: Any, inputs: dict[str, Any], *, validation: float) -> None:
        """Save an unreplicated state and what its network has to know of the data; `validation` decides which is the best.

        Raises:
            FolderError: the disk is full or cannot be written; checkpoints before this one stay.
        """
        saved = ocp.args.Composite(state=ocp.args.StandardSave(host(jax.tree.map(bare, stored(state)))), inputs=ocp.args.JsonSave(inputs))
        with self._refusing("written", "make room there and go on with --resume"):
            try:
                self._manager.save(step, args=saved, metrics={"validation": validation})
            finally:  # nothing half-written stays; who only reads lets a writer's be
                for path in self.folder.glob("*.orbax-checkpoint-tmp"):
                    remove(path)

    def steps(self) -> list[int]:
        """Steps of all committed checkpoints, rising."""
        return sorted(self._manager.all_steps())

    def last(self) -> int | None:
        """Step of the last committed checkpoint, None without one."""
        return self._manager.latest_step()

    def best(self) -> int | None:
        """Step of the checkpoint with the best validation score, None without one."""
        return self._manager.best_step()

    def inputs(self, step: int) -> dict[str, Any]:
        """What was saved beside the state at `step`.

        Raises:
            FolderError: the checkpoint is damaged.
        """
        return self._read(step, inputs=ocp.args.JsonRestore())["inputs"]

    def restore(self, step: int, like: Any) -> Any:
        """The state saved at `step`; `like` has its structure, shapes and types (arrays or what `jax.eval_shape` gives).

        Raises:
            FolderError: the checkpoint is damaged, or of another network.
        """
        abstract = jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=SingleDeviceSharding(jax.local_devices()[0])), stored(like)
        )
        state = jax.tree.map(dressed, self._read(step, state=ocp.args.StandardRestore(abstract))["state"], stored(like))
        whole: Any = like
        return whole.replace(**state) if isinstance(like, TrainState) and isinstance(state, dict) else state

    def _read(self, step: int, **parts: Any) -> Any:
        with self._refusing("read", f"delete {self.folder / str(step)} to use an earlier one, or train again"):
            return self._manager.restore(step, args=ocp.args.Composite(**parts))


def remove(folder: Path) -> None:
    """Delete a folder into which threads of the storage may still be writing for a moment."""
    for _ in range(100):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.02)


def stored(state: Any) -> Any:
    """What is written of a state: the probe is left out where there is none, as in runs that were trained before it existed."""
    if isinstance(state, TrainState) and not state.probe:
        return {name: value for name, value in vars(state).items() if name != "probe"}
    return state


def is_key(x: Any) -> bool:
    """Whether an array, or what stands for one, holds typed keys."""
    return jnp.issubdtype(x.dtype, jax.dtypes.prng_key)


def bare(x: Any) -> Any:
    """Typed keys as numbers: on the host, from where orbax lets one of several processes write, there are no others."""
    return jax.random.key_data(x) if is_key(x) else x


def dressed(x: Any, like: Any) -> Any:
    """Numbers as typed keys where `like` holds them; older checkpoints hold them as well."""
    return jax.random.wrap_key_data(x) if is_key(like) and not is_key(x) else x
