"""Projector and predictor heads."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sslx.models import Head


def run(head, z):
    tree = jax.tree.map(lambda leaf: leaf.astype(z.dtype), jax.jit(head.init)(jax.random.key(0, impl="unsafe_rbg"), z))
    return tree, jax.jit(partial(head.apply, train=True, mutable=["batch_stats"]))(tree, z)[0]


@pytest.mark.parametrize(
    ("head", "parameters"),
    [
        (Head(hidden=5, out=3), 4 * 5 + 2 * 5 + 5 * 3 + 3),
        (Head(hidden=5, out=3, layers=3, bias=False), 4 * 5 + 2 * 5 + 5 * 5 + 2 * 5 + 5 * 3),
        (Head(hidden=5, out=3, final_norm=True), 4 * 5 + 2 * 5 + 5 * 3),
        (Head(out=3, layers=1), 4 * 3 + 3),
    ],
    ids=["two", "three", "final-norm", "linear"],
)
def test_layers_and_biases_are_as_described(head, parameters):
    z = jax.random.normal(jax.random.key(1), (7, 4), jnp.float64)
    tree, out = run(head, z)
    assert out.shape == (7, 3)
    assert sum(leaf.size for leaf in jax.tree.leaves(tree["params"])) == parameters


def test_a_head_equals_its_formula():
    z = jax.random.normal(jax.random.key(1), (7, 4), jnp.float64)
    tree, out = run(Head(hidden=5, out=3), z)
    params = tree["params"]
    hidden = z @ params["Dense_0"]["kernel"]
    hidden = jax.nn.relu((hidden - hidden.mean(0)) / jnp.sqrt(hidden.var(0) + 1e-5))
    np.testing.assert_allclose(out, hidden @ params["Dense_1"]["kernel"] + params["Dense_1"]["bias"], rtol=1e-9, atol=1e-12)


def test_the_final_norm_standardises_the_output():
    z = jax.random.normal(jax.random.key(1), (32, 4), jnp.float64)
    _, out = run(Head(hidden=16, out=3, final_norm=True), z)
    np.testing.assert_allclose(out.mean(0), 0, atol=1e-12)
    np.testing.assert_allclose(out.var(0), 1, rtol=1e-3)
