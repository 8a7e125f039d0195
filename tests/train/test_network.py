"""Encoder and heads in a row; micro-batches: the loss of the whole batch and its gradient, at the memory of a part."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from sslx import losses
from sslx.models import MLP, Head
from sslx.train import Network, apply_views, init


class Plain(nn.Module):
    """An encoder without batch norm."""

    @nn.compact
    def __call__(self, x, *, train=False):
        return nn.tanh(nn.Dense(7, param_dtype=jnp.float64)(x.reshape(len(x), -1)))


PIXELS = jnp.asarray(np.random.default_rng(0).uniform(size=(2, 12, 3, 3, 1)))
HEAD = Head(8, 5, layers=1, bias=False)


def wide(network):
    return jax.tree.map(lambda x: x.astype(jnp.float64), init(network, jax.random.key(0), PIXELS[0]))


def value_and_grad(network, variables, parts):
    def loss(params):
        out, stats = apply_views(network, {**variables, "params": params}, PIXELS, parts)
        return losses.vicreg(*out.z)[0], stats

    return jax.jit(jax.value_and_grad(loss, has_aux=True))(variables["params"])


def test_the_gradient_in_parts_is_that_of_the_whole_batch():
    network = Network(Plain(), HEAD)
    variables = wide(network)
    whole, parts = (value_and_grad(network, variables, n) for n in (1, 3))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12), parts, whole)


def test_batch_norm_sees_a_part():
    network = Network(MLP((6,)), HEAD)
    variables = wide(network)
    out, stats = apply_views(network, variables, PIXELS, 2)
    want = variables
    for rows in (slice(0, None, 2), slice(1, None, 2)):
        part, new = apply_views(network, want, PIXELS[:, rows])
        want = {**want, "batch_stats": new}
        np.testing.assert_allclose(out.z[:, rows], part.z, rtol=1e-9)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9), stats, want["batch_stats"])


def test_heads_follow_each_other_and_their_batch_norm_sees_the_batch_in_training_alone():
    network = Network(Plain(), Head(8, 5), Head(8, 5))
    variables = wide(network)
    for train in (True, False):
        (features, z, p), _ = network.apply(variables, PIXELS[0], train=train, mutable=["batch_stats"])
        for name, x, got in (("projector", features, z), ("predictor", z, p)):
            own = {kind: tree[name] for kind, tree in variables.items()}
            np.testing.assert_allclose(got, Head(8, 5).apply(own, x, train=train, mutable=["batch_stats"])[0], rtol=1e-9)
    np.testing.assert_allclose(network.apply(variables, PIXELS[0])[2], p, rtol=1e-9)
