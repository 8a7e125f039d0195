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


@pytest.mark.parametrize(("dtype", "start"), [(np.float32, 1e-10), (np.float32, 3.0), (np.float64, 1e-25)])
def test_derivatives_of_a_logistic_that_arrives_keep_their_digits(dtype, start):
    """d lam/dt = 2 lam (c - lam), c = 1 - eta: they are those of c/(1 + (c/lam0 - 1) e^{-2 c t}), far below the rounding of lam too."""
    eta, times = 0.25, np.linspace(20.0, 55.0, 36) if dtype == np.float32 else np.linspace(45.0, 90.0, 46)
    capacity, start = 1 - eta, float(dtype(start))
    x = (capacity / start - 1) * np.exp(-2 * capacity * times)
    by_time = 2 * capacity**2 * x / (1 + x) ** 2
    by_start = by_time / (2 * start * (capacity - start))
    by_decay = -1 / (1 + x) - (2 * capacity * times - capacity / (capacity - start)) * x / (1 + x) ** 2

    def states(time, start, eta):
        return dynamics.iso_euclidean(alpha=1.0, weight_decay=eta).solution(time, start[None])[0]

    derivatives = jax.jit(jax.vmap(jax.grad(states, (0, 1, 2)), (0, None, None)))
    found = derivatives(*map(jnp.asarray, (times.astype(dtype), dtype(start), dtype(eta))))
    digits = 2e-4 if dtype == np.float32 else 1e-9
    for slope, wanted in zip(found, (by_time, by_start, by_decay), strict=True):
        np.testing.assert_allclose(slope, wanted, rtol=digits)


@pytest.mark.parametrize(("dtype", "times"), [(np.float32, [8.0, 10.0, 20.0, 50.0]), (np.float64, [15.0, 20.0, 30.0, 90.0])])
def test_second_derivatives_of_a_logistic_that_arrives(dtype, times):
    def closed_form(eta, start, time):
        return (1 - eta) / (1 + ((1 - eta) / start - 1) * jnp.exp(-2 * (1 - eta) * time))

    def state(eta, start, time):
        return dynamics.iso_euclidean(alpha=1.0, weight_decay=eta).solution(time, start[None])[0]

    found, wanted = (
        jax.jit(jax.vmap(jax.hessian(f, (0, 1)), (None, None, 0)))(*(jnp.asarray(x, kind) for x in (0.25, 2**-7, times)))
        for f, kind in ((state, dtype), (closed_form, np.float64))
    )
    np.testing.assert_allclose(found, wanted, rtol=1e-4 if dtype == np.float32 else 1e-8, atol=4 * np.finfo(dtype).eps)


@pytest.mark.parametrize("flow", [dynamics.euclidean, dynamics.directpred_balanced])
def test_a_cubic_that_arrives_for_float32_is_still_on_its_way_for_float64(flow):
    """Where both have come by other routes, their derivatives agree."""
    times = np.linspace(18.0, 36.0, 19)

    def states(time, start, decay):
        return flow(weight_decay=decay).solution(time, start[None])[0]

    derivatives = jax.jit(jax.vmap(jax.grad(states, (0, 1, 2)), (0, None, None)))
    single, double = (derivatives(*(jnp.asarray(x, dtype) for x in (times, 0.25, 0.125))) for dtype in (np.float32, np.float64))
    for found, wanted in zip(single, double, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-3)
    assert 0 < double[0][-1] < 1e-5 < double[0][0]


@pytest.mark.parametrize("start", [0.05, 0.5])
def test_a_mode_that_came_from_an_inflection_of_the_velocity(start):
    """Backwards to 1/3, where v'' = 0 at a decay of 2/9: the rate there is the velocity, until that has lost its digits."""
    flow = dynamics.euclidean(weight_decay=2 / 9)
    times = jnp.linspace(-200.0, -40.0, 9)
    lam, rates = jax.vmap(jax.value_and_grad(lambda t: flow.solution(t, np.asarray([start]))[0]))(times)
    np.testing.assert_allclose(rates, flow.velocity(lam), rtol=1e-4)


@pytest.mark.parametrize("name", DYING)
def test_derivative_by_the_decay_where_the_square_of_a_state_vanishes(name):
    """lam is proportional to e^{-2 eta t} down to the smallest floats."""
    (flow, decay), start = DYING[name], np.float32(0.01)

    def log_state(decay, time):
        return jnp.log(flow(alpha=1.0, weight_decay=decay).solution(time, start[None])[0])

    rate = -(flow(alpha=1.0, weight_decay=decay).velocity(jnp.full(1, 1e-30)) / 1e-30).item()
    times = np.linspace(45.0, 80.0, 8, dtype=np.float32) / np.float32(rate)
    found = jax.jit(jax.vmap(jax.grad(log_state), (None, 0)))(jnp.float32(decay), times)
    np.testing.assert_allclose(found, -2 * times, rtol=0.02)
