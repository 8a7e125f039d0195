"""Eigenmode flows of the Euclidean losses: each mode on its own, each solved in closed form.

Setting: a linear network z = W x, x ~ N(0, I), views x + noise_i xi_i with independent xi_i ~ N(0, I), and a predictor
W_P = F^alpha where F = W W^T = U diag(s) U^T, so that lam_m = s_m^alpha are its eigenvalues. The state is lam [..., M] (s where there
is no predictor). Isotropic inputs and a predictor aligned with F are conditions, not conveniences: without them the modes
do not decouple. Time is that of gradient flow at unit rate on 1/2 ||W_P z_1 - z_2||^2: plain gradient descent on the mean
squared error without the 1/2 advances t by 2 learning_rate per step, and its weight decay is 2 weight_decay.

Reference for the whole room: Halvagal, Laborieux, Zenke (2023), Implicit variance regularization in non-contrastive SSL,
arXiv 2212.04858; its closed-form eigenspace dynamics are extended here to noise, weight decay and any alpha.
"""

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from sslx.dynamics._flow import EigenFlow, bounded, grown, unless_unknown, with_modes
from sslx.dynamics._laws import hyperbolic, logistic, quadratic_bracket
from sslx.dynamics._modes import eigen_flow
from sslx.dynamics._parameters import Noise, deviations, known_negative, number, transformed, vanishes
from sslx.typing import Number


def euclidean(*, alpha: Number = 0.5, noise: Noise = (0.0, 0.0), weight_decay: Number = 0.0) -> EigenFlow:
    """Euclidean loss, stop-gradient on the target (BYOL, SimSiam and DirectPred at alpha = 1/2, DirectCopy at alpha = 1).

    d lam/dt = 2 alpha lam [lam (1 - kappa lam) - eta],  kappa = 1 + noise[0]^2,  eta = weight_decay. At eta = 0 the solution is
    lam = 1/(kappa (1 + y)), y = W_0(y0 e^{y0 - 2 alpha t/kappa}), y0 = 1/(kappa lam0) - 1, evaluated in its log domain: a mode that
    starts small waits for t = 1/(2 alpha lam0). With weight decay the time law is inverted; modes below the middle fixed point
    die, and above the threshold eta = 1/(4 kappa) all do.

    Args:
        alpha: exponent of the predictor, lam = s^alpha, s the eigenvalues of W W^T; the state is lam.
        noise: standard deviations of the augmentation noise, (online, target); only the online one matters here.
        weight_decay: eta in dW/dt = -grad - eta W.

    Raises:
        ValueError: unless alpha > 0 and the others are >= 0.

    Reference: Halvagal, Laborieux, Zenke (2023), arXiv 2212.04858, the Euclidean eigenspace dynamics.
    """
    kappa, _ = view_variances(alpha, noise, weight_decay)
    threshold = 1 / (4 * kappa)
    if vanishes(weight_decay):
        return eigen_flow(hyperbolic, 2 * alpha, 1 / kappa, threshold=threshold)
    return eigen_flow(quadratic_bracket, 2 * alpha * kappa, 1 / (2 * kappa), weight_decay / kappa, threshold=threshold)


def iso_euclidean(*, alpha: Number = 0.5, noise: Noise = (0.0, 0.0), weight_decay: Number = 0.0) -> EigenFlow:
    """Euclidean IsoLoss: every mode learns at the same rate.

    d lam/dt = 2 alpha lam (1 - kappa lam - eta), a logistic: lam = K/(1 + (K/lam0 - 1) e^{-2 alpha (1 - eta) t}), K = (1 - eta)/kappa,
    kappa = 1 + noise[0]^2. Below eta = 1 no start collapses.

    Args and errors: see `euclidean`.

    Reference: Halvagal, Laborieux, Zenke (2023), arXiv 2212.04858, the isotropic loss.
    """
    kappa, _ = view_variances(alpha, noise, weight_decay)
    return eigen_flow(logistic, 2 * alpha * kappa, (1 - weight_decay) / kappa, threshold=1.0)


