"""The flows of a trained predictor against autodiff of both layers, and against training them."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import reference_dynamics as reference
from sslx import dynamics

SETTING = {"predictor_lr": 0.7, "noise": 0.3, "weight_decay": 0.02}
BATCH = reference.gaussian_batch(3)


def loss(w, w_p, w_a):
    """1/2 ||W_p W x_1 - SG(W_a x_2)||^2."""
    x, xi_1, xi_2 = BATCH
    error = (x + 0.3 * xi_1) @ (w_p @ w).T - jax.lax.stop_gradient((x + 0.3 * xi_2) @ w_a.T)
    return jnp.mean(jnp.sum(error**2, axis=1)) / 2


@jax.jit
def forces(w, w_p, w_a):
    """dW/dt and dW_p/dt."""
    g, g_p = jax.grad(loss, argnums=(0, 1))(w, w_p, w_a)
    return -g - 0.02 * w, -0.7 * g_p - 0.02 * w_p


def test_directpred_is_the_gradient_flow_of_both_layers():
    """dp/dt and ds/dt from autodiff of 1/2 ||W_p W x_1 - tau W x_2||^2 in W and W_p, with decay; the fixed points are at rest."""
    flow = dynamics.directpred(tau=0.9, **SETTING)
    p, s = state = np.asarray([[0.5, 0.2], [0.3, 1.2]])
    w, u = map(np.asarray, reference.network(jax.random.key(3), s, 3))
    force, force_p = map(np.asarray, forces(w, u * p @ u.T, 0.9 * w))
    s_dot = np.diagonal(u.T @ (force @ w.T + w @ force.T) @ u)
    p_dot = np.diagonal(u.T @ force_p @ u)

    @jax.jit
    def compute(state):
        fixed = flow.fixed_points(state)
        _, middle, end = (dynamics.linear_stability(flow, x).max() for x in fixed)
        return flow.velocity(state), fixed, flow.velocity(fixed), middle, end

    velocity, fixed, at_rest, middle, end = compute(state)
    np.testing.assert_allclose(velocity, np.stack([p_dot, s_dot]), rtol=1e-9)
    assert fixed.shape == (3, 2, 2)
    np.testing.assert_allclose(at_rest, 0, atol=1e-15)
    assert float(middle) > 0 > float(end)
    np.testing.assert_allclose(dynamics.collapse_threshold(flow), 0.81 / (4 * 1.09))


def test_without_decay_the_fixed_point_is_the_one_that_the_start_reaches():
    """Also from p < 0, where s falls to 0 before p has turned or turns with p, and from s = 0, where nothing moves."""
    start = np.asarray([[-0.8, -0.4, 0.5, 0.0, 0.3], [0.3, 0.3, 0.0, 0.0, 0.2]])
    flow = dynamics.directpred()
    fixed_points = jax.jit(flow.fixed_points)
    (reached,) = fixed_points(start)
    np.testing.assert_allclose(reached, reference.integrate(flow, np.asarray([60.0]), start)[0], atol=1e-6)
    np.testing.assert_allclose(fixed_points(np.where(start == 0, -1e-16, start))[0], reached, atol=1e-7)  # s below 0 by rounding


def test_target_network():
    """All three matrices by autodiff; s dtau/dt = b (1 - tau) s - tau (ds/dt)/2 for tau = w_a/w; the fixed points are at rest."""
    flow = dynamics.directpred_ema(rate=0.4, **SETTING)
    p, w, w_a = state = np.asarray([[0.5, 0.2], [0.6, 1.1], [0.4, 1.3]])
    online, u = map(np.asarray, reference.network(jax.random.key(3), w**2, 3))
    target = u * (w_a / w) @ u.T @ online
    force, force_p = map(np.asarray, forces(online, u * p @ u.T, target))
    w_dot = np.diagonal(u.T @ force @ online.T @ u) / w

    @jax.jit
    def compute(state):
        fixed = flow.fixed_points(state)
        return flow.velocity(state), fixed, flow.velocity(fixed)

    velocity, fixed, at_rest = map(np.asarray, compute(state))
    np.testing.assert_allclose(velocity, np.stack([np.diagonal(u.T @ force_p @ u), w_dot, 0.4 * (w - w_a)]), rtol=1e-9)
    tau, s = w_a / w, w**2
    tau_dot = (velocity[2] - tau * velocity[1]) / w
    np.testing.assert_allclose(s * tau_dot, 0.4 * (1 - tau) * s - tau * w * velocity[1], rtol=1e-12)
    np.testing.assert_allclose(at_rest, 0, atol=1e-15)
    assert fixed.shape == (3, 3, 2)
    np.testing.assert_allclose(dynamics.collapse_threshold(flow), 1 / (4 * 1.09))


def test_eigenspaces_align_at_the_given_rate():
    """d/dt [F, W_p] = -[F, W_p] K - K [F, W_p] by autodiff, if the predictor's gradient is symmetrised; otherwise not."""

    def commutator(f, w_p):
        return f @ w_p - w_p @ f

    @jax.jit
    def compute():
        w = jax.random.normal(jax.random.key(4), (3, 3))
        w_p = jax.random.normal(jax.random.key(5), (3, 3))
        w_p = (w_p + w_p.T) / 3
        force, force_p = forces(w, w_p, 0.9 * w)
        f, f_dot = w @ w.T, force @ w.T + w @ force.T
        rate = dynamics.alignment_rate(f, w_p, tau=0.9, **SETTING)
        moved = [jax.jvp(commutator, (f, w_p), (f_dot, p_dot))[1] for p_dot in ((force_p + force_p.T) / 2, force_p)]
        return *moved, rate, commutator(f, w_p)

    symmetrised, moved, rate, c = map(np.asarray, compute())
    np.testing.assert_allclose(symmetrised, -c @ rate - rate @ c, rtol=1e-9, atol=1e-12)
    assert np.max(np.abs(moved + c @ rate + rate @ c)) > 0.05 * np.max(np.abs(c))


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_balanced_flow_is_the_closed_form_on_the_parabola(weight_decay):
    """s = p^2/a stays so, and p follows the closed form; p_- parts the basins of collapse and of learning."""
    setting = {"tau": 0.9, "noise": 0.3, "weight_decay": weight_decay}
    balanced, pair = dynamics.directpred_balanced(**setting), dynamics.directpred(predictor_lr=0.7, **setting)
    (edge,) = np.asarray(jax.jit(partial(dynamics.collapse_boundary, balanced))(np.ones(1)))
    p_minus = (0.9 - np.sqrt(0.81 - 4 * weight_decay * 1.09)) / 2.18
    np.testing.assert_allclose(edge, p_minus, atol=1e-15)
    p = np.asarray([0.9 * p_minus + 0.01 * (weight_decay == 0), 1.1 * p_minus + 0.02, 0.5, 1.5])
    t = np.asarray([1.0, 6.0, 40.0])
    path = reference.integrate(pair, t, np.stack([p, p**2 / 0.7]))
    closed = np.asarray(jax.jit(balanced.solution)(np.append(t, 1e6), p))
    np.testing.assert_allclose(path[:, 0], closed[:3], rtol=1e-8)
    np.testing.assert_allclose(path[:, 1], path[:, 0] ** 2 / 0.7, rtol=1e-8)
    assert bool(closed[3, 0] < 1e-9) is (weight_decay > 0)
    assert dynamics.collapse_threshold(balanced) == dynamics.collapse_threshold(pair)


