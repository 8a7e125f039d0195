"""The flows of a linear network whose linear predictor is trained with it, mode by mode.

Setting: z = W x with E[x x^T] = I, views that differ by noise of standard deviation sigma, predictor W_p symmetric and aligned with
F = W W^T, target network W_a = tau W. The state is [..., 2, M]: p, the eigenvalues of W_p, then s, those of F. Time is that of
gradient flow at unit rate on 1/2 ||W_p z_1 - z_a||^2.
"""

from collections.abc import Callable

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float

from sslx.checks import check_square
from sslx.dynamics._flow import EigenFlow, floating, positive_power
from sslx.dynamics._laws import hyperbolic, quadratic_bracket
from sslx.dynamics._modes import eigen_flow
from sslx.dynamics._parameters import known_negative, known_nonpositive, number, vanishes
from sslx.linalg import product
from sslx.typing import Number


def directpred(*, predictor_lr: Number = 1.0, tau: Number = 1.0, noise: Number = 0.0, weight_decay: Number = 0.0) -> EigenFlow:
    """Predictor and encoder learning together, the dynamics that DirectPred replaces by setting p = s^{1/2}.

    dp/dt = a s [tau - (1 + sigma^2) p] - eta p,   ds/dt = 2 p s [tau - (1 + sigma^2) p] - 2 eta s,   a = predictor_lr.

    Each mode keeps e^{2 eta t} (s - p^2/a), so with decay it ends on the parabola s = p^2/a, where
    dp/dt = p^2 [tau - (1 + sigma^2) p] - eta p. There p = 0 attracts, the roots p_- and p_+ of (1 + sigma^2) p^2 - tau p + eta are the
    unstable and the stable fixed point, and above eta = tau^2/(4 (1 + sigma^2)) everything collapses.

    Args:
        predictor_lr: learning rate of the predictor over that of the encoder.
        tau: size of the target network over that of the online one; 1 without a moving average.
        noise: standard deviation sigma of the augmentation noise.
        weight_decay: eta, on both.

    Returns:
        A flow without solution. Its invariant is the sum over modes of the one above; fixed_points(state0[2, M]) -> [K, 2, M]
        are those on the parabola, and without weight decay, where each start has its own, the one that this start reaches
        (s = 0 at its own p where s - p^2/a is below -p_+^2/a).

    Raises:
        ValueError: unless predictor_lr > 0, tau > 0 and the others are >= 0.

    Reference: Tian, Chen, Ganguli (2021), Understanding self-supervised learning dynamics without contrastive pairs, arXiv 2102.06810.
    """
    kappa = _check_parameters(noise, weight_decay, predictor_lr=predictor_lr, tau=tau)

    def velocity(state: ArrayLike) -> Array:
        (state,) = floating(state)
        p, s = state[..., 0, :], state[..., 1, :]
        force = s * (tau - kappa * p)
        return jnp.stack([predictor_lr * force - weight_decay * p, 2 * p * force - 2 * weight_decay * s], axis=-2)

    return EigenFlow(velocity, None, *_conserved(kappa, tau, predictor_lr, weight_decay), threshold=tau**2 / (4 * kappa))


def directpred_balanced(*, tau: Number = 1.0, noise: Number = 0.0, weight_decay: Number = 0.0) -> EigenFlow:
    """The flow on the parabola s = p^2/a, where every start ends up under weight decay, solved in closed form.

    dp/dt = p^2 [tau - (1 + sigma^2) p] - eta p,  whatever the predictor's learning rate a. It is the Euclidean flow at alpha = 1/2 with 1
    replaced by tau: W_p = F^{1/2} is the balanced predictor at a = 1. Modes that start below p_- collapse: `collapse_boundary`.

    Args:
        tau: size of the target network over that of the online one.
        noise: standard deviation sigma of the augmentation noise.
        weight_decay: eta, on both layers.

    Returns:
        A flow of p >= 0, [..., M], with its solution.

    Raises:
        ValueError: unless tau > 0 and the others are >= 0.

    Reference: Tian, Chen, Ganguli (2021), arXiv 2102.06810, the dynamics on the invariant parabola.
    """
    kappa = _check_parameters(noise, weight_decay, tau=tau)
    threshold = tau**2 / (4 * kappa)
    if vanishes(weight_decay):
        return eigen_flow(hyperbolic, tau, tau / kappa, threshold=threshold)
    return eigen_flow(quadratic_bracket, kappa, tau / (2 * kappa), weight_decay / kappa, threshold=threshold)


