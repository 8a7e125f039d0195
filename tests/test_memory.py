"""Out of device memory: one line that says which batch size fits, or that the images can be streamed."""

import dataclasses
import re

import jax
import pytest

from sslx import console, memory, run, speed
from sslx.presets import preset

SMALL = preset("digits-vicreg", model="mlp", projector=(16, 8), steps=2, batch_size=64)


def test_the_batch_is_halved_until_it_fits():
    assert memory.fitting_batch(lambda size: 10 * size, 512, 8, 1300) == 128
    assert memory.fitting_batch(lambda size: 10 * size, 24, 8, 80) == 8
    assert memory.fitting_batch(lambda size: 10 * size, 24, 8, 79) is None


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


def test_another_error_is_not_taken_for_it(tmp_path, monkeypatch):
    def fail(*_):
        raise jax.errors.JaxRuntimeError("INTERNAL: something else")

    monkeypatch.setattr(run, "fit", fail)
    with pytest.raises(jax.errors.JaxRuntimeError, match="something else"):
        run.pretrain(SMALL, out=tmp_path / "run")
