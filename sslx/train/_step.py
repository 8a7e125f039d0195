"""One step of training as a pure function `(state, batch) -> (state, metrics)`, and the only gradient collective.

V views, N examples per device, d embedding width.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array
from jaxtyping import Float, Int, UInt8

from sslx.augment import View, make_views
from sslx.collectives import axis_index, pmean_if
from sslx.methods import Method, Online
from sslx.moments import moving_average
from sslx.pixels import unit_interval
from sslx.train._network import Network, apply_views
from sslx.train._probe import probe_step
from sslx.train._state import TrainState
from sslx.typing import AxisName, Scalar, Views

Metrics = dict[str, Scalar]


class Batch(NamedTuple):
    """Images and labels of one step; only a method that learns from labels and the online probe look at the labels."""

    images: UInt8[Array, "N H W C"] | Float[Array, "N H W C"]
    labels: Int[Array, " N"]


def make_step(
    network: Network,
    method: Method,
    optimizer: optax.GradientTransformation,
    views: Sequence[View],
    *,
    total_steps: int,
    micro_batches: int = 1,
    axis_name: AxisName = None,
) -> Callable[[TrainState, Batch], tuple[TrainState, Metrics]]:
    """The training step: views, forward, loss, gradient, optimiser, target network, method state, online probe.

    Everything random is drawn from `fold_in(state.key, state.step)` and the example's index in the global batch, so that a
    batch split over devices gives the same step as on one device, and a resumed run is the same run. Dropout alone draws for the device's
    whole batch: its masks under `pmap` are not those of one device.

    Args:
        network: encoder and heads.
        method: a row of `sslx.methods.METHODS`.
        optimizer: gradient transformation.
        views: one view function per view.
        total_steps: length of the run, for the momentum schedule of the target network.
        micro_batches: parts of the batch that go through the network one after the other, as `apply_views` has them.
        axis_name: the device axis under `pmap`; None under `jit`.

    Returns:
        The step; its metrics are the loss and every term of it, the norm of the gradient, and loss and accuracy of the probe. A profiler
        sees its parts under the names views, target, loss, optimizer and probe.
    """

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        view_key, loss_key, dropout_key = jax.random.split(jax.random.fold_in(state.key, state.step), 3)
        online_key, target_key = jax.random.split(jax.random.fold_in(dropout_key, axis_index(axis_name)))
        with jax.named_scope("views"):
            images = unit_interval(batch.images, jax.tree.leaves(state.params)[0].dtype)
            pixels = make_views(view_key, images, global_index(batch, axis_name), views)
            pixels = jax.lax.optimization_barrier(pixels)  # or XLA makes the views again for each consumer

        def objective(params: Any) -> tuple[Scalar, Any]:
            variables = {"params": params, "batch_stats": state.batch_stats}
            out, batch_stats = apply_views(network, variables, pixels, micro_batches, key=online_key)
            with jax.named_scope("target"):
                target, target_stats = target_embeddings(network, method, state, out.z, pixels, batch.labels, micro_batches, target_key)
            with jax.named_scope("loss"):
                value, terms, method_state = method.loss(Online(out.z, out.p), target, state.method_state, loss_key, state.step, axis_name)
            return value, (terms, batch_stats, target_stats, method_state, out.features)

        (loss, (terms, *new, features)), grads = jax.value_and_grad(objective, has_aux=True)(state.params)
        batch_stats, target_stats, method_state = new
        grads = pmean_if(grads, axis_name)
        with jax.named_scope("optimizer"):
            updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
            params: Any = optax.apply_updates(state.params, updates)
        with jax.named_scope("probe"):
            probe, scores = probe_step(state.probe, features, batch.labels, axis_name=axis_name) if state.probe else ({}, {})
        new = state.replace(  # pyright: ignore[reportAttributeAccessIssue]  # flax adds `replace`
            step=state.step + 1,
            params=params,
            batch_stats=batch_stats,
            opt_state=opt_state,
            target=move_target(state, params, target_stats, target_momentum(method.ema, state.step, total_steps)),
            method_state=method_state,
            probe=probe,
        )
        return new, {"loss": loss, **terms._asdict(), "gradient_norm": optax.tree.norm(grads), **scores}

    return step


def global_index(batch: Batch, axis_name: AxisName) -> Int[Array, " N"]:
    """The position of every example of this device in the batch over all devices."""
    n = batch.images.shape[0]
    return axis_index(axis_name) * n + jnp.arange(n)


def target_embeddings(
    network: Network, method: Method, state: TrainState, z: Views, pixels: Array, labels: Array, micro_batches: int, key: Array
) -> tuple[Views, Any]:
    """What the online embeddings are compared with, [V, N, d], and the target network's new batch statistics ({} without one)."""
    if method.target == "labels":
        return jnp.broadcast_to(jax.nn.one_hot(labels, z.shape[-1], dtype=z.dtype), z.shape), {}
    if method.target == "self":
        return z, {}
    out, stats = apply_views(network, state.target, pixels, micro_batches, key=key)
    return jax.lax.stop_gradient(out.z), stats


def target_momentum(start: float, step: Array, total_steps: int) -> Array:
    """m = 1 - (1 - start) (1 + cos(pi step / total)) / 2: from `start` to 1 along a half cosine (BYOL, arXiv:2006.07733)."""
    return 1 - (1 - start) * (1 + jnp.cos(jnp.pi * step / total_steps)) / 2


def move_target(state: TrainState, params: Any, batch_stats: Any, momentum: Array) -> Any:
    """The target network one step on: parameters averaged, batch statistics its own."""
    if not state.target:
        return {}
    moved = jax.tree.map(lambda t, p: moving_average(t, p, momentum).astype(t.dtype), state.target["params"], params)
    return {"params": moved, "batch_stats": batch_stats}
