"""Gradient descent on a linear network follows the flows, at first order in the learning rate."""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import reference_dynamics as reference
from sslx import dynamics
from sslx.dynamics._simulate import exact_batch

W0, _ = reference.network(jax.random.key(1), np.asarray([0.2, 0.5, 1.6]), 3)
NOISE = (0.3, 0.2)
TRACKED = {
    "target": dynamics.euclidean(alpha=1.0, noise=NOISE, weight_decay=0.02),
    "iso": dynamics.iso_euclidean(alpha=1.0, noise=NOISE, weight_decay=0.02),
}


@pytest.mark.parametrize("name", TRACKED)
def test_gradient_descent_follows_the_closed_form_at_first_order(name):
    """t = 2 learning_rate steps, decay 2 eta; over the whole path up to t = 1.6, in log-log slope 1 +- 0.1.

    Extrapolated to a vanishing rate the paths meet the closed form at second order.
    """
    rates, solution = np.asarray([0.01, 0.005, 0.0025]), jax.jit(TRACKED[name].solution)
    paths, errors = [], []
    for k, rate in enumerate(rates):
        steps = round(0.8 / rate)
        path = dynamics.simulate(
            jax.random.key(0), W0, reference.EUCLIDEAN_LOSSES[name], predictor=lambda f: f, noise=NOISE, learning_rate=rate, steps=steps,
            weight_decay=0.04,
        )  # fmt: skip
        assert path.shape == (steps + 1, 3)
        path = np.asarray(path)
        departure = path - np.asarray(solution(2 * rate * np.arange(steps + 1), path[0]))
        errors.append(np.max(np.abs(departure)))
        paths.append(departure[:: 2**k])
    slope = np.polyfit(np.log(rates), np.log(errors), 1)[0]
    assert abs(slope - 1) < 0.1
    extrapolated = [np.max(np.abs(2 * fine - coarse)) for coarse, fine in itertools.pairwise(paths)]
    np.testing.assert_allclose(extrapolated[0] / extrapolated[1], 4, rtol=0.1)


def test_fresh_samples_follow_it_within_their_noise():
    path = np.asarray(
        dynamics.simulate(
            jax.random.key(0), W0, reference.COSINE_LOSSES["iso"], predictor=lambda f: f, learning_rate=0.05, steps=40, batch_size=2000
        )
    )
    end = jax.jit(lambda start: dynamics.integrate(dynamics.iso_cosine(alpha=1.0), 4.0, start, rtol=1e-5))(path[0])
    np.testing.assert_allclose(path[-1], end, rtol=0.04)
    assert np.max(np.abs(path[-1] - path[0])) > 0.3


def test_what_is_recorded_can_be_chosen():
    run = partial(
        dynamics.simulate, jax.random.key(0), W0, reference.EUCLIDEAN_LOSSES["iso"], predictor=lambda f: f, learning_rate=0.1, steps=2
    )
    weights = run(record=lambda w: w)
    np.testing.assert_array_equal(weights[0], W0)
    np.testing.assert_allclose(np.linalg.svd(weights, compute_uv=False)[:, ::-1] ** 2, run(), atol=1e-12)


def test_fixed_batch_has_exact_moments():
    batch = np.asarray(jax.jit(lambda key: exact_batch(key, 4, jnp.float64))(jax.random.key(2)))
    moments = np.einsum("abi,cbj->acij", batch, batch) / 12
    np.testing.assert_allclose(moments, np.einsum("ac,ij->acij", np.eye(3), np.eye(4)), atol=1e-14)


def test_integrate_takes_times_in_any_order_and_shape():
    flow = dynamics.euclidean()
    t = np.asarray([[3.0, 0.0], [1.0, 3.0]])
    start = np.asarray([0.2, 1.4])
    path, closed = jax.jit(lambda t, start: (dynamics.integrate(flow, t, start), flow.solution(t, start)))(t, start)
    np.testing.assert_allclose(path, closed, atol=1e-8)
    t[0, 1] = np.nan
    unknown = np.asarray(dynamics.integrate(flow, t, start))
    assert np.isnan(unknown[0, 1]).all()
    np.testing.assert_allclose(unknown[t > 0], closed[t > 0], atol=1e-8)
    assert dynamics.integrate(flow, np.zeros((3, 0)), start).shape == (3, 0, 2)
    with pytest.raises(ValueError, match=r"t must be >= 0, got -2\.0; for times before"):
        dynamics.integrate(flow, np.asarray([np.nan, -2.0]), start)


def test_integrate_in_the_precision_of_the_start():
    """Whatever that of the flow's own parameters."""
    flow = dynamics.infonce(jnp.asarray([0.5], jnp.float64))
    end = dynamics.integrate(flow, np.float32(1), np.float32([0.3]))
    assert end.dtype == jnp.float32
    np.testing.assert_allclose(end, 0.3 * np.exp(0.5), rtol=1e-4)


def test_integrate_far_out_with_the_implicit_method(caplog):
    """From one start, and then from another, for which nothing is compiled."""
    flow = dynamics.euclidean()
    for start in (np.asarray([1e-4, 1.4]), np.asarray([2e-4, 1.3])):
        with jax.log_compiles():
            caplog.clear()
            np.testing.assert_allclose(dynamics.integrate(flow, 1e6, start, stiff=True, rtol=1e-6), 1.0, atol=1e-5)
    assert "Finished XLA compilation" not in caplog.text


def test_parameters_may_be_mapped_but_not_differentiated():
    """A derivative through the stop-gradients of every step would be wrong: -0.65 by the noise here, where differences say -0.41."""

    def end(sigma, rate=0.01, w0=W0):
        loss = reference.EUCLIDEAN_LOSSES["target"]
        path = dynamics.simulate(jax.random.key(0), w0, loss, predictor=lambda f: f, noise=(sigma, 0.1), learning_rate=rate, steps=20)
        return path[-1, -1]

    np.testing.assert_allclose(jax.jit(jax.vmap(end))(jnp.asarray([0.3, 0.4])), [end(0.3), end(0.4)], rtol=1e-12)
    for argument in range(3):
        with pytest.raises(TypeError, match="simulate has no derivative: it trains with stop-gradients"):
            jax.grad(end, argument)(0.3, 0.01, W0)


@pytest.mark.parametrize(
    ("error", "changes", "message"),
    [
        (ValueError, {"w0": jnp.ones(3)}, r"w0 must have shape \[M, N\], got \(3,\)"),
        (TypeError, {"w0": jnp.ones((2, 3), int)}, "w0 must be floating-point"),
        (ValueError, {"steps": 0}, "steps must be an integer of at least 1, got 0"),
        (ValueError, {"steps": 2.5}, "steps must be an integer of at least 1, got 2.5"),
        (ValueError, {"noise": (0.1, -0.1)}, "noise must be two standard deviations >= 0"),
        (ValueError, {"batch_size": 0}, "batch_size must be an integer of at least 1, got 0"),
        (ValueError, {"noise": 0.1}, "noise must be two standard deviations >= 0, .online, target., got 0.1"),
    ],
)
def test_bad_input_is_told_apart(error, changes, message, without_typing_hook):
    good = {"w0": jnp.ones((2, 3)), "loss": lambda a, b, p: jnp.sum(a), "predictor": lambda f: f, "learning_rate": 0.1, "steps": 2}
    with pytest.raises(error, match=message):
        dynamics.simulate(jax.random.key(0), **good | changes)
