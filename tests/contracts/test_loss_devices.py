"""What every loss promises on several devices: value and gradient of the whole batch on one, and a mutant without collectives is caught."""

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


def on_devices(count, axis_name="batch"):
    """{name: (losses per device, mean over the devices of the gradients of their losses)} under pmap, each device with rows of its own.

    A program for each loss: in one of them all the devices of a CPU may take independent collectives in unlike orders, and wait forever.
    """
    split = [x.reshape(count, N // count, 7) for x in INPUTS]
    views = tuple(map(network, split))

    def one(case):
        step = jax.value_and_grad(lambda x: case.loss(*x, axis_name=axis_name)[0])
        losses, gradients = jax.device_get(jax.pmap(step, axis_name=axis_name, devices=jax.devices()[:count])(views))
        pulled = [gradient_of_parameters([g[i] for g in gradients], [x[i] for x in split]) for i in range(count)]
        return losses, np.mean(pulled, axis=0)

    return {name: one(case) for name, case in CASES.items()}


@pytest.fixture(scope="module", params=[1, 2, 4, 8])
def spread(request):
    return on_devices(request.param)


@EVERY_LOSS
def test_value_and_gradient_are_those_of_one_device(name, spread):
    loss, gradient = on_one_device()[name]
    losses, found = spread[name]
    assert np.all(np.abs(losses - loss) <= 1e-10 * abs(loss) + 1e-12)
    assert worst(found, gradient) < 1e-8


@pytest.fixture(scope="module")
def over_a_mesh():
    mesh = jax.sharding.Mesh(np.array(jax.devices()), ("batch",))
    rows = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("batch"))
    views = jax.device_put(batch(), rows)
    return {
        name: jax.device_get(jax.jit(jax.value_and_grad(lambda x, case=case: case.loss(*x), has_aux=True))(views))
        for name, case in CASES.items()
    }


@EVERY_LOSS
def test_jit_over_a_mesh_is_exact_without_an_axis(name, over_a_mesh):
    assert worst(over_a_mesh[name], values_and_gradients()[name]) < 1e-8


@pytest.fixture(scope="module")
def mutants():
    """Every loss on 4 devices with its collectives taken out."""
    silent = SimpleNamespace(pmean=lambda x, _: x, psum=lambda x, _: x, all_gather=lambda x, *_, **__: x)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(collectives, "lax", silent)
        patch.setattr(collectives, "axis_index", lambda _: 0)
        return on_devices(4, "mutant")  # a name of its own, so that nothing is left of an earlier trace


@EVERY_LOSS
def test_a_mutant_without_collectives_is_caught(name, mutants):
    """A mean over samples keeps its gradient without them (the train step averages it), so there only the value gives the mutant away."""
    loss, gradient = on_one_device()[name]
    losses, found = mutants[name]
    assert np.max(np.abs(losses - loss)) > 1e-3 * abs(loss)
    if CASES[name].per_sample:
        assert worst(found, gradient) < 1e-8
    else:
        assert worst(found, gradient) > 1e-3
