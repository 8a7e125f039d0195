"""Checkpoints by orbax: one unreplicated copy of the train state, the last one and the best on validation."""

from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp


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

    def save(self, step: int, state: Any, *, validation: float) -> None:
        """Save an unreplicated state; `validation` decides which checkpoint is the best."""
        self._manager.save(step, args=ocp.args.StandardSave(state), metrics={"validation": validation})

    def last(self) -> int | None:
        """Step of the last committed checkpoint, None without one."""
        return self._manager.latest_step()

    def best(self) -> int | None:
        """Step of the checkpoint with the best validation score, None without one."""
        return self._manager.best_step()

    def restore(self, step: int, like: Any) -> Any:
        """The state saved at `step`; `like` has its structure, shapes and types."""
        abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
        return self._manager.restore(step, args=ocp.args.StandardRestore(abstract))
