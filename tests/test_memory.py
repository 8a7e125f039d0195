"""Out of device memory: one line that says which batch size fits, or that the images can be streamed."""

import dataclasses
import re

import jax
import jax.numpy as jnp
import pytest

from sslx import console, diagnosis, frozen, losses, memory, run, speed
from sslx.assemble import assemble
from sslx.presets import preset

SMALL = preset("digits-vicreg", model="mlp", projector=(16, 8), steps=2, batch_size=64)


def test_the_batch_is_halved_until_it_fits():
    assert memory.fitting_batch(lambda size: 10 * size, 512, 8, 1300) == 128
    assert memory.fitting_batch(lambda size: 10 * size, 24, 8, 80) == 8
    assert memory.fitting_batch(lambda size: 10 * size, 24, 8, 79) is None
    assert memory.fitting_batch(pytest.fail, 24, 8, None) == 8


def exhausted(*_, **__):
    raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 99 bytes")


@pytest.mark.parametrize(
    ("feed", "limit", "message"),
    [
        ("resident", 2**30, r"not enough memory \(1 GiB\) for batches of 64: --batch-size 32 fits; --stream saves the 0\.0 GiB of images"),
        ("host", None, r"not enough memory for batches of 64: try --batch-size 32 or less\n"),
    ],
)
def test_the_user_is_told_what_fits(feed, limit, message, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(run, "fit", exhausted)
    monkeypatch.setattr(speed, "memory_limit", lambda: limit)
    config = dataclasses.replace(SMALL, feed=feed)
    assert console.guarded(lambda: run.pretrain(config, out=tmp_path / "run")) == 2
    err = capsys.readouterr().err
    assert re.search(message, err), err
    assert err.count("\n") == 1


def test_where_no_batch_fits_a_smaller_network_is_the_remedy(monkeypatch):
    tried = []
    monkeypatch.setattr(speed, "memory_limit", lambda: 2**30)
    monkeypatch.setattr(memory, "step_bytes", lambda step, state, batch_size, shape: tried.append(batch_size) or 2**31)
    line = memory.explain_step(config := dataclasses.replace(SMALL, feed="host", micro_batches=2), assemble(config))
    assert line == "the device has not enough memory (1 GiB) for batches of 64: choose a smaller --model or --projector"
    assert tried == [4]  # images of one of eight devices, two in each micro-batch


def test_a_step_needs_its_arguments_and_what_it_makes_in_between():
    def step(state, batch):
        square = jnp.sort(jnp.outer(state, state).ravel())
        return state + square[: state.size] * batch.images.mean(dtype=jnp.float32), {}

    state = jnp.ones(256, jnp.float32)
    arguments, square = state.nbytes + 1024 * 8 * 8, 4 * state.size**2
    assert arguments + square <= memory.step_bytes(step, state, 1024, (8, 8, 1)) <= arguments + 4 * square


def test_a_batch_that_the_method_does_not_take_does_not_fit(monkeypatch):
    def whitened_by_three(step, state, batch_size, shape):
        return losses.w_mse(jax.random.key(0), jnp.ones((2, batch_size, 2)), sub_batch=3)[0].nbytes

    monkeypatch.setattr(speed, "memory_limit", lambda: 2**60)
    monkeypatch.setattr(memory, "step_bytes", whitened_by_three)
    line = memory.explain_step(config := dataclasses.replace(SMALL, feed="host"), assemble(config))
    assert line.endswith("for batches of 64: --batch-size 16 fits")  # 32 are 4 on a device


@pytest.mark.parametrize(("place", "command"), [(frozen, frozen.assess), (diagnosis, diagnosis.diagnose)])
def test_a_run_that_the_device_cannot_evaluate(place, command, tmp_path, monkeypatch):
    run.folders.create(tmp_path / "run", SMALL)
    monkeypatch.setattr(place, "load_run", lambda *_, **__: (None, None, frozen.data.load("digits")))
    monkeypatch.setattr(place, "encode" if place is frozen else "features_of_state", exhausted)
    with pytest.raises(memory.OutOfMemory, match="not enough memory to evaluate the network; do it where there is more"):
        command(tmp_path / "run", *[()] * (place is frozen))


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("initial_state", r"for network and optimiser, which take 0\.0 GiB: choose a smaller --model or --projector"),
        ("begin", r"for network and optimiser, which take 0\.0 GiB: choose a smaller --model or --projector"),
        ("score", r"to evaluate the network; do it where there is more, say on the host with JAX_PLATFORMS=cpu \(pretrain: --resume\)"),
    ],
)
def test_before_and_after_training_a_smaller_batch_is_no_remedy(place, message, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "fit", lambda *_: ([], {}))
    monkeypatch.setattr(run, place, exhausted)
    with pytest.raises(memory.OutOfMemory, match=f"^the device has not enough memory {message}$"):
        run.pretrain(SMALL, out=tmp_path / "run")


def test_the_states_of_all_seeds_count():
    config = dataclasses.replace(SMALL, projector=(2**12, 2**12))
    told = [memory.explain_state([config] * seeds, assemble(config)) for seeds in (1, 2)]
    sizes = [float(re.search(r"which take ([\d.]+) GiB", line)[1]) for line in told]
    assert sizes == pytest.approx([0.4, 0.8], abs=0.1)
    assert "seeds" not in told[0]
    assert told[1].endswith("projector, or fewer --seeds")


@pytest.mark.parametrize(
    "words", ["RESOURCE_EXHAUSTED: Attempting to reserve 1G", "INTERNAL: Error dispatching computation: Out of memory allocating"]
)
def test_what_jax_says_where_memory_is_lacking(words):
    assert memory.is_exhausted(jax.errors.JaxRuntimeError(words))


def test_another_error_is_not_taken_for_it(tmp_path, monkeypatch):
    def fail(*_):
        raise jax.errors.JaxRuntimeError("INTERNAL: something else")

    monkeypatch.setattr(run, "fit", fail)
    with pytest.raises(jax.errors.JaxRuntimeError, match="something else"):
        run.pretrain(SMALL, out=tmp_path / "run")
