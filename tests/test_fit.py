"""Training a run: the same whichever way the images come, and whether seeds are trained side by side or in turn."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cheap_view import brighten
from sslx import augment, data, feed as feeds, parallel, speed
from sslx.assemble import assemble, initial_state, inputs_of
from sslx.config import ConfigError
from sslx.fit import Recorder, build_step, cadence, fit, step_flops
from sslx.folder import SPEED
from sslx.presets import preset

CONFIG = preset("digits-vicreg", model="mlp", projector=(8, 4), steps=12, checkpoint_every=4, batch_size=256, optimizer="sgd", seed=3)
VIEWS = []
BYTES = 1437 * 8 * 8  # of the images to train on


def noted(key, images, index):
    """A cheap view that is written down where it is traced."""
    VIEWS.append(images.shape)
    return brighten(key, images, index)


class Notes(Recorder):
    """A recorder that keeps what it hears."""

    def __init__(self, config):
        self.config, self.logged, self.validated = config, [], []

    def log(self, step, metrics):
        self.logged.append((step, {k: v for k, v in metrics.items() if k not in SPEED}))

    def validate(self, step, state):
        self.validated.append(step)


@pytest.fixture(scope="module")
def parts():
    """Digits in runs of 12 steps with two epochs and a bit, on one device, with views that cost little to compile."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(augment.RECIPES, "digits", (noted, noted))
        yield assemble(CONFIG)._replace(lift=parallel.lift("jit", 1))


def train(parts, *configs):
    """Parameters and notes of each run, in float64."""
    notes = [Notes(config) for config in configs]
    states = [wide(initial_state(config, inputs_of(parts.dataset), parts.optimizer)) for config in configs]
    VIEWS.clear()
    states, speed = fit(parts, notes, states, 0)
    assert min(speed.values()) > 0
    assert speed["images_per_second"] * speed["seconds_per_epoch"] == pytest.approx(len(configs) * 5 * 256)  # of 1437 images
    assert len(VIEWS) == (4 if parts.lift.axis_name else 2)  # two views: without an axis one trace serves program and operations
    return [jax.device_get((state.params, state.batch_stats)) for state in states], [(n.logged, n.validated) for n in notes]


def wide(state):
    return jax.tree.map(lambda x: x.astype(jnp.float64) if jnp.issubdtype(x.dtype, jnp.floating) else x, state)


@pytest.fixture(scope="module")
def from_host(parts):
    return train(parts, dataclasses.replace(CONFIG, feed="host"))


@pytest.mark.parametrize(
    ("backend", "limit", "grain", "chosen"),
    [
        ("cpu", None, True, "host"),
        ("gpu", 2 * BYTES + 2, True, "resident"),
        ("gpu", 2 * BYTES, True, "stream"),
        ("gpu", 2**10, False, "host"),
        ("gpu", None, False, "resident"),
    ],
)
def test_where_the_images_lie(backend, limit, grain, chosen, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    monkeypatch.setattr(speed, "memory_limit", lambda: limit)
    monkeypatch.setattr(feeds, "has_grain", lambda: grain)
    assert feeds.choose(CONFIG, data.load("digits")) == chosen
    feeds.check_feed(CONFIG)
    if not grain:
        with pytest.raises(ConfigError, match="streaming needs grain, which is not installed; pip install grain, or leave out --stream"):
            feeds.check_feed(dataclasses.replace(CONFIG, feed="stream"))


@pytest.mark.parametrize("feed", ["resident", "stream"])
def test_on_one_device_the_images_may_come_any_way(parts, from_host, feed):
    states, notes = train(parts, dataclasses.replace(CONFIG, feed=feed))
    if feed == "stream":  # the same program; the scanned one is the same to the bit as users compile it, see tests/train/test_resident.py
        jax.tree.map(np.testing.assert_array_equal, states, from_host[0])
        assert notes == from_host[1]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12), states, from_host[0])
    assert notes[0][1] == from_host[1][0][1] == [4, 8, 12]
    for (step, metrics), (wanted_step, wanted) in zip(notes[0][0], from_host[1][0][0], strict=True):
        assert (step, metrics) == (wanted_step, pytest.approx(wanted, rel=1e-9, abs=1e-12))


@pytest.mark.parametrize("feed", ["host", "resident"])
def test_seeds_side_by_side_are_the_seeds_in_turn(parts, from_host, feed):
    configs = [dataclasses.replace(CONFIG, feed=feed, seed=seed) for seed in (3, 4)]
    states, notes = train(parts, *configs)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12), states[0], from_host[0][0])
    assert np.isclose(notes[0][0][-1][1]["loss"], from_host[1][0][0][-1][1]["loss"], rtol=1e-9)
    assert notes[0][0] != notes[1][0]


def test_devices_under_pmap_train_the_run_of_one(parts, from_host):
    states, notes = train(parts._replace(lift=parallel.lift("pmap", 2)), dataclasses.replace(CONFIG, feed="host"))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12), states, from_host[0])
    assert notes[0][0][-1][1] == pytest.approx(from_host[1][0][0][-1][1], rel=1e-9, abs=1e-12)


def test_the_operations_of_a_step_do_not_depend_on_how_it_is_shared_out(parts):
    def operations(lift, **changes):
        config, mine = dataclasses.replace(CONFIG, **changes), parts._replace(lift=lift)
        state = initial_state(config, inputs_of(parts.dataset), parts.optimizer)
        step = build_step(config, mine, axis_name=lift.axis_name)
        return step_flops(config, mine, step, state, lift.replicate(state).step.sharding)

    whole = operations(parts.lift)
    assert whole > 0
    assert operations(parallel.lift("pmap", 4)) == operations(parts.lift, micro_batches=2) == whole


@pytest.mark.parametrize(
    ("every", "steps", "start", "want"),
    [
        (None, 800, 0, (20, 100)),
        (50, 800, 100, (10, 50)),
        (4, 12, 4, (4, 4)),
        (None, 97, 0, (1, 13)),
        (None, 150, 0, (10, 20)),
        (None, 4, 0, (4, 4)),
        (20, 100, 35, (5, 20)),
    ],
)
def test_one_program_serves_every_call(every, steps, start, want):
    chunk, save_every = cadence(every, steps, start)
    assert (chunk, save_every) == want
    assert steps % chunk == save_every % chunk == start % chunk == 0
