import itertools
import re
from functools import partial
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sslx import parallel

BATCH = np.arange(16.0).reshape(8, 2)


def total(state, batch):
    local = jnp.sum(batch)
    return state + (jax.lax.psum(local, parallel.AXIS) if batch.shape[0] < 8 else local), {"first": batch[0, 0]}


@pytest.mark.parametrize("mode", ["jit", "pmap"])
def test_a_lifted_step_sees_the_whole_batch_and_its_caller_keeps_the_state(mode):
    lift = parallel.lift(mode, 4)
    state = jnp.asarray(1.0)
    placed = lift.replicate(state)
    moved, _ = lift.step(total)(placed, lift.shard(BATCH))
    assert float(lift.unreplicate(moved)) == 1 + BATCH.sum()
    assert float(state) == 1.0  # not donated


def test_a_process_holds_the_rows_of_its_devices_wherever_they_lie():
    split = SimpleNamespace(addressable_devices_indices_map=lambda shape: {"b": (slice(6, 8),), "a": (slice(2, 4),)})
    np.testing.assert_array_equal(parallel.held_rows(split, 8), [2, 3, 6, 7])
    for mode in ("jit", "pmap"):
        np.testing.assert_array_equal(parallel.lift(mode, 4).held(8), np.arange(8))


def test_typed_keys_are_replicated_and_taken_back():
    lift = parallel.lift("pmap", 2)
    key = jax.random.key(3)
    back = lift.unreplicate(lift.replicate({"key": key}))["key"]
    np.testing.assert_array_equal(jax.random.key_data(back), jax.random.key_data(key))


def test_what_was_taken_back_outlives_the_next_step():
    lift = parallel.lift("jit", 1)
    step = lift.step(total)
    first, _ = step(lift.replicate(jnp.asarray(0.0)), lift.shard(BATCH))
    kept = lift.unreplicate(first)
    step(first, lift.shard(BATCH))
    assert float(kept) == BATCH.sum()


@pytest.mark.parametrize(("mode", "devices"), [("jit", 1), ("jit", 4), ("pmap", 4)])
def test_a_second_step_compiles_nothing(mode, devices, caplog):
    lift = parallel.lift(mode, devices)
    step, state, compiled = lift.step(partial(total)), lift.replicate(jnp.zeros(())), []  # a function of its own, not compiled before
    with jax.log_compiles():
        for _ in range(2):
            caplog.clear()
            state, _ = step(state, lift.shard(BATCH))
            compiled.append("Finished XLA compilation" in caplog.text)
    assert compiled == [True, False]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: parallel.lift("xmap"), "parallel must be one of auto, jit, pmap, got 'xmap'"),
        (lambda: parallel.lift("jit", 99), "devices must be between 1 and 8, got 99"),
        (lambda: parallel.check_divisible(10, 4), "batch size 10 does not split over 4 devices; use a multiple such as 8"),
        (
            lambda: parallel.check_divisible(256, 1, 512),
            "batch size 256 leaves batch norm less than two images in each of 512 micro-batches; take fewer of them",
        ),
    ],
)
def test_mistakes_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("devices", [1, 2, 3])
def test_the_batch_size_that_is_told_is_taken(devices):
    for batch_size, micro_batches in itertools.product(range(2, 40), range(1, 20)):
        try:
            parallel.check_divisible(batch_size, devices, micro_batches)
        except ValueError as error:
            if told := re.search(r"such as (\d+)", str(error)):
                parallel.check_divisible(int(told[1]), devices, micro_batches)