def euclidean_no_stop_gradient(*, alpha: Number = 0.5, noise: Noise = (0.0, 0.0), weight_decay: Number = 0.0) -> EigenFlow:
    """Euclidean loss with gradients through both branches: every mode collapses.

    d lam/dt = -2 alpha lam (kappa_1 lam^2 - 2 lam + kappa_2 + eta), kappa_i = 1 + noise[i]^2. Without noise it is
    -2 alpha lam (1 - lam)^2: modes above 1 come to rest there, modes below fall to 0. Noise opens a bottleneck at 1/kappa_1 that
    takes about pi/(2 alpha noise) to pass (noise on one branch, small), and then everything collapses.

    Args and errors: see `euclidean`.

    Reference: Halvagal, Laborieux, Zenke (2023), arXiv 2212.04858, the ablation of stop-gradient.
    """
    kappa_1, kappa_2 = view_variances(alpha, noise, weight_decay)
    opening = noise[0] ** 2 + noise[1] ** 2 + noise[0] ** 2 * noise[1] ** 2 + kappa_1 * weight_decay  # kappa_1 (kappa_2 + eta) - 1
    return eigen_flow(quadratic_bracket, 2 * alpha * kappa_1, 1 / kappa_1, (kappa_2 + weight_decay) / kappa_1, opening / kappa_1**2)


def euclidean_wrong_stop_gradient(*, alpha: Number = 0.5, noise: Noise = (0.0, 0.0), weight_decay: Number = 0.0) -> EigenFlow:
    """Euclidean loss with the stop-gradient on the predicted branch, 1/2 ||SG(W_P z_1) - z_2||^2: collapse or blow-up.

    d lam/dt = 2 alpha lam (lam - kappa), kappa = 1 + noise[1]^2 + eta:  lam = kappa/(1 - (1 - kappa/lam0) e^{2 alpha kappa t}).
    Modes below kappa fall to 0; a mode above is infinite from t = -ln(1 - kappa/lam0)/(2 alpha kappa) on.

    Args and errors: see `euclidean`.

    Reference: Halvagal, Laborieux, Zenke (2022), the workshop version of arXiv 2212.04858.
    """
    _, kappa = view_variances(alpha, noise, weight_decay)
    return eigen_flow(logistic, -2 * alpha, kappa + weight_decay)


def euclidean_no_predictor(*, noise: Noise = (0.0, 0.0), stop_gradient: bool = True) -> EigenFlow:
    """Euclidean loss without a predictor (W_P = I): static without noise, a slow collapse with it.

    The state is s, the eigenvalues of W W^T.  ds/dt = -r s with r = 2 noise[0]^2, or without stop-gradient
    r = 2 (noise[0]^2 + noise[1]^2).  The invariant is e^{rt} sum_m s_m; with r = 0 every state is a fixed point.

    Args:
        noise: standard deviations of the augmentation noise, (online, target).
        stop_gradient: whether the target branch is constant.

    Reference: Halvagal, Laborieux, Zenke (2023), arXiv 2212.04858, the ablation of the predictor.
    """
    kappa_1, kappa_2 = view_variances(1.0, noise, 0.0)
    rate = 2 * (kappa_1 - 1) if stop_gradient else 2 * (kappa_1 + kappa_2 - 2)

    def velocity(s: ArrayLike) -> Array:
        (s,) = with_modes(s)
        return -rate * s

    def invariant(t: ArrayLike, s: ArrayLike) -> Array:
        t, s = with_modes(t, s)
        return jnp.exp(rate * t) * jnp.sum(s, axis=-1)

    def fixed_points(s0: ArrayLike) -> Array:
        (s0,) = with_modes(s0)
        return s0[None] if vanishes(rate) else jnp.zeros_like(s0)[None]

    def arrival(level: ArrayLike, s0: ArrayLike) -> Array:
        level, s0 = with_modes(level, s0)
        falls = (level < s0) & (level > 0) & (rate > 0)
        time = jnp.log(jnp.where(falls, s0 / level, 1.0)) / jnp.where(falls, rate, 1.0)
        return unless_unknown(jnp.where(level == s0, 0.0, jnp.where(falls, time, jnp.inf)), level, s0)

    def solution(t: ArrayLike, s0: ArrayLike) -> Array:
        t, s0 = with_modes(t, s0)
        exponent = -rate * bounded(t)[..., None]
        beyond = (exponent > jnp.log(jnp.finfo(t.dtype).max)) & (s0 != 0)
        return jnp.where(beyond, jnp.inf, grown(s0, jnp.where(beyond, 0.0, exponent)))

    return EigenFlow(velocity, solution, invariant, fixed_points, arrival)


def view_variances(alpha: Number, noise: Noise, weight_decay: Number) -> Noise:
    """The two view variances 1 + noise_i^2, once the arguments are checked."""
    alpha, weight_decay = number("alpha", alpha), number("weight_decay", weight_decay)
    if not transformed(alpha) and not 0 < alpha < float("inf"):
        raise ValueError(f"alpha must be positive, got {alpha}; 0.5 is DirectPred, 1.0 is DirectCopy")
    online, target = deviations(noise)
    if known_negative(weight_decay):
        raise ValueError(f"weight_decay must be >= 0, got {weight_decay}")
    return 1 + online**2, 1 + target**2
