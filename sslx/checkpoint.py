"""Checkpoints by orbax: one unreplicated copy of the train state, the last one and the best on validation."""

from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp
from jax.sharding import SingleDeviceSharding


class Checkpoints:
    """The checkpoints of one run folder, to be closed (or used as a context) so that the last save is committed."""

    def __init__(self, folder: Path) -> None:
        policies = ocp.checkpoint_managers
        self._manager = ocp.CheckpointManager(
            folder.absolute(),
            options=ocp.CheckpointManagerOptions(
                preservation_policy=policies.AnyPreservationPolicy(
                    [policies.LatestN(1), policies.BestN(get_metric_fn=lambda metrics: metrics["validation"], n=1)]
                ),
                best_fn=lambda metrics: metrics["validation"],
            ),
        )

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *_: object) -> None:
        self._manager.close()

    def save(self, step: int, state: Any, inputs: dict[str, Any], *, validation: float) -> None:
        """Save an unreplicated state and what its network has to know of the data; `validation` decides which is the best."""
        saved = ocp.args.Composite(state=ocp.args.StandardSave(state), inputs=ocp.args.JsonSave(inputs))
        self._manager.save(step, args=saved, metrics={"validation": validation})

    def last(self) -> int | None:
        """Step of the last committed checkpoint, None without one."""
        return self._manager.latest_step()

    def best(self) -> int | None:
        """Step of the checkpoint with the best validation score, None without one."""
        return self._manager.best_step()

    def inputs(self, step: int) -> dict[str, Any]:
        """What was saved beside the state at `step`."""
        return self._manager.restore(step, args=ocp.args.Composite(inputs=ocp.args.JsonRestore()))["inputs"]

    def restore(self, step: int, like: Any) -> Any:
        """The state saved at `step`; `like` has its structure, shapes and types (arrays or what `jax.eval_shape` gives)."""
        abstract = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=SingleDeviceSharding(jax.devices()[0])), like)
        return self._manager.restore(step, args=ocp.args.Composite(state=ocp.args.StandardRestore(abstract)))["state"]
