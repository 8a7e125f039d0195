"""The flow of a trained predictor against autodiff of both layers."""

import jax
import jax.numpy as jnp
import numpy as np

import reference_dynamics as reference
from sslx import dynamics


def test_directpred_is_the_gradient_flow_of_both_layers():
    """dp/dt and ds/dt from autodiff of 1/2 ||W_p W x_1 - tau W x_2||^2 in W and W_p, with decay; the fixed points are at rest."""
    flow = dynamics.directpred(predictor_lr=0.7, tau=0.9, noise=0.3, weight_decay=0.02)
    s, p = jnp.asarray([0.3, 1.2]), jnp.asarray([0.5, 0.2])
    w, u = reference.network(jax.random.key(3), s, 3)
    w_p = u * p @ u.T
    x, xi_1, xi_2 = reference.gaussian_batch(3)

    def loss(w, w_p):
        error = (x + 0.3 * xi_1) @ (w_p @ w).T - jax.lax.stop_gradient(0.9 * (x + 0.3 * xi_2) @ w.T)
        return jnp.mean(jnp.sum(error**2, axis=1)) / 2

    g, g_p = jax.grad(loss, argnums=(0, 1))(w, w_p)
    force = -g - 0.02 * w
    s_dot = jnp.diagonal(u.T @ (force @ w.T + w @ force.T) @ u)
    p_dot = jnp.diagonal(u.T @ (-0.7 * g_p - 0.02 * w_p) @ u)
    np.testing.assert_allclose(flow.velocity(jnp.stack([p, s])), jnp.stack([p_dot, s_dot]), rtol=1e-9)
    fixed = flow.fixed_points(jnp.stack([p, s]))
    assert fixed.shape == (3, 2, 2)
    np.testing.assert_allclose(flow.velocity(fixed), 0, atol=1e-15)
    _, middle, end = fixed
    assert dynamics.linear_stability(flow, middle).max() > 0 > dynamics.linear_stability(flow, end).max()
    np.testing.assert_allclose(dynamics.collapse_threshold(flow), 0.81 / (4 * 1.09))
