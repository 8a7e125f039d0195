"""Ground truth for the flows: velocities in plain arithmetic, an exact time integral, and autodiff on an actual linear network."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
from scipy.integrate import solve_ivp

from sslx import dynamics, losses
from sslx.dynamics._simulate import exact_batch


def kappa(sigma):
    return 1 + mpmath.mpf(sigma) ** 2


def cubic(alpha, a, b, c):
    """-2 alpha lam (a lam^2 - b lam + c) in high precision."""
    alpha, a, b, c = (mpmath.mpf(x) for x in (alpha, a, b, c))
    return lambda lam: -2 * alpha * lam * (a * lam**2 - b * lam + c)


# flow, its velocity written out, and where the modes of START end
START = np.asarray([1e-8, 1e-3, 0.2, 0.7, 1.3, 4.0])
SOLVED = {
    "euclidean": (dynamics.euclidean(), cubic(0.5, 1, 1, 0), [1] * 6),
    "euclidean noise": (dynamics.euclidean(alpha=0.3, noise=(0.1, 0.2)), cubic(0.3, kappa(0.1), 1, 0), [1 / 1.01] * 6),
    "euclidean decay": (
        dynamics.euclidean(alpha=1.0, noise=(0.2, 0.0), weight_decay=1e-4),
        cubic(1, kappa(0.2), 1, 1e-4),
        [0] + [(1 + (1 - 4 * 1.04 * 1e-4) ** 0.5) / 2.08] * 5,
    ),
    "euclidean threshold": (dynamics.euclidean(weight_decay=0.25), cubic(0.5, 1, 1, 0.25), [0, 0, 0, 0.5, 0.5, 0.5]),
    "euclidean above": (dynamics.euclidean(weight_decay=0.3), cubic(0.5, 1, 1, 0.3), [0] * 6),
    "iso": (
        dynamics.iso_euclidean(alpha=0.7, noise=(0.3, 0.1)),
        lambda x: mpmath.mpf(1.4 / 2) * 2 * x * (1 - kappa(0.3) * x),
        [1 / 1.09] * 6,
    ),
    "iso decay": (dynamics.iso_euclidean(weight_decay=0.4), lambda x: x * (1 - x - mpmath.mpf(0.4)), [0.6] * 6),
    "iso collapse": (dynamics.iso_euclidean(weight_decay=1.5), lambda x: x * (1 - x - mpmath.mpf(1.5)), [0] * 6),
    "no stop": (dynamics.euclidean_no_stop_gradient(), cubic(0.5, 1, 2, 1), [0, 0, 0, 0, 1, 1]),
    "no stop noise": (dynamics.euclidean_no_stop_gradient(noise=(0.1, 0.05)), cubic(0.5, kappa(0.1), 2, kappa(0.05)), [0] * 6),
    "wrong stop": (dynamics.euclidean_wrong_stop_gradient(noise=(0.1, 0.3)), lambda x: x * (x - kappa(0.3)), [0, 0, 0, 0, np.inf, np.inf]),
    "no predictor": (dynamics.euclidean_no_predictor(noise=(0.3, 0.2)), lambda x: -2 * mpmath.mpf(0.3) ** 2 * x, [0] * 6),
    "balanced": (
        dynamics.directpred_balanced(tau=0.9, noise=0.2, weight_decay=0.1),
        cubic(0.5, kappa(0.2), 0.9, 0.1),
        [0, 0] + [(0.9 + (0.81 - 0.4 * 1.04) ** 0.5) / 2.08] * 4,
    ),
    "normalised": (
        dynamics.euclidean_normalised(noise=(0.1, 0.0)),
        lambda x: x * (1 - x) * (kappa(0.1) * x + mpmath.mpf(0.1) ** 2),
        [1] * 6,
    ),
    "iso normalised": (dynamics.iso_euclidean_normalised(alpha=1.0, noise=(0.1, 0.0)), lambda x: 2 * kappa(0.1) * x * (1 - x), [1] * 6),
}


def relative_error(velocity, t, lam0, lam):
    """|lam(t)/lam - 1| to first order, from the exact time integral: (t - Int_{lam0}^{lam} dx/v) v(lam)/lam, in 30 digits."""
    with mpmath.workdps(30):
        low, high = mpmath.log(mpmath.mpf(lam0)), mpmath.log(mpmath.mpf(lam))
        pieces = mpmath.linspace(low, high, int(abs(high - low) / 2) + 2)

        def integrand(u):
            x = mpmath.exp(u)
            return x / velocity(x)

        elapsed = mpmath.quad(integrand, pieces)
        return abs(float((mpmath.mpf(t) - elapsed) * velocity(mpmath.mpf(lam)) / mpmath.mpf(lam)))


def integrate(flow, times, start):
    """An adaptive integration that knows only the velocity."""
    velocity = jax.jit(lambda x: flow.velocity(x.reshape(start.shape)).ravel())
    path = solve_ivp(lambda _, x: np.asarray(velocity(x)), (0, float(times[-1])), np.ravel(start), "LSODA", times, rtol=1e-12, atol=1e-13)
    return path.y.T.reshape(len(times), *start.shape)


@partial(jax.jit, static_argnames="inputs")
def network(key, s, inputs):
    """W = U diag(s)^{1/2} V^T with random U, V, and U."""
    keys = jax.random.split(key)
    u, _ = jnp.linalg.qr(jax.random.normal(keys[0], (len(s), len(s))))
    v, _ = jnp.linalg.qr(jax.random.normal(keys[1], (inputs, len(s))))
    return u * jnp.sqrt(s) @ v.T, u


def autodiff_velocity(loss, s, batch, *, noise=(0.0, 0.0), weight_decay=0.0, predictor=None, key=None):
    """U^T dF/dt U of gradient flow on half of `loss`(z1, z2, W_P): the diagonal is ds/dt, the rest is 0 where modes decouple."""
    key = jax.random.key(3) if key is None else key
    w, u = network(key, s, batch.shape[-1])

    def objective(w, u, s, batch):
        x, xi_1, xi_2 = batch
        w_p = u * predictor(s) @ u.T
        return loss((x + noise[0] * xi_1) @ w.T, (x + noise[1] * xi_2) @ w.T, w_p) / 2

    @jax.jit
    def moved(w, u, s, batch):
        force = -jax.grad(objective)(w, u, s, batch) - weight_decay * w
        return u.T @ (force @ w.T + w @ force.T) @ u

    return moved(w, u, s, batch)


def power(alpha):
    return lambda s: s**alpha


def circle(points=400):
    """Equally spaced directions in the plane: exact moments of every loss that ignores the length of x, and no noise."""
    angle = 2 * np.pi * np.arange(points) / points
    x = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return np.stack([x, x, x])


@cache
def gaussian_batch(inputs):
    return np.asarray(jax.jit(lambda key: exact_batch(key, inputs, jnp.float64))(jax.random.key(5)))


EUCLIDEAN_LOSSES = {
    name: (lambda a, b, p, kind=kind: losses.euclidean(a @ p, b, stop_gradient=kind)[0])
    for name, kind in (("target", "target"), ("none", "none"), ("online", "online"))
} | {"iso": lambda a, b, p: losses.iso_euclidean(a, b, p)[0]}
COSINE_LOSSES = {
    "cosine": lambda a, b, p: losses.cosine(a @ p, b)[0],
    "none": lambda a, b, p: losses.cosine(a @ p, b, stop_gradient="none")[0],
    "iso": lambda a, b, p: losses.iso_cosine(a, b, p)[0],
}
