"""Modes at 0, and the eigenvalues of a few units of rounding below it that a decomposition gives in their place."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sslx import dynamics

START = np.asarray([[-1e-16, 0.3, 0.8], [0.0, 0.3, 0.8]])


@pytest.mark.parametrize(
    "flow",
    [
        dynamics.euclidean(weight_decay=0.1),
        dynamics.euclidean_normalised(noise=(0.1, 0.1)),
        dynamics.euclidean_no_predictor(noise=(0.1, 0.1)),
        dynamics.cosine_linearised(),
    ],
)
def test_below_zero_is_zero(flow):
    """To every field of a flow of eigenvalues; the mode rests, and nothing it does depends on how far below 0 it is."""

    @jax.jit
    def compute(start):
        slope = jax.jacfwd(lambda x: flow.solution(50.0, x))(start)[:, 0]
        times = None if flow.arrival is None else flow.arrival(0.5, start)
        return slope, (flow.solution(50.0, start), flow.velocity(start), flow.invariant(1.0, start), flow.fixed_points(start), times)

    (slope, below), (_, zero) = map(compute, START)
    jax.tree.map(np.testing.assert_array_equal, below, zero)
    np.testing.assert_array_equal(slope, 0)
    assert below[0][0] == 0
    assert np.isfinite(below[0]).all()


def test_where_hyper_parameters_are_transformed():
    end = jax.vmap(lambda eta: dynamics.euclidean(weight_decay=eta).solution(50.0, jnp.asarray(START[0])))(jnp.asarray([0.1]))
    assert end[0, 0] == 0


def test_the_live_modes_of_a_cosine_flow_end_at_their_mean():
    flow = dynamics.iso_cosine_mean_field()
    end = np.mean(START[0, 1:] ** 1.5) ** (1 / 1.5)
    np.testing.assert_allclose(flow.fixed_points(START[0])[0], [0, end, end], rtol=1e-12)
    np.testing.assert_allclose(dynamics.integrate(flow, 60.0, START[0], rtol=1e-6), [0, end, end], rtol=1e-4, atol=1e-15)
