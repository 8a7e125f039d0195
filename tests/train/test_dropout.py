"""Dropout: masks of their own for every view, micro-batch, step, device under `pmap` and the target network; none in inference."""

from typing import NamedTuple

import flax
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn

from cheap_view import brighten
from sslx import parallel
from sslx.collectives import all_gather_if
from sslx.methods import HeadSize, Method
from sslx.train import Batch, Network, apply_views, create_state, init, make_step

N, WIDTH = 16, 64
IMAGES = jnp.asarray(np.random.default_rng(0).uniform(size=(N, 2, 2, 1)), jnp.float32)
BATCH = Batch(np.asarray(IMAGES), np.zeros(N, np.int32))


class Masked(nn.Module):
    """0 where dropout struck and 2 elsewhere."""

    @nn.compact
    def __call__(self, x, *, train=False):
        gain = self.param("gain", nn.initializers.ones, (), jnp.float32)
        return nn.Dropout(0.5)(gain * jnp.ones((len(x), WIDTH)), deterministic=not train)


class Same(nn.Module):
    """No head."""

    def __call__(self, x, *, train=False):
        return x


class Terms(NamedTuple):
    """A number for every row of online and target embeddings, over all views and devices, the same where the masks are."""

    codes: jax.Array


def code_rows(online, target, state, key, step, axis_name):
    z = jnp.concatenate([*online.z, *target])
    return jnp.mean(z), Terms(all_gather_if(z, axis_name) @ jnp.sqrt(jnp.arange(1.0, WIDTH + 1))), state


METHOD = Method(code_rows, projector=HeadSize(hidden=WIDTH, out=WIDTH), target="ema")
NETWORK = Network(Masked(), Same())


def codes(mode, devices, micro_batches=1):
    """The codes of two steps, [2, 4 N]."""
    lift = parallel.lift(mode, devices)
    rule = optax.sgd(0.0)
    step = make_step(NETWORK, METHOD, rule, [brighten] * 2, total_steps=5, micro_batches=micro_batches, axis_name=lift.axis_name)
    state = create_state(jax.random.key(1), init(NETWORK, jax.random.key(0), IMAGES), rule, {}, has_target=True)
    lifted, state, found = lift.step(step), lift.replicate(state), []
    for _ in range(2):
        state, metrics = lifted(state, Batch(*lift.shard(BATCH)))
        found.append(np.ravel(metrics["codes"])[: 4 * N])
    return np.stack(found)


@pytest.mark.parametrize(("mode", "devices", "micro_batches"), [("jit", 1, 4), ("jit", 2, 1), ("pmap", 2, 1)])
def test_every_row_of_every_step_has_a_mask_of_its_own(mode, devices, micro_batches):
    assert len(np.unique(codes(mode, devices, micro_batches))) == 2 * 4 * N


def test_a_mesh_draws_the_masks_of_one_device():
    np.testing.assert_allclose(codes("jit", 2), codes("jit", 1), rtol=1e-6)


def test_without_a_key_there_is_no_dropout_to_draw():
    variables = init(NETWORK, jax.random.key(0), IMAGES)
    np.testing.assert_array_equal(NETWORK.apply(variables, IMAGES, method="features"), 1)
    with pytest.raises(flax.errors.InvalidRngError, match="dropout"):
        apply_views(NETWORK, variables, IMAGES[None])
