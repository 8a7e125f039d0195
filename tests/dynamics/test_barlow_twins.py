"""Stepwise learning: the aligned flow against autodiff, half-rise times, and the start that a small generic one behaves like."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp

from sslx import dynamics
from sslx.dynamics._toy_losses import unnormalised_barlow_twins

X, X2 = (np.asarray(jax.random.normal(jax.random.key(k), (60, 5))) * [2.0, 1.5, 1.0, 0.7, 0.4] for k in (0, 1))
X2 = X + 0.4 * X2
GAMMA = (X.T @ X2 + X2.T @ X) / 120


def test_velocity_is_the_projected_gradient_of_the_loss():
    """Eigenvalues of either sign, no coupling."""
    signed = GAMMA - 0.3 * np.eye(5)
    gamma, v = np.linalg.eigh(signed)
    assert gamma[0] < 0 < gamma[1]
    u, _ = np.linalg.qr(jax.random.normal(jax.random.key(2), (5, 5)))
    s = np.asarray([0.2, 0.5, 0.9, 0.3, 1.1])

    def loss(w):
        return jnp.sum((w @ signed @ w.T - jnp.eye(5)) ** 2)

    @jax.jit
    def compute(w):
        return jax.grad(loss)(w), dynamics.barlow_twins(gamma).velocity(s), unnormalised_barlow_twins(X @ w.T, X2 @ w.T)

    w = u * s @ v.T
    gradient, velocity, value = map(np.asarray, compute(w))
    np.testing.assert_allclose(-u.T @ gradient @ v, np.diag(velocity), rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(value, np.sum((w @ GAMMA @ w.T - np.eye(5)) ** 2), rtol=1e-12)


def test_half_rise_times():
    """At tau_j = ln(1/(gamma s^2) - 1)/(8 gamma) the eigenvalue of C is 1/2; modes that cannot be learned never get there."""
    gamma, s0 = np.asarray([3.0, 0.5, -1.0, 0.0]), np.asarray([1e-8, 1e-3, 0.5, 0.5])

    @jax.jit
    def compute(s0):
        flow = dynamics.barlow_twins(gamma)
        tau = dynamics.escape_time(flow, s0)
        return tau, flow.solution(tau[:2], s0)

    tau, lam = map(np.asarray, compute(s0))
    np.testing.assert_allclose(tau[:2], np.log(1 / (gamma * s0**2)[:2] - 1) / (8 * gamma[:2]), rtol=1e-12)
    assert np.all(np.isinf(tau[2:]))
    np.testing.assert_allclose(np.diagonal(gamma * lam**2), 0.5, rtol=1e-12)


def test_limits_and_derivatives_at_any_time():
    """gamma^{-1/2} or 0 at t = 1e9 from 1e-8 and from the fixed point; d/dt, d/ds0 and d/dgamma finite."""
    gamma = np.asarray([2.0, 1e-3, -1.0, 0.0, 2.0])
    s0 = np.asarray([1e-8, 1e-8, 0.5, 0.5, 2.0**-0.5])
    end = [2.0**-0.5, 1e-3**-0.5, 0.0, 0.5, 2.0**-0.5]
    times = np.asarray([0.0, 1.0, 1e9])

    @jax.jit
    def compute(gamma, s0):
        solve = lambda t, g, s: dynamics.barlow_twins(g).solution(t, s)  # noqa: E731
        tangents = [jax.jvp(lambda x: solve(times, gamma, x), (s0,), (jnp.ones(5),))[1]]
        tangents += [jax.jvp(lambda x: solve(times, x, s0), (gamma,), (jnp.ones(5),))[1]]
        lam, rate = jax.jvp(lambda t: solve(t, gamma, s0), (times,), (jnp.ones(3),))
        flow = dynamics.barlow_twins(gamma)
        return lam, rate, *tangents, flow.velocity(lam), flow.velocity(s0)

    lam, rate, *tangents, velocity, at_start = map(np.asarray, compute(gamma, s0))
    np.testing.assert_allclose(lam[-1], end, rtol=1e-12, atol=1e-300)
    np.testing.assert_allclose(rate, velocity, rtol=1e-9, atol=1e-14)
    assert all(np.isfinite(t).all() for t in tangents)
    np.testing.assert_allclose(tangents[0][1][:3], velocity[1][:3] / at_start[:3], rtol=1e-9)
    np.testing.assert_allclose(tangents[0][1][4], np.exp(-16), rtol=1e-9)  # at the fixed point, e^{-8 gamma t}


def test_at_the_edges_of_gamma_and_the_start():
    """d/dgamma at 0 is 4 t s0, d/ds0 at 0 is e^{4 gamma t}, the solution is odd, and a start whose square underflows still arrives."""

    @jax.jit
    def compute(gamma, s0, small):
        solve = lambda g, s: dynamics.barlow_twins(g).solution(3.0, s)  # noqa: E731
        slopes = (
            jax.jvp(lambda g: solve(g, s0), (0 * gamma,), (jnp.ones(1),))[1],
            jax.jvp(lambda s: solve(gamma, s), (0 * s0,), (jnp.ones(1),))[1],
        )
        return slopes, solve(gamma, s0), solve(gamma, -s0), dynamics.barlow_twins(jnp.float32([0.5])).solution(np.float32([0, 300]), small)

    slopes, there, odd, arrived = compute(np.array([0.5]), np.array([0.3]), np.float32([1e-20]))
    np.testing.assert_allclose(slopes, [[3.6], [np.exp(6)]], rtol=1e-12)
    np.testing.assert_array_equal(odd, -there)
    np.testing.assert_allclose(arrived[:, 0], [1e-20, 2**0.5], rtol=1e-5)


def test_small_generic_start_behaves_like_its_aligned_one():
    """U diag(s(t)) V^T approaches the flow of the whole matrix at the rate a^min(1 - gamma_{j+1}/gamma_j) as W(0) = a W_0 shrinks."""
    gamma = np.asarray([4.0, 2.0, 0.8])
    matrix = np.diag(gamma)
    w = np.asarray(jax.random.normal(jax.random.key(4), (2, 3)))
    init, solution = jax.jit(dynamics.barlow_twins_init), jax.jit(lambda t, s0: dynamics.barlow_twins(gamma[:2]).solution(t, s0))
    gradient = jax.jit(lambda w: -4 * (w @ matrix @ w.T - jnp.eye(2)) @ w @ matrix)
    scales, errors = (1e-2, 1e-4), []
    for scale in scales:
        s0, u, v = map(np.asarray, init(scale * w, matrix))
        np.testing.assert_allclose(u @ u.T, np.eye(2), atol=1e-14)
        assert np.all(s0 > 0)
        times = np.linspace(0, 3, 60)
        path = solve_ivp(
            lambda _, y: np.asarray(gradient(y.reshape(2, 3))).ravel(), (0, 3), np.ravel(scale * w), "DOP853", times, rtol=1e-9, atol=1e-12
        )
        aligned = np.einsum("ij,tj,kj->tik", u, solution(times, s0), v)
        errors.append(np.max(np.linalg.norm(path.y.T.reshape(-1, 2, 3) - aligned, axis=(1, 2))))
    slope = np.log(errors[0] / errors[1]) / np.log(scales[0] / scales[1])
    np.testing.assert_allclose(slope, 0.5, atol=0.1)


def test_training_follows_the_solution_at_first_order():
    """Gradient descent on the loss of an actual linear network, t = learning_rate steps: error in log-log slope 1 +- 0.1."""
    gamma, v = np.linalg.eigh(GAMMA)
    s0 = np.asarray([0.3, 0.2, 0.4, 0.1, 0.05])
    gradient = jax.grad(lambda w: unnormalised_barlow_twins(X @ w.T, X2 @ w.T))
    exact = np.asarray(jax.jit(lambda s0: dynamics.barlow_twins(gamma).solution(0.2, s0))(s0))
    trained = jax.jit(lambda rate, steps: jax.lax.fori_loop(0, steps, lambda _, w: w - rate * gradient(w), s0[:, None] * v.T))
    rates = np.asarray([4e-3, 2e-3, 1e-3])
    errors = [np.max(np.abs(np.diagonal(np.asarray(trained(rate, round(0.2 / rate))) @ v) - exact)) for rate in rates]
    np.testing.assert_allclose(np.polyfit(np.log(rates), np.log(errors), 1)[0], 1, atol=0.1)


def test_kernel_form_agrees_with_the_primal_one():
    """gamma, the components of a new input and the final embedding to 1e-12, from the kernel alone."""
    gamma, v = (a[..., ::-1] for a in np.linalg.eigh(GAMMA))
    points = np.concatenate([X, X2])
    new = np.asarray(jax.random.normal(jax.random.key(7), (9, 5)))

    @jax.jit
    def compute(kernel):
        gamma, components = dynamics.barlow_twins_kernel(kernel, 4)
        return gamma, components, dynamics.barlow_twins(gamma).fixed_points(gamma)[1]

    got, components, final = map(np.asarray, compute(points @ points.T))
    np.testing.assert_allclose(got, gamma[:4], rtol=1e-12)
    primal, dual = v[:, :4].T @ new.T, components @ points @ new.T
    sign = np.sign(np.sum(primal * dual, axis=1, keepdims=True))  # eigenvectors have none
    np.testing.assert_allclose(sign * dual, primal, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(sign * final[:, None] * dual, primal / np.sqrt(gamma[:4, None]), rtol=1e-12, atol=1e-12)


def test_bad_input_is_told_apart(without_typing_hook):
    with pytest.raises(ValueError, match=r"w0 must have shape \[d, N\] with d <= N, got \(4, 3\)"):
        dynamics.barlow_twins_init(jnp.ones((4, 3)), jnp.eye(3))
    flow = dynamics.barlow_twins(jnp.ones(2))
    for call in (flow.velocity, partial(flow.solution, 1.0), partial(flow.invariant, 1.0), flow.fixed_points, partial(flow.arrival, 0.5)):
        with pytest.raises(ValueError, match=r"s must have shape \[\.\.\., 2\], got \(3,\); give one number for each gamma"):
            call(jnp.ones(3))
    with pytest.raises(ValueError, match="gamma_matrix must have shape"):
        dynamics.barlow_twins_init(jnp.ones((2, 3)), jnp.eye(4))
    with pytest.raises(ValueError, match=r"kernel must be \[2n, 2n\] with 2n >= modes, got \(3, 3\) and modes=1"):
        dynamics.barlow_twins_kernel(jnp.eye(3), 1)
