"""Many steps as one program on data that stay on the devices: the same steps as one by one from the host."""

import itertools
import os
import pathlib
import subprocess
import sys
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cheap_view import brighten
from sslx import methods, parallel
from sslx.models import MLP, Head
from sslx.train import Batch, Network, batches, create_state, init, make_chunk, make_step, train
from sslx.train._resident import chunk_rows

COUNT, BATCH, STEPS, SEED = 22, 8, 6, 3  # two batches an epoch, so that a chunk of three steps crosses an epoch
IMAGES = np.random.default_rng(0).integers(0, 256, (COUNT, 4, 4, 1)).astype(np.uint8)
LABELS = np.arange(COUNT, dtype=np.int32) % 3
HEAD = {"out": 4, "layers": 1, "bias": False}
SGD = optax.sgd(0.1)


@cache
def initial_state(name, dtype):
    variables = init(Network(MLP((6,)), Head(**HEAD)), jax.random.key(0), jnp.zeros((2, 4, 4, 1)))
    method, variables = methods.build(name), jax.tree.map(lambda x: x.astype(dtype), variables)
    return create_state(jax.random.key(1), variables, SGD, method.init_state(HEAD["out"]), has_target=method.target == "ema")


def build(lift, name, dtype):
    """Step and state of a tiny run."""
    network = Network(MLP((6,), axis_name=lift.axis_name), Head(**HEAD))
    step = make_step(network, methods.build(name), SGD, [brighten] * 2, total_steps=STEPS, axis_name=lift.axis_name)
    return step, initial_state(name, dtype)


@cache
def stepped(name="vicreg", dtype="float64"):
    """Final state and metrics of the run on one device, step by step."""
    lift = parallel.lift("jit", 1)
    step, state = build(lift, name, dtype)
    stream = (Batch(*lift.shard(batch)) for batch in batches(IMAGES, LABELS, BATCH, seed=SEED))
    return finish(lift, train(lift.step(step), lift.replicate(state), stream, start=0, stop=STEPS, every=STEPS))


def scanned(mode, devices, chunk, name="vicreg", dtype="float64"):
    lift = parallel.lift(mode, devices)
    step, state = build(lift, name, dtype)
    many = lift.step(make_chunk(step, lift.share, steps=chunk, batch_size=BATCH, seeds=[SEED]))
    data = itertools.repeat(Batch(*lift.place((IMAGES, LABELS))))
    return finish(lift, train(many, lift.replicate(state), data, start=0, stop=STEPS, every=STEPS, per_call=chunk))


def finish(lift, events):
    *_, last = events
    state = lift.unreplicate(last.state)
    return jax.device_get((state.params, state.batch_stats)), last.metrics


@pytest.mark.parametrize(("first", "steps", "batch_size"), [(1, 3, 8), (5, 2, 22)])
def test_the_rows_are_those_of_the_stream_on_the_host(first, steps, batch_size):
    stream = itertools.islice(batches(np.arange(COUNT), LABELS, batch_size, seed=SEED, start=first), steps)
    rows = chunk_rows(SEED, jnp.asarray(first, jnp.int32), steps=steps, count=COUNT, batch_size=batch_size)
    np.testing.assert_array_equal(rows, [images for images, _ in stream])


def test_on_one_device_a_scanned_run_is_the_stepped_run_bit_for_bit():
    """In a fresh process, compiled as users compile: with the optimisations and emitters that this suite goes without.

    IsoLoss has a moving target and a moving correlation, in which two products in one sum would be fused differently in each program.
    """
    code = "\n".join(
        (
            "import test_resident as t",
            "for run in (('vicreg', 'float64'), ('isoloss', 'float32')):",
            "    t.jax.tree.map(t.np.testing.assert_array_equal, t.scanned('jit', 1, 3, *run)[0], t.stepped(*run)[0])",
        )
    )
    here = pathlib.Path(__file__).parent
    path = os.pathsep.join(map(str, (here.parent.parent, here.parent, here)))
    environment = os.environ | {"PYTHONPATH": path, "XLA_FLAGS": "", "JAX_ENABLE_X64": "1"}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)


@pytest.mark.parametrize("mode", ["jit", "pmap"])
def test_on_four_devices_a_scanned_run_is_the_stepped_run(mode):
    (state, metrics), (want, want_metrics) = scanned(mode, 4, 3), stepped()
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=1e-9 * np.abs(b).max()), state, want)
    np.testing.assert_allclose(metrics["loss"], want_metrics["loss"], rtol=1e-9)
