"""The step: right gradients on any number of devices, for every method; the same views whatever the number of devices."""

from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cheap_view import brighten
from sslx import methods, parallel
from sslx.models import MLP, Head
from sslx.train import Batch, Network, create_state, init, make_step

N, WIDTH = 32, 6
SAME_ADAPTER = {
    "vicreg_logdet", "vicreg_pairdist", "spectral_contrastive", "byol_pairdist", "total_coding_rate", "matrix_ssl", "mmcr", "ssl_hsic",
    "lejepa",
}  # fmt: skip
METHODS = sorted(set(methods.METHODS) - SAME_ADAPTER)  # the contract suite of the losses has these; another row calls its loss as they do
SMALL = {"w_mse": {"sub_batch": 16}}


def example_batch(dtype):
    rng = np.random.default_rng(0)
    return Batch(rng.uniform(size=(N, 8, 8, 1)).astype(dtype), rng.integers(0, WIDTH, N).astype(np.int32))


@cache
def initial_variables(has_predictor):
    network = Network(MLP((5,)), Head(8, WIDTH, layers=1), Head(8, WIDTH, layers=1) if has_predictor else None)
    return init(network, jax.random.key(0), jnp.zeros((2, 8, 8, 1), jnp.float32))


def build(name, dtype, axis_name=None, compute=None):
    """A tiny network, its step with plain SGD (so that an update is a gradient), and the state before it (on the host)."""
    method = methods.build(name, **SMALL.get(name, {}))
    head = partial(Head, 8, WIDTH, layers=1, axis_name=axis_name, dtype=compute)
    network = Network(MLP((5,), axis_name=axis_name, dtype=compute), head(), head() if method.predictor else None)
    variables = jax.tree.map(lambda x: x.astype(dtype), initial_variables(method.predictor is not None))
    method_state = jax.tree.map(lambda x: x.astype(dtype), method.init_state(WIDTH))
    optimizer = optax.sgd(0.1)
    state = create_state(jax.random.key(1), variables, optimizer, method_state, has_target=method.target == "ema")
    step = make_step(network, method, optimizer, [brighten] * 2, total_steps=10, axis_name=axis_name)
    return step, state


class State(NamedTuple):
    """What a step changes, on the host."""

    params: Any
    batch_stats: Any
    method_state: Any
    target: Any


def after(name, dtype, mode, devices):
    """State and metrics after two steps in float64 (the second has a predictor and target of its own), one in float32."""
    lift = parallel.lift(mode, devices)
    step, state = build(name, dtype, lift.axis_name)
    lifted, state = lift.step(step), lift.replicate(state)
    for _ in range(2 if dtype == jnp.float64 else 1):
        state, metrics = lifted(state, Batch(*lift.shard(example_batch(dtype))))
    state = lift.unreplicate(state)
    return State(*jax.device_get((state.params, state.batch_stats, state.method_state, state.target))), jax.device_get(metrics)


@cache
def one_device(name, dtype):
    return after(name, dtype, "jit", 1)


def relative_difference(a, b):
    """||a - b|| / ||b|| over whole trees."""
    return norm(jax.tree.map(np.subtract, a, b)) / norm(b)


def norm(tree):
    return sum(float(np.sum(np.square(x, dtype=np.float64))) for x in jax.tree.leaves(tree)) ** 0.5


def assert_same_step(name, dtype, mode, devices, tolerance):
    """The update (with SGD, the gradient), statistics, method state and target equal those on one device."""
    got, want = after(name, dtype, mode, devices)[0], one_device(name, dtype)[0]
    start = build(name, dtype)[1].params
    update = partial(jax.tree.map, lambda new, old: new - np.asarray(old))
    assert relative_difference(update(got.params, start), update(want.params, start)) <= tolerance
    for field in ("batch_stats", "method_state", "target"):
        if jax.tree.leaves(getattr(want, field)):
            assert relative_difference(getattr(got, field), getattr(want, field)) <= tolerance, field


@pytest.mark.parametrize("name", METHODS)
def test_four_devices_under_pmap_take_the_step_of_one(name):
    assert_same_step(name, jnp.float64, "pmap", 4, 1e-9)


@pytest.mark.parametrize("name", ["vicreg", "isoloss"])
@pytest.mark.parametrize(("mode", "devices"), [("pmap", 2), ("pmap", 8), ("jit", 8)])
def test_other_device_counts_and_the_mesh_take_the_step_of_one(name, mode, devices):
    assert_same_step(name, jnp.float64, mode, devices, 1e-9)


@pytest.mark.parametrize("name", ["barlow_twins", "simclr"])
def test_float32_steps_agree_to_rounding(name):
    assert_same_step(name, jnp.float32, "pmap", 4, 1e-5)


def test_metrics_are_those_of_the_whole_batch():
    _, split = after("vicreg", jnp.float64, "pmap", 4)
    _, whole = one_device("vicreg", jnp.float64)
    for name, value in whole.items():
        np.testing.assert_allclose(split[name], np.full(4, value), rtol=1e-9)


def test_bfloat16_compute_keeps_parameters_statistics_and_loss_in_float32():
    """And follows the float32 step to the precision of bfloat16."""
    batch = example_batch(np.float32)
    outcomes = []
    for compute in (None, jnp.bfloat16):
        step, state = build("byol", np.float32, compute=compute)
        outcomes.append(jax.jit(step)(state, batch))
    (exact, wanted), (rounded, metrics) = outcomes
    for kept in (rounded.params, rounded.batch_stats, rounded.target, rounded.opt_state, metrics):
        assert {x.dtype for x in jax.tree.leaves(kept)} <= {jnp.dtype(jnp.float32)}
    assert 0 < abs(metrics["loss"] - wanted["loss"]) < 0.02
    moved = [jax.tree.map(lambda new, old: np.asarray(new - old), s.params, state.params) for s in (exact, rounded)]
    size = np.linalg.norm(np.concatenate([x.ravel() for x in jax.tree.leaves(moved[0])]))
    gap = np.linalg.norm(np.concatenate([(x - y).ravel() for x, y in zip(*map(jax.tree.leaves, moved), strict=True)]))
    assert 0 < gap < 0.1 * size
