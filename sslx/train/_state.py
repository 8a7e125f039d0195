"""Everything a run needs to go on: one pytree."""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct
from jax import Array


@struct.dataclass
class TrainState:
    """Parameters, batch statistics, optimiser, target network and online probe ({} without one), method state, step and key."""

    step: Any
    key: Any
    params: Any
    batch_stats: Any
    opt_state: optax.OptState
    target: Any
    method_state: Any
    probe: Any = struct.field(default_factory=dict)


def create_state(
    key: Array,
    variables: dict[str, Any],
    optimizer: optax.GradientTransformation,
    method_state: Any,
    *,
    has_target: bool,
    probe: Any = None,
) -> TrainState:
    """The state at step 0; the target network starts as a copy of the online network."""
    params, batch_stats = variables["params"], variables.get("batch_stats", {})
    target = {"params": params, "batch_stats": batch_stats} if has_target else {}
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        key=key,
        params=params,
        batch_stats=batch_stats,
        opt_state=optimizer.init(params),
        target=jax.tree.map(jnp.copy, target),
        method_state=method_state,
        probe=probe or {},
    )
