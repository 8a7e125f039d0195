"""What every loss promises on several devices: value and gradient of the whole batch on one, and a mutant without collectives is caught.

Every loss is held to it on four devices; on other numbers of them and over a mesh one loss of each way of sharing a batch.
"""

import functools
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from loss_programs import CASES, EVERY_LOSS, D, N, batch, compiled, values_and_gradients, worst
from sslx import collectives

R = np.random.default_rng(2)
PARAMETERS, INPUTS = R.normal(size=(7, D)), [R.normal(size=(N, 7)) + shift for shift in (0.2, -0.1)]


def network(x):
    return np.tanh(x @ PARAMETERS) + x @ PARAMETERS


def gradient_of_parameters(gradients, inputs):
    """Of the network's parameters, [7, D], by the chain rule from the gradients of its outputs."""
    return sum(x.T @ ((1 + 1 / np.cosh(x @ PARAMETERS) ** 2) * g) for x, g in zip(inputs, gradients, strict=True))


@functools.lru_cache
def on_one_device():
    """{name: (loss, gradient with respect to the parameters)}."""
    found = jax.device_get(compiled(*map(network, INPUTS)))
    return {name: (loss, gradient_of_parameters(gradients, INPUTS)) for name, ((loss, _), gradients) in found.items()}


def on_devices(name, count, axis_name="batch"):
    """Losses per device, and the mean over the devices of the gradients of their losses, under pmap, each device with rows of its own.

    A program for each loss: in one of them all the devices of a CPU may take independent collectives in unlike orders, and wait forever.
    """
    split = [x.reshape(count, N // count, 7) for x in INPUTS]
    step = jax.value_and_grad(lambda x: CASES[name].loss(*x, axis_name=axis_name)[0])
    spread = jax.pmap(step, axis_name=axis_name, devices=jax.devices()[:count])
    losses, gradients = jax.device_get(spread(tuple(map(network, split))))
    pulled = [gradient_of_parameters([g[i] for g in gradients], [x[i] for x in split]) for i in range(count)]
    return losses, np.mean(pulled, axis=0)


def assert_same_as_on_one_device(name, count):
    loss, gradient = on_one_device()[name]
    losses, found = on_devices(name, count)
    assert np.all(np.abs(losses - loss) <= 1e-10 * abs(loss) + 1e-12)
    assert worst(found, gradient) < 1e-8


@EVERY_LOSS
def test_value_and_gradient_on_four_devices_are_those_of_one(name):
    assert_same_as_on_one_device(name, 4)


WAYS_OF_SHARING = pytest.mark.parametrize("name", ["vicreg", "nt_xent", "w_mse", "sigreg"])  # by moments, rows, sub-batches, count


@WAYS_OF_SHARING
@pytest.mark.parametrize("count", [1, 2, 8])
def test_value_and_gradient_on_other_numbers_of_devices_are_those_of_one(name, count):
    assert_same_as_on_one_device(name, count)


@WAYS_OF_SHARING
def test_jit_over_a_mesh_is_exact_without_an_axis(name):
    mesh = jax.sharding.Mesh(np.array(jax.devices()), ("batch",))
    views = jax.device_put(batch(), jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("batch")))
    found = jax.jit(jax.value_and_grad(lambda x: CASES[name].loss(*x), has_aux=True))(views)
    assert worst(jax.device_get(found), values_and_gradients()[name]) < 1e-8


@pytest.mark.parametrize("name", ["vicreg", "w_mse"])
def test_auto_axes_take_a_loss_to_a_mesh_of_explicit_axes(name):
    spec, mesh = jax.sharding.PartitionSpec, jax.make_mesh((4,), ("batch",), devices=jax.devices()[:4])
    loss = jax.sharding.auto_axes(lambda x: CASES[name].loss(*x), out_sharding=spec())
    with jax.set_mesh(mesh):
        found = jax.jit(jax.value_and_grad(loss, has_aux=True))(jax.device_put(batch(), spec("batch")))
        assert worst(jax.device_get(found), values_and_gradients()[name]) < 1e-8


@EVERY_LOSS
def test_a_mutant_without_collectives_is_caught(name, monkeypatch):
    """A mean over samples keeps its gradient without them (the train step averages it), so there only the value gives the mutant away."""
    loss, gradient = on_one_device()[name]
    silent = SimpleNamespace(pmean=lambda x, _: x, psum=lambda x, _: x, all_gather=lambda x, *_, **__: x)
    monkeypatch.setattr(collectives, "lax", silent)
    monkeypatch.setattr(collectives, "axis_index", lambda _: 0)
    losses, found = on_devices(name, 4, "mutant")  # a name of its own, so that nothing is left of an earlier trace
    assert np.max(np.abs(losses - loss)) > 1e-3 * abs(loss)
    if CASES[name].per_sample:
        assert worst(found, gradient) < 1e-8
    else:
        assert worst(found, gradient) > 1e-3


def under_shard_map(name):
    """Loss and gradient with respect to parameters that are the same everywhere; the outputs' specification says that these are too."""
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:4]), ("batch",))
    split, same = jax.sharding.PartitionSpec("batch"), jax.sharding.PartitionSpec()

    def step(parameters, *inputs):
        def loss(p):
            return CASES[name].loss(*(jax.numpy.tanh(x @ p) + x @ p for x in inputs), axis_name="batch")[0]

        return jax.value_and_grad(loss)(parameters)

    return jax.shard_map(step, mesh=mesh, in_specs=(same, split, split), out_specs=same)


@EVERY_LOSS
def test_shard_map_sees_that_the_loss_is_the_same_on_all_devices(name):
    """What it does not see it would add up in the gradient; it looks when it traces."""
    loss, gradient = jax.eval_shape(under_shard_map(name), PARAMETERS, *INPUTS)
    assert (loss.shape, gradient.shape) == ((), PARAMETERS.shape)


@pytest.mark.parametrize("name", ["vicreg", "vicreg_pairdist", "mmcr", "w_mse"])
def test_value_and_gradient_under_shard_map_are_those_of_one_device(name):
    loss, gradient = on_one_device()[name]
    found = jax.device_get(jax.jit(under_shard_map(name))(PARAMETERS, *INPUTS))
    assert abs(found[0] - loss) <= 1e-10 * abs(loss) + 1e-12
    assert worst(found[1], gradient) < 1e-8
