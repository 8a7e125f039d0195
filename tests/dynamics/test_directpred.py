"""The flows of a trained predictor against autodiff of both layers, and against training them."""

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
    s, p = jnp.asarray([0.3, 1.2]), jnp.asarray([0.5, 0.2])
    w, u = reference.network(jax.random.key(3), s, 3)
    force, force_p = forces(w, u * p @ u.T, 0.9 * w)
    s_dot = jnp.diagonal(u.T @ (force @ w.T + w @ force.T) @ u)
    p_dot = jnp.diagonal(u.T @ force_p @ u)
    np.testing.assert_allclose(flow.velocity(jnp.stack([p, s])), jnp.stack([p_dot, s_dot]), rtol=1e-9)
    fixed = flow.fixed_points(jnp.stack([p, s]))
    assert fixed.shape == (3, 2, 2)
    np.testing.assert_allclose(flow.velocity(fixed), 0, atol=1e-15)
    _, middle, end = fixed
    assert dynamics.linear_stability(flow, middle).max() > 0 > dynamics.linear_stability(flow, end).max()
    np.testing.assert_allclose(dynamics.collapse_threshold(flow), 0.81 / (4 * 1.09))


def test_target_network():
    """All three matrices by autodiff; s dtau/dt = b (1 - tau) s - tau (ds/dt)/2 for tau = w_a/w; the fixed points are at rest."""
    flow = dynamics.directpred_ema(rate=0.4, **SETTING)
    p, w, w_a = jnp.asarray([[0.5, 0.2], [0.6, 1.1], [0.4, 1.3]])
    online, u = reference.network(jax.random.key(3), w**2, 3)
    target = u * (w_a / w) @ u.T @ online
    force, force_p = forces(online, u * p @ u.T, target)
    w_dot = jnp.diagonal(u.T @ force @ online.T @ u) / w
    state = jnp.stack([p, w, w_a])
    velocity = flow.velocity(state)
    np.testing.assert_allclose(velocity, jnp.stack([jnp.diagonal(u.T @ force_p @ u), w_dot, 0.4 * (w - w_a)]), rtol=1e-9)
    tau, s = w_a / w, w**2
    tau_dot = (velocity[2] - tau * velocity[1]) / w
    np.testing.assert_allclose(s * tau_dot, 0.4 * (1 - tau) * s - tau * w * velocity[1], rtol=1e-12)
    np.testing.assert_allclose(flow.velocity(flow.fixed_points(state)), 0, atol=1e-15)
    assert flow.fixed_points(state).shape == (3, 3, 2)


def test_eigenspaces_align_at_the_given_rate():
    """d/dt [F, W_p] = -[F, W_p] K - K [F, W_p] by autodiff, if the predictor's gradient is symmetrised; otherwise not."""
    w = jax.random.normal(jax.random.key(4), (3, 3))
    w_p = jax.random.normal(jax.random.key(5), (3, 3))
    w_p = (w_p + w_p.T) / 3

    def commutator(f, w_p):
        return f @ w_p - w_p @ f

    force, force_p = forces(w, w_p, 0.9 * w)
    f, f_dot = w @ w.T, force @ w.T + w @ force.T
    rate = dynamics.alignment_rate(f, w_p, tau=0.9, **SETTING)
    c = commutator(f, w_p)

    def moved(p_dot):
        return jax.jvp(commutator, (f, w_p), (f_dot, p_dot))[1]

    np.testing.assert_allclose(moved((force_p + force_p.T) / 2), -c @ rate - rate @ c, rtol=1e-9, atol=1e-12)
    assert jnp.max(jnp.abs(moved(force_p) + c @ rate + rate @ c)) > 0.05 * jnp.max(jnp.abs(c))


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_balanced_flow_is_the_closed_form_on_the_parabola(weight_decay):
    """s = p^2/a stays so, and p follows the closed form; p_- parts the basins of collapse and of learning."""
    setting = {"tau": 0.9, "noise": 0.3, "weight_decay": weight_decay}
    balanced, pair = dynamics.directpred_balanced(**setting), dynamics.directpred(predictor_lr=0.7, **setting)
    edge = dynamics.collapse_boundary(balanced, jnp.ones(1))[0]
    p_minus = (0.9 - np.sqrt(0.81 - 4 * weight_decay * 1.09)) / 2.18
    np.testing.assert_allclose(edge, p_minus, atol=1e-15)
    p = jnp.asarray([0.9 * p_minus + 0.01 * (weight_decay == 0), 1.1 * p_minus + 0.02, 0.5, 1.5])
    t = jnp.asarray([1.0, 6.0, 40.0])
    path = reference.integrate(pair, t, jnp.stack([p, p**2 / 0.7]))
    np.testing.assert_allclose(path[:, 0], balanced.solution(t, p), rtol=1e-8)
    np.testing.assert_allclose(path[:, 1], path[:, 0] ** 2 / 0.7, rtol=1e-8)
    assert bool(balanced.solution(1e6, p)[0] < 1e-9) is (weight_decay > 0)
    assert dynamics.collapse_threshold(balanced) == dynamics.collapse_threshold(pair)


def test_training_both_layers_follows_the_closed_form_at_first_order():
    """Plain gradient descent on W and W_p from a balanced start, t = learning_rate steps: error in log-log slope 1 +- 0.1."""
    p = jnp.asarray([0.3, 0.8])
    w0, u = reference.network(jax.random.key(3), p**2 / 0.7, 3)
    exact = dynamics.directpred_balanced(noise=0.3, weight_decay=0.02).solution(4.0, p)
    rates, errors = np.asarray([0.04, 0.02, 0.01]), []
    for rate in rates:

        def step(weights, _, rate=rate):
            force, force_p = forces(*weights, weights[0])
            return (weights[0] + rate * force, weights[1] + rate * force_p), None

        (_, w_p), _ = jax.lax.scan(step, (w0, u * p @ u.T), length=round(4 / rate))
        errors.append(np.max(np.abs(jnp.linalg.eigvalsh(w_p) - exact)))
    np.testing.assert_allclose(np.polyfit(np.log(rates), np.log(errors), 1)[0], 1, atol=0.1)
