"""The flows of InfoNCE against autodiff of the loss on networks of one and two layers, and what happens without their conditions."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

from sslx import dynamics
from sslx.dynamics._toy_losses import unnormalised_infonce

KEYS = jax.random.split(jax.random.key(0), 6)
X_A, X_B = (np.asarray(jax.random.normal(key, (20, 4))) for key in KEYS[:2])
X_B = X_A + [0.5, 0.5, 3.0, 3.0] * X_B
U, V, R = (np.linalg.qr(jax.random.normal(key, (4, 4)))[0] for key in KEYS[2:5])
S_1, S_2 = np.asarray([0.9, 0.6, 0.4, 0.2]), np.asarray([0.5, 0.7, 0.1, 0.8])
GRADIENT = jax.jit(jax.grad(lambda w: unnormalised_infonce(X_A @ w.T, X_B @ w.T)))
MATRIX = jax.jit(dynamics.infonce_matrix)


def test_one_layer_velocity_is_the_gradient_of_the_loss():
    """dW/dt = W X, and its singular values move by v_k^T X v_k, of either sign."""
    w = U * S_1 @ V.T
    x, gradient = np.asarray(MATRIX(X_A, X_B, w)), np.asarray(GRADIENT(w))
    np.testing.assert_allclose(-gradient, w @ x, rtol=1e-9, atol=1e-11)
    rates = np.diagonal(V.T @ x @ V)
    assert rates.min() < 0 < rates.max()
    velocity = jax.jit(lambda rates, s: dynamics.infonce(rates).velocity(s))(rates, S_1)
    np.testing.assert_allclose(-np.diagonal(U.T @ gradient @ V), velocity, rtol=1e-9)


def test_the_matrix_keeps_its_digits_far_from_the_origin():
    far = [np.float32(x + 1e3) for x in (X_A, X_B)]
    wanted = MATRIX(*(x.astype(float) for x in far), np.eye(4))
    np.testing.assert_allclose(MATRIX(*far, np.float32(np.eye(4))), wanted, atol=1e-5 * np.max(np.abs(wanted)))


@jax.jit
def two_layer_velocity(rotation):
    """-U_2^T (dL/dW_2) U_1 and -U_1^T (dL/dW_1) V for W_1 = U_1 S_1 V^T, W_2 = U_2 S_2 (rotation U_1)^T."""
    w_1, w_2 = R * S_1 @ V.T, U * S_2 @ (rotation @ R).T
    g_1, g_2 = jax.grad(lambda a, b: unnormalised_infonce(X_A @ (b @ a).T, X_B @ (b @ a).T), argnums=(0, 1))(w_1, w_2)
    rates = jnp.diagonal(V.T @ MATRIX(X_A, X_B, w_2 @ w_1) @ V)
    moved = jnp.stack([-jnp.diagonal(R.T @ g_1 @ V), -jnp.diagonal(U.T @ g_2 @ rotation @ R)])
    return moved, dynamics.infonce_two_layer(rates).velocity(jnp.stack([S_1, S_2]))


def test_two_layer_velocity_is_the_gradient_of_the_loss_where_the_layers_are_aligned():
    """To 1e-9 if the right singular vectors of W_2 are the left ones of W_1, and not at all otherwise."""
    moved, velocity = two_layer_velocity(np.eye(4))
    np.testing.assert_allclose(moved, velocity, rtol=1e-9)
    turned = np.linalg.qr(np.eye(4) + 0.5 * np.asarray(jax.random.normal(KEYS[5], (4, 4))))[0]
    moved, velocity = map(np.asarray, two_layer_velocity(turned))
    assert np.max(np.abs(moved - velocity)) > 0.1 * np.max(np.abs(moved))


def test_training_follows_the_weights_while_the_softmax_hardly_moves():
    """Gradient descent on the loss departs from W(0) e^{Xt} at second order in t, where X has changed."""
    w0 = 0.3 * U * S_1 @ V.T
    x = MATRIX(X_A, X_B, w0)

    @jax.jit
    def compute(t, w0, x):
        trained, _ = jax.lax.scan(lambda w, _: (w - t / 400 * GRADIENT(w), None), w0, length=400)
        return trained, dynamics.infonce_weights(t, w0, x)

    departures = []
    for t in (2e-4, 1e-4):
        trained, predicted = map(np.asarray, compute(t, w0, x))
        departures.append(np.linalg.norm(trained - predicted))
    assert departures[0] < 0.01 * np.linalg.norm(trained - w0)
    np.testing.assert_allclose(departures[0] / departures[1], 4, rtol=0.1)


def test_weights_from_any_start():
    """They solve dW/dt = W X, follow the flow of single modes where they are aligned, and lose rank where X is negative."""
    rates = np.asarray([1.0, 0.3, -0.5, -2.0])
    x = V * rates @ V.T
    w0 = np.asarray(jax.random.normal(KEYS[5], (3, 4)))
    t = np.asarray([0.0, 0.8, 20.0])

    @jax.jit
    def compute(t, w0, x, w1):
        w, rate = jax.jvp(lambda t: dynamics.infonce_weights(t, w0, x), (t,), (jnp.ones(3),))
        return w, rate, dynamics.infonce_weights(0.8, w1, x), dynamics.infonce(rates).solution(0.8, S_1)

    w, rate, aligned, modes = map(np.asarray, compute(t, w0, x, U * S_1 @ V.T))
    np.testing.assert_allclose(w[0], w0, rtol=1e-12)
    np.testing.assert_allclose(rate, w @ x, rtol=1e-9, atol=1e-9)
    values = np.linalg.svd(w[2], compute_uv=False)
    assert values[1] > 100
    assert values[2] < 1e-3
    np.testing.assert_allclose(np.diagonal(U.T @ aligned @ V), modes, rtol=1e-12)


def test_two_layer_solution_in_high_precision_and_its_blow_up():
    """From the time integral of du/dt = 2 x u (u - c), u = s1^2; from equal starts s0^2/(1 - 2 s0^2 x t); infinite when it should be."""
    rates = np.asarray([0.7, -0.7, 0.4, 0.4, 0.7])
    state = np.asarray([[0.8, 0.8, 0.5, 1e-6, 1.0], [0.3, 1.1, 0.5, 1.5, 0.0]])
    solution = jax.jit(lambda t, state: dynamics.infonce_two_layer(rates).solution(t, state))
    lam = np.asarray(solution(1.3, state))
    with mpmath.workdps(30):
        for k in (0, 1, 3):
            u0, c = mpmath.mpf(float(state[0, k])) ** 2, mpmath.mpf(float(state[0, k])) ** 2 - mpmath.mpf(float(state[1, k])) ** 2
            u, x = mpmath.mpf(float(lam[0, k])) ** 2, mpmath.mpf(float(rates[k]))
            elapsed = mpmath.quad(lambda v, c=c, x=x: 1 / (2 * x * v * (v - c)), [u0, u])
            assert abs(float((elapsed - mpmath.mpf(1.3)) * x * (u - c))) < 1e-12
    np.testing.assert_allclose(lam[:, 2], 0.5 / np.sqrt(1 - 2 * 0.25 * 0.4 * 1.3), rtol=1e-14)
    np.testing.assert_array_equal(lam[:, 4], [1.0, 0.0])
    end = np.log(0.8**2 / 0.3**2) / (2 * 0.7 * (0.8**2 - 0.3**2))
    assert np.isfinite(np.asarray(solution(end - 1e-9, state))[:, 0]).all()
    assert np.isposinf(np.asarray(solution(end + 1e-9, state))[:, 0]).all()


@pytest.mark.parametrize("rate", [0.5, -0.5])
def test_two_layers_that_are_nearly_balanced(rate):
    """s1^2 = s0^2/(1 - 2 x t s'^2 (e^y - 1)/y) for y = 2 x t (s0^2 - s'^2), however small."""
    for small in np.sqrt([1 - 1e-4, 1 - 9e-5, 1 - 1e-9]):
        y = 2 * rate * 0.5 * (1 - small) * (1 + small)
        lam = dynamics.infonce_two_layer(np.asarray([rate])).solution(0.5, np.asarray([[1.0], [small]]))
        np.testing.assert_allclose(lam[0], 1 / np.sqrt(1 - 2 * rate * 0.5 * small**2 * np.expm1(y) / y), rtol=1e-15)


def test_long_times():
    """Directions where the augmentation is stronger vanish, or come to rest on the hyperbola; without a NaN at 1e9 and infinity."""
    t = np.asarray([1e9, np.inf])
    state = np.asarray([[0.5, 1e-8, 0.4], [0.3, 0.2, 0.4]])
    flow = dynamics.infonce_two_layer(np.full(3, -1.0))

    @jax.jit
    def compute(state):
        one = dynamics.infonce(jnp.asarray([-1.0, 0.0, 2.0])).solution(t, jnp.full(3, 0.5))
        return one, flow.solution(t, state), flow.fixed_points(state), jax.jvp(lambda x: flow.solution(t, x), (state,), (state,))[1]

    one, lam, fixed, slope = map(np.asarray, compute(state))
    np.testing.assert_array_equal(one[1], [0.0, 0.5, np.inf])
    np.testing.assert_allclose(lam[0], fixed[0], atol=1e-4)  # equal starts vanish as t^-1/2
    np.testing.assert_allclose(lam[1], fixed[0], rtol=1e-14, atol=1e-100)
    assert np.isfinite(slope).all()


def test_a_mode_that_is_not_there_stays_away():
    """At times when the others have overflowed; its derivative in the start is e^{xt}."""
    flow = dynamics.infonce(jnp.asarray([0.5]))
    np.testing.assert_array_equal(flow.solution(np.asarray([2e3, np.inf]), np.zeros(1)), np.zeros((2, 1)))
    np.testing.assert_allclose(jax.grad(lambda s: flow.solution(1.0, s[None])[0])(0.0), np.exp(0.5))
    weights = dynamics.infonce_weights(np.inf, jnp.ones((1, 2)), jnp.diag(jnp.asarray([0.0, -1.0])))
    np.testing.assert_array_equal(weights, [[1.0, 0.0]])


def test_weights_that_no_float_holds_are_infinite():
    """Each by the direction that leads it, also where two overflow, and beside entries that stay finite."""
    t, w0 = np.asarray([1.0, 1e3, np.inf]), jnp.ones((1, 3))
    along = np.asarray(dynamics.infonce_weights(t, w0, jnp.diag(jnp.asarray([1.0, 2.0, 0.0]))))[:, 0]
    np.testing.assert_allclose(along, [[np.e, np.e**2, 1], [np.inf, np.inf, 1], [np.inf, np.inf, 1]], rtol=1e-12)
    turned = np.asarray(dynamics.infonce_weights(t, w0, jnp.asarray(V[:3, :3] @ V[:3, :3].T)))[1:, 0]
    assert np.isinf(turned).all()
    back = np.asarray(dynamics.infonce_weights(-t[:2], w0, jnp.diag(jnp.asarray([-1.0, -2.0, 0.0]))))[:, 0]
    np.testing.assert_allclose(back, along[:2], rtol=1e-12)


def test_when_a_level_is_reached():
    rates, start = np.asarray([[0.5, -0.5, 0.0], [1e-3, 0.8, 0.1]])
    time = jax.jit(lambda start: dynamics.escape_time(dynamics.infonce(rates), start))(start)
    np.testing.assert_allclose(time, [2 * np.log(500), 2 * np.log(1.6), np.inf], rtol=1e-14)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: dynamics.infonce_matrix(X_A, X_B[:3], jnp.eye(4)), r"x_a and x_b must have one shape \[N, d\]"),
        (lambda: dynamics.infonce_matrix(X_A, X_B, jnp.eye(3)), r"w must have shape \[M, 4\], got \(3, 3\)"),
        (lambda: dynamics.infonce_weights(1.0, jnp.eye(3), jnp.eye(4)), r"matrix must have shape \[3, 3\], got \(4, 4\)"),
    ],
)
def test_bad_input_is_told_apart(call, message, without_typing_hook):
    with pytest.raises(ValueError, match=message):
        call()
