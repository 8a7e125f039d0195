"""Under jax.shard_map, with its check of what is the same on all devices, every metric is that of the whole batch."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sslx import geometry

R = np.random.default_rng(0)
PARAMETERS, A, B = (jnp.asarray(R.normal(size=shape)) for shape in ((7, 5), (16, 5), (16, 5)))


def embed(p, x):
    return jnp.tanh(p @ x)


METRICS = {
    "alignment": geometry.alignment,
    "uniformity": lambda a, b, **axis: geometry.uniformity(a, batch_size=2, **axis),
    "self_cluster": lambda a, b, **axis: geometry.self_cluster(a, **axis),
    "efficiencies": lambda a, b, **axis: geometry.efficiencies(a, **axis),
    "corrected": lambda a, b, **axis: geometry.corrected_participation_ratio(a, **axis),
    "barlow_twins": geometry.barlow_twins_efficiency,
    "predictive": geometry.predictive_fisher,
    "spectra": geometry.data_metric_spectra,
    "moments": lambda a, b, **axis: geometry.update_moments(geometry.init_moments(5), a, **axis),
    "input": lambda a, b, **axis: geometry.fisher_input_operator(lambda x: embed(PARAMETERS, x), a, 0.5, batch_size=2, **axis)(B[0]),
    "output": lambda a, b, **axis: geometry.fisher_output_operator(lambda x: embed(PARAMETERS, x), a, 0.5, **axis)(PARAMETERS[:, 0]),
    "parameters": lambda a, b, **axis: geometry.fisher_parameters(embed, PARAMETERS, a, 0.5, batch_size=2, **axis),
    "parameters_operator": lambda a, b, **axis: geometry.fisher_parameters_operator(embed, PARAMETERS, a, 0.5, **axis)(PARAMETERS),
}


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_of_the_whole_batch(name):
    split, same = jax.sharding.PartitionSpec("i"), jax.sharding.PartitionSpec()
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:4]), ("i",))
    spread = jax.shard_map(lambda a, b: METRICS[name](a, b, axis_name="i"), mesh=mesh, in_specs=split, out_specs=same)
    wanted, found = jax.tree.leaves(jax.jit(METRICS[name])(A, B)), jax.tree.leaves(jax.jit(spread)(A, B))
    for one, several in zip(wanted, found, strict=True):
        np.testing.assert_allclose(several, one, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", METRICS)
def test_a_device_may_have_one_row(name):
    wanted = jax.eval_shape(METRICS[name], A, B)
    found = jax.eval_shape(jax.vmap(partial(METRICS[name], axis_name="i"), axis_name="i"), A[:, None], B[:, None])
    assert [x.shape[1:] for x in jax.tree.leaves(found)] == [x.shape for x in jax.tree.leaves(wanted)]


PRODUCTS = {
    "input": lambda p, a, **axis: geometry.fisher_input_operator(partial(embed, p), a, 0.5, **axis)(B[0]),
    "output": lambda p, a, **axis: geometry.fisher_output_operator(partial(embed, p), a, 0.5, **axis)(PARAMETERS[:, 0]),
    "parameters": lambda p, a, **axis: geometry.fisher_parameters_operator(embed, p, a, 0.5, **axis)(PARAMETERS),
}


@pytest.mark.parametrize("name", PRODUCTS)
def test_products_are_differentiated_by_what_is_the_same_on_all_devices(name):
    split, same = jax.sharding.PartitionSpec("i"), jax.sharding.PartitionSpec()
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:4]), ("i",))

    def square(p, a, **axis):
        return jnp.sum(PRODUCTS[name](p, a, **axis) ** 2)

    spread = jax.shard_map(partial(square, axis_name="i"), mesh=mesh, in_specs=(same, split), out_specs=same)
    wanted, found = (jax.jit(jax.grad(f))(PARAMETERS, A) for f in (square, spread))
    np.testing.assert_allclose(found, wanted, rtol=1e-9)
