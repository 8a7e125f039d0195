"""The closed-form optima are where training of an actual linear network ends."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize

from sslx import dynamics
from sslx.dynamics._toy_losses import laplacian_vicreg, quartic_landscape, unnormalised_barlow_twins

KEYS = jax.random.split(jax.random.key(0), 6)
X = np.asarray(jax.random.normal(KEYS[0], (40, 5)))
X2 = X + 0.3 * np.asarray(jax.random.normal(KEYS[1], (40, 5)))

optimum = jax.jit(dynamics.quartic_optimum, static_argnums=2)


def trained(loss, shape):
    """Where the gradient of autodiff vanishes, and the loss there."""
    start = 0.5 * np.asarray(jax.random.normal(KEYS[2], shape))
    f = jax.jit(jax.value_and_grad(loss))

    def value_and_gradient(w):
        value, gradient = f(w.reshape(shape))
        return float(value), np.asarray(gradient).ravel()

    end = minimize(value_and_gradient, start.ravel(), jac=True, tol=1e-11)
    return end.x.reshape(shape), end.fun


def test_a_linear_network_under_the_barlow_twins_loss_ends_at_the_quartic_optimum():
    """B = 2 Gamma, S = Gamma, the constant d added: W^T W = V Gamma^{-1} V^T over the top directions, loss 0."""
    gamma = (X.T @ X2 + X2.T @ X) / 80
    w, loss = trained(lambda w: unnormalised_barlow_twins(X @ w.T, X2 @ w.T), (2, 5))
    best, degenerate = (optimum(2 * gamma, gamma, width) for width in (5, 2))
    np.testing.assert_allclose(best.strengths, 2, rtol=1e-12)
    np.testing.assert_allclose(best.gram, np.linalg.inv(gamma), rtol=1e-9)
    np.testing.assert_allclose(float(degenerate.loss) + 2, loss, atol=1e-12)
    np.testing.assert_allclose(w @ gamma @ w.T, np.eye(2), atol=1e-6)


@pytest.mark.parametrize("width", [2, 4])
def test_quartic_optimum_is_where_training_ends(width):
    """Width 2 keeps the two strongest of three directions; width 4 all three, and loses a dimension to collapse."""
    b = np.asarray(jax.random.normal(KEYS[3], (5, 5)))
    b = b + b.T
    s = X.T @ X / 40 + 0.3 * np.eye(5)
    w, loss = trained(lambda w: quartic_landscape(w, jnp.asarray(b), jnp.asarray(s)), (width, 5))
    best = optimum(b, s, width)
    positive = np.sum(np.asarray(best.strengths) > 0)
    assert positive == 3
    np.testing.assert_allclose(best.loss, loss, rtol=1e-10)
    np.testing.assert_allclose(best.gram, w.T @ w, atol=1e-6)
    assert np.linalg.matrix_rank(best.gram, rtol=1e-8) == min(width, positive)
    np.testing.assert_array_equal(optimum(-s, s, width).gram, 0)  # no direction is worth its cost: full collapse


@pytest.mark.parametrize("linear", [False, True])
def test_laplacian_optimum_is_where_training_ends(linear):
    """Free embeddings, and those of a linear network, on a path of 9 points; the last dimension collapses."""
    links = np.diag(np.ones(8), 1)
    laplacian = np.diag((links + links.T).sum(0)) - links - links.T
    inputs = np.asarray(jax.random.normal(KEYS[4], (9, 5))) if linear else None
    design = np.eye(9) - 1 / 9 if inputs is None else inputs - inputs.mean(0)
    gamma = 0.6
    w, loss = trained(lambda w: laplacian_vicreg(design @ w, jnp.asarray(laplacian), gamma), (design.shape[1], 4))

    @jax.jit
    def compute(laplacian, inputs):
        z = dynamics.laplacian_optimum(laplacian, gamma, 4, inputs=inputs)
        return z, laplacian_vicreg(z, laplacian, gamma), dynamics.laplacian_optimum(laplacian, 1e3, 4, inputs=inputs)

    z, best, collapsed = map(np.asarray, compute(laplacian, inputs))
    np.testing.assert_allclose(best, loss, rtol=1e-10)
    np.testing.assert_allclose(z @ z.T, design @ w @ w.T @ design.T, atol=1e-5)
    np.testing.assert_allclose(z.sum(0), 0, atol=1e-12)
    sizes = np.linalg.norm(z, axis=0)
    assert sizes[0] > 0.5
    np.testing.assert_array_equal(collapsed, 0)


def test_laplacian_optimum_of_small_weights():
    """gamma L is what counts."""
    pairs = np.kron(np.eye(2), [[1.0, -1.0], [-1.0, 1.0]])
    grams = [z.T @ z / 4 for z in (dynamics.laplacian_optimum(jnp.asarray(scale * pairs), 0.1 / scale, 3) for scale in (1.0, 1e-30))]
    np.testing.assert_allclose(*map(np.linalg.eigvalsh, grams), rtol=1e-12)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: dynamics.quartic_optimum(jnp.eye(3), jnp.eye(4), 2), r"s must have shape \[3, 3\], got \(4, 4\)"),
        (lambda: dynamics.quartic_optimum(jnp.eye(3), jnp.eye(3), 0), "width must be an integer of at least 1, got 0"),
        (lambda: dynamics.laplacian_optimum(jnp.eye(3), -1.0, 2), "gamma must be >= 0, got -1.0"),
        (lambda: dynamics.laplacian_optimum(jnp.eye(3), 1.0, 3), "width must be at most 2 for 3 points"),
        (lambda: dynamics.laplacian_optimum(jnp.eye(3), 1.0, 1, inputs=jnp.ones((4, 2))), r"inputs \(4, 2\), one row per point"),
    ],
)
def test_bad_input_is_told_apart(call, message, without_typing_hook):
    with pytest.raises(ValueError, match=message):
        call()
