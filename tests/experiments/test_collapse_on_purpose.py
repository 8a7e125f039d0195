"""Runs that are made to collapse: each has a loss that can be taken of two views, its predictor left out or its gradient misplaced."""

import importlib.util
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from sslx import methods
from sslx.methods import Online

SCRIPT = Path(__file__).resolve().parents[2] / "experiments" / "barlow_efficiency" / "collapse_on_purpose.py"
WIDTH = 4


@pytest.fixture(scope="module")
def faulty():
    known = dict(methods.METHODS)
    spec = importlib.util.spec_from_file_location("collapse_on_purpose", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module.FAULTY
    methods.METHODS.clear()
    methods.METHODS.update(known)


def test_every_fault_has_a_loss_and_keeps_its_state(faulty):
    views = jax.ShapeDtypeStruct((2, 8, WIDTH), jnp.float32)
    for make, _ in faulty.values():
        method = make(steps=1).build_method()
        state = method.init_state(WIDTH)
        loss = partial(method.loss, axis_name=None)
        value, _, after = jax.eval_shape(loss, Online(views, views), views, state, jax.random.key(0), jnp.array(0))
        assert value.shape == ()
        assert jax.tree.map(jnp.shape, after) == jax.tree.map(jnp.shape, state)
