"""Paths next to a fixed point."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sslx import dynamics
from sslx.dynamics._neighbourhood import riccati

DYING = {
    "plain": (dynamics.euclidean, 0.5),
    "IsoLoss": (dynamics.iso_euclidean, 2.0),
    "no stop-gradient": (partial(dynamics.euclidean_no_stop_gradient, noise=(0.3, 0.5)), 0.2),
    "wrong side": (dynamics.euclidean_wrong_stop_gradient, 0.2),
}  # flow and weight decay


@pytest.mark.parametrize(("bend", "exact"), [(1.0, np.tan), (-1.0, np.tanh)])
def test_a_parabola_without_slope_is_a_tangent(bend, exact):
    """dx/dt = 1 +- x^2 from 0, to rounding where the series of tanh ends, |r t| = 0.02."""
    time = 0.00999
    np.testing.assert_allclose(riccati(*map(jnp.asarray, (1.0, 0.0, bend, time, 0.0))), exact(time), rtol=1e-15)


@pytest.mark.parametrize("name", DYING)
@pytest.mark.parametrize("start", [1e-8, 1e-3])
def test_derivatives_of_a_mode_that_dies_keep_their_digits(name, start):
    """However far below the rounding of 1 they are: the state is proportional to e^{-decay t}, decay in units of 2 alpha."""
    (flow, decay), times, start = DYING[name], jnp.array([20.0, 50.0, 90.0]), jnp.float64(start)

    @jax.jit
    def derivatives(decay, start):
        def states(decay, start):
            return flow(alpha=1.0, weight_decay=decay).solution(times, start[None])[:, 0]

        return states(decay, start), *jax.jacfwd(states, (0, 1))(decay, start)

    lam, by_decay, by_start = derivatives(decay, start)
    velocity = flow(alpha=1.0, weight_decay=decay).velocity
    np.testing.assert_allclose(by_start, velocity(lam) / velocity(start[None]), rtol=1e-9)
    np.testing.assert_allclose(by_decay, -2 * times * lam, rtol=10 * start)
    assert by_start[-1] < 1e-30
