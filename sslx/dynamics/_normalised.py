"""Two variants of the Euclidean flows that deep networks run: the normalised predictor, and an averaged target network.

Setting and symbols as for the Euclidean flows: lam [..., M] for the normalised predictor, [..., 2, M] (w, then w_a) for the target network.
"""

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from sslx.dynamics._euclidean import view_variances
from sslx.dynamics._flow import EigenFlow, floating, positive_power
from sslx.dynamics._laws import cubic, logistic, quadratic_bracket
from sslx.dynamics._modes import eigen_flow
from sslx.dynamics._parameters import Noise, known_nonpositive, number
from sslx.typing import Number


def euclidean_normalised(*, alpha: Number = 0.5, noise: Noise = (0.0, 0.0)) -> EigenFlow:
    """Euclidean loss, stop-gradient on the target, with the predictor divided by its largest eigenvalue: lam_m = (s_m/s_max)^alpha.

    d lam/dt = 2 alpha lam (1 - lam)(kappa lam + sigma^2), sigma = noise[0], kappa = 1 + sigma^2: the largest mode stays at lam = 1 and all
    others catch up. The scale decays, s_max(t) = s_max(0) e^{-2 (sigma^2 + eta) t}; weight decay eta does nothing else.

    Args:
        alpha: exponent of the predictor.
        noise: standard deviations of the augmentation noise, (online, target); only the online one matters.

    Raises:
        ValueError: unless alpha > 0 and noise >= 0.

    Reference: derived for the normalisation in the code of Halvagal, Laborieux, Zenke (2023), arXiv 2212.04858.
    """
    kappa, _ = view_variances(alpha, noise, 0.0)
    return eigen_flow(cubic, 2 * alpha * kappa, -(noise[0] ** 2) / kappa, 1.0)


def iso_euclidean_normalised(*, alpha: Number = 0.5, noise: Noise = (0.0, 0.0)) -> EigenFlow:
    """Euclidean IsoLoss with the normalised predictor lam_m = (s_m/s_max)^alpha:  d lam/dt = 2 alpha kappa lam (1 - lam).

    Args, errors and the decay of s_max: see `euclidean_normalised`.
    """
    kappa, _ = view_variances(alpha, noise, 0.0)
    return eigen_flow(logistic, 2 * alpha * kappa, 1.0)


def euclidean_ema_target(*, alpha: Number = 0.5, rate: Number = 1.0, noise: Noise = (0.0, 0.0), weight_decay: Number = 0.0) -> EigenFlow:
    """Euclidean loss against a target network that follows the online one, dW_a/dt = rate (W - W_a), aligned with it.

    dw/dt = lam (w_a - kappa lam w) - eta w,  dw_a/dt = rate (w - w_a),  lam = w^{2 alpha},  kappa = 1 + noise[0]^2.
    The state is [..., 2, M]: w, the singular values of W, then w_a, those of W_a. The fixed points are those of `euclidean` with w_a = w.

    Args:
        alpha: exponent of the predictor.
        rate: of the target network; the moving average of decay 1 - rate dt.
        noise: standard deviations of the augmentation noise, (online, target); only the online one matters.
        weight_decay: eta, on the online network.

    Returns:
        A flow without solution or invariant; fixed_points(state0[2, M]) -> [K, 2, M].

    Raises:
        ValueError: unless alpha > 0, rate > 0 and the others are >= 0.

    Reference: derived for the target network of BYOL in the setting of Halvagal, Laborieux, Zenke (2023), arXiv 2212.04858.
    """
    kappa, _ = view_variances(alpha, noise, weight_decay)
    if known_nonpositive(number("rate", rate)):
        raise ValueError(f"rate must be positive, got {rate}; a large one is a target that is the online network")

    fixed = quadratic_bracket(1.0, 1 / (2 * kappa), weight_decay / kappa).fixed

    def velocity(state: ArrayLike) -> Array:
        (state,) = floating(state)
        w, w_a = state[..., 0, :], state[..., 1, :]
        lam = positive_power(w, 2 * alpha)
        return jnp.stack([lam * (w_a - kappa * lam * w) - weight_decay * w, rate * (w - w_a)], axis=-2)

    def fixed_points(state0: ArrayLike) -> Array:
        (state0,) = floating(state0)
        levels = positive_power(jnp.asarray(fixed, state0.dtype), 1 / (2 * alpha))
        return jnp.broadcast_to(levels[:, None, None], (len(levels), *state0.shape[-2:]))

    return EigenFlow(velocity, fixed_points=fixed_points, threshold=1 / (4 * kappa))
