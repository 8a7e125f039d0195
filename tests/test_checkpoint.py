"""Checkpoints under bad conditions: a full disk and damaged files are one line, and earlier checkpoints stay."""

import resource

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sslx import checkpoint
from sslx.checkpoint import Checkpoints
from sslx.folder import FolderError

STATE = {"w": np.arange(6.0), "big": np.random.default_rng(0).normal(size=20_000)}


@pytest.fixture
def checkpoints(tmp_path):
    with Checkpoints(tmp_path / "checkpoints") as opened:
        opened.save(1, STATE, {"classes": 10}, validation=0.5)
        yield opened


def test_a_state_and_its_inputs_come_back(checkpoints):
    np.testing.assert_array_equal(checkpoints.restore(1, STATE)["big"], STATE["big"])
    assert checkpoints.inputs(1) == {"classes": 10}


@pytest.mark.parametrize(("keep_all", "kept"), [(False, [2, 4]), (True, [1, 2, 3, 4])])
def test_the_last_and_the_best_stay_or_all(keep_all, kept, tmp_path):
    with Checkpoints(tmp_path, keep_all=keep_all) as checkpoints:
        for step, score in enumerate((0.1, 0.9, 0.5, 0.3), 1):
            checkpoints.save(step, {"w": np.ones(1)}, {}, validation=score)
        assert (checkpoints.steps(), checkpoints.last(), checkpoints.best()) == (kept, 4, 2)


@pytest.mark.parametrize("form", ["numbers", "typed keys, as they were written before"])
def test_typed_keys_come_back(form, checkpoints, monkeypatch):
    state = {"key": jax.random.key(7), "w": jnp.arange(3.0)}
    if form != "numbers":
        monkeypatch.setattr(checkpoint, "host", lambda tree: tree)
        monkeypatch.setattr(checkpoint, "bare", lambda x: x)
    checkpoints.save(2, state, {}, validation=0.5)
    back = checkpoints.restore(2, jax.eval_shape(lambda: state))["key"]
    assert back.dtype == state["key"].dtype
    np.testing.assert_array_equal(jax.random.key_data(back), jax.random.key_data(state["key"]))


def test_a_full_disk_leaves_the_earlier_checkpoint_and_nothing_half_written(checkpoints, tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(FolderError, match=r"cannot be written \(.*\); make room there and go on with --resume") as caught:
            checkpoints.save(2, STATE, {"classes": 10}, validation=0.6)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "\n" not in str(caught.value)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["1"]
    np.testing.assert_array_equal(checkpoints.restore(1, STATE)["w"], STATE["w"])
    checkpoints.save(2, STATE, {"classes": 10}, validation=0.6)
    assert checkpoints.last() == 2


def test_what_threads_still_write_into_is_deleted_in_the_end(tmp_path, monkeypatch):
    delete, calls = checkpoint.shutil.rmtree, []

    def late(path, **options):
        calls.append(path)
        if len(calls) > 2:
            delete(path, **options)

    monkeypatch.setattr(checkpoint.shutil, "rmtree", late)
    (tmp_path / "half").mkdir()
    checkpoint.remove(tmp_path / "half")
    assert not (tmp_path / "half").exists()
    assert len(calls) == 3


@pytest.mark.parametrize("damage", [lambda content: content[: len(content) // 2], lambda content: b"", lambda content: b"x" * len(content)])
def test_a_damaged_checkpoint_is_named_and_what_another_process_is_writing_stays(damage, checkpoints, tmp_path):
    unfinished = tmp_path / "checkpoints" / "2.orbax-checkpoint-tmp"
    unfinished.mkdir()
    for path in (tmp_path / "checkpoints" / "1" / "state").rglob("*"):
        if path.is_file():
            path.write_bytes(damage(path.read_bytes()))
    with Checkpoints(tmp_path / "checkpoints") as reopened, pytest.raises(FolderError, match=r"cannot be read \(.*; delete .*/1 to use"):
        reopened.restore(1, STATE)
    assert unfinished.exists()
    checkpoints.save(2, STATE, {}, validation=0.5)
    assert not unfinished.exists()


def test_the_checkpoint_of_another_network_is_named(checkpoints):
    with pytest.raises(FolderError, match="cannot be read"):
        checkpoints.restore(1, {"w": jnp.zeros(6), "other": jnp.zeros(3)})


def test_a_checkpoint_that_does_not_fit_the_device_is_not_called_damaged(checkpoints, monkeypatch):
    def full(*_, **__):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory")

    monkeypatch.setattr(jax, "make_array_from_single_device_arrays", full)
    with pytest.raises(jax.errors.JaxRuntimeError, match=r"^RESOURCE_EXHAUSTED"):
        checkpoints.restore(1, STATE)