def directpred_ema(*, predictor_lr: Number = 1.0, rate: Number = 1.0, noise: Number = 0.0, weight_decay: Number = 0.0) -> EigenFlow:
    """Predictor, encoder and a target network that follows it, dW_a/dt = b (W - W_a), all aligned.

    dp/dt = a w (w_a - kappa p w) - eta p,  dw/dt = p (w_a - kappa p w) - eta w,  dw_a/dt = b (w - w_a),  kappa = 1 + sigma^2.
    w and w_a are the singular values of W and W_a: s = w^2, and tau = w_a/w obeys s dtau/dt = b (1 - tau) s - tau (ds/dt)/2. A slow
    target (small b) lags behind and holds a growing mode back. Each mode keeps e^{2 eta t} (w^2 - p^2/a), and the fixed points are
    those of `directpred` with tau = 1.

    Args:
        predictor_lr: learning rate a of the predictor over that of the encoder.
        rate: b, of the target network; the moving average of decay 1 - b dt.
        noise: standard deviation sigma of the augmentation noise.
        weight_decay: eta, on predictor and encoder.

    Returns:
        A flow of the state [..., 3, M]: p, w, w_a. Its invariant is the sum over modes; fixed_points(state0[3, M]) -> [K, 3, M], w >= 0.

    Raises:
        ValueError: unless predictor_lr > 0, rate > 0 and the others are >= 0.

    Reference: Tian, Chen, Ganguli (2021), arXiv 2102.06810, the dynamics of the moving average.
    """
    kappa = _check_parameters(noise, weight_decay, predictor_lr=predictor_lr, rate=rate)
    balance, rest = _conserved(kappa, 1.0, predictor_lr, weight_decay)

    def pair(state: ArrayLike) -> Array:
        (state,) = floating(state)
        return state[..., :2, :].at[..., 1, :].power(2)

    def velocity(state: ArrayLike) -> Array:
        (state,) = floating(state)
        p, w, w_a = (state[..., i, :] for i in range(3))
        error = w_a - kappa * p * w
        return jnp.stack([predictor_lr * w * error - weight_decay * p, p * error - weight_decay * w, rate * (w - w_a)], axis=-2)

    def invariant(t: ArrayLike, state: ArrayLike) -> Array:
        return balance(t, pair(state))

    def fixed_points(state0: ArrayLike) -> Array:
        fixed = rest(pair(state0))
        w = positive_power(fixed[:, 1], 0.5)
        return jnp.stack([fixed[:, 0], w, w], axis=-2)

    return EigenFlow(velocity, None, invariant, fixed_points, threshold=1 / (4 * kappa))


def alignment_rate(
    f: Float[Array, "d d"],
    w_p: Float[Array, "d d"],
    *,
    predictor_lr: Number = 1.0,
    tau: Number = 1.0,
    noise: Number = 0.0,
    weight_decay: Number = 0.0,
) -> Float[Array, "d d"]:
    """K, by which the eigenspaces of F = W W^T and of the predictor align:  d/dt [F, W_p] = -[F, W_p] K - K [F, W_p].

    K = a (1 + sigma^2)/2 F + (1 + sigma^2) W_p^2 - tau W_p + 3/2 eta I.  Where K is positive definite the commutator shrinks, at least as
    fast as e^{-2 t min eig K}: the flows of single modes, which need it to be 0, become right. W_p is symmetric throughout, its
    gradient symmetrised: without that it does not stay so, and this is not its law.

    Args:
        f: F, symmetric [d, d].
        w_p: predictor, symmetric [d, d].
        predictor_lr, tau, noise, weight_decay: as for `directpred`.

    Raises:
        TypeError: unless both matrices are floating-point arrays.
        ValueError: unless they have one shape [d, d], and for the parameters as `directpred` does.

    Reference: Tian, Chen, Ganguli (2021), arXiv 2102.06810, the alignment of eigenspaces.
    """
    check_square("f", f)
    check_square("w_p", w_p, f.shape[0])
    kappa = _check_parameters(noise, weight_decay, predictor_lr=predictor_lr, tau=tau)
    return kappa * (predictor_lr / 2 * f + product(w_p, w_p)) - tau * w_p + 1.5 * weight_decay * jnp.eye(len(f), dtype=f.dtype)


def _conserved(kappa: Number, tau: Number, predictor_lr: Number, weight_decay: Number) -> tuple[Callable, Callable]:
    """The invariant and the fixed points of the state (p, s), both from the parabola s = p^2/a."""
    levels = quadratic_bracket(1.0, tau / (2 * kappa), weight_decay / kappa).fixed

    def balance(state: Array) -> Array:
        return state[..., 1, :] - state[..., 0, :] ** 2 / predictor_lr

    def invariant(t: ArrayLike, state: ArrayLike) -> Array:
        t, state = floating(t, state)
        return jnp.exp(2 * weight_decay * t) * jnp.sum(balance(state), axis=-1)

    def fixed_points(state0: ArrayLike) -> Array:
        (state0,) = floating(state0)
        p = jnp.asarray(levels, state0.dtype)[:, None] * jnp.ones_like(state0[0])
        s = p**2 / predictor_lr
        if vanishes(weight_decay):
            s = s[-1:] + balance(state0)
            unlearned = jnp.sign(state0[0]) * jnp.sqrt(predictor_lr * jnp.maximum(-balance(state0), 0.0))
            stays = (state0[1] <= 0) | ((state0[0] < 0) & (balance(state0) <= 0))  # s is 0, or falls to 0 before p has turned
            learned = (s > 0) & ~stays
            p, s = jnp.where(learned, p[-1:], unlearned), jnp.where(learned, s, 0.0)
        return jnp.stack([p, s], axis=-2)

    return invariant, fixed_points


def _check_parameters(noise: Number, weight_decay: Number, **positive: Number) -> Number:
    """The view variance 1 + noise^2, once the arguments are checked."""
    for name, value in positive.items():
        if known_nonpositive(number(name, value)):
            raise ValueError(f"{name} must be positive, got {value}; 1.0 is the default")
    if any(known_negative(number(name, value)) for name, value in (("noise", noise), ("weight_decay", weight_decay))):
        raise ValueError(f"noise and weight_decay must be >= 0, got {noise} and {weight_decay}")
    return 1 + noise**2