@pytest.mark.parametrize("tau", [1e-6, 0.9, 1e6])
def test_number_of_fixed_points_at_the_threshold(tau):
    """Three below it, 0 and the double root tau/(2 (1 + sigma^2)) on it, one above it, for targets of any size."""
    threshold = dynamics.collapse_threshold(dynamics.directpred_balanced(tau=tau, noise=0.3))
    flows = [dynamics.directpred_balanced(tau=tau, noise=0.3, weight_decay=x * threshold) for x in (1 - 1e-12, 1, 1 + 1e-12)]
    below, on, above = (np.asarray(flow.fixed_points(np.ones(1)))[:, 0] for flow in flows)
    assert (len(below), len(above)) == (3, 1)
    np.testing.assert_allclose(on, [0, tau / 2.18], rtol=1e-15)


@pytest.mark.parametrize(
    "factory", [dynamics.directpred, dynamics.directpred_balanced, dynamics.directpred_ema, dynamics.euclidean_ema_target]
)
def test_by_default_every_weight_of_one_is_at_rest(factory):
    """Without noise, decay or a target of another size."""
    np.testing.assert_array_equal(factory().velocity(np.ones((3, 2))), 0)


def test_training_both_layers_follows_the_closed_form_at_first_order():
    """Plain gradient descent on W and W_p from a balanced start, t = learning_rate steps: error in log-log slope 1 +- 0.1."""
    p = np.asarray([0.3, 0.8])
    w0, u = map(np.asarray, reference.network(jax.random.key(3), p**2 / 0.7, 3))
    exact = jax.jit(dynamics.directpred_balanced(noise=0.3, weight_decay=0.02).solution)(4.0, p)

    @jax.jit
    def trained(rate, steps):
        def step(_, weights):
            force, force_p = forces(*weights, weights[0])
            return weights[0] + rate * force, weights[1] + rate * force_p

        return jax.lax.fori_loop(0, steps, step, (w0, u * p @ u.T))[1]

    rates = np.asarray([0.04, 0.02, 0.01])
    errors = [np.max(np.abs(np.linalg.eigvalsh(trained(rate, round(4 / rate))) - np.asarray(exact))) for rate in rates]
    np.testing.assert_allclose(np.polyfit(np.log(rates), np.log(errors), 1)[0], 1, atol=0.1)
