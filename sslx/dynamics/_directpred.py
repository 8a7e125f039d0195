"""The flow of a linear network whose linear predictor is trained with it, mode by mode.

Setting: z = W x with E[x x^T] = I, views that differ by noise of standard deviation sigma, predictor W_p symmetric and aligned with
F = W W^T, target network W_a = tau W. The state is [..., 2, M]: p, the eigenvalues of W_p, then s, those of F. Time is that of
gradient flow at unit rate on 1/2 ||W_p z_1 - z_a||^2.
"""

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from sslx.dynamics._flow import EigenFlow, floating
from sslx.dynamics._laws import quadratic_bracket


def directpred(*, predictor_lr: float = 1.0, tau: float = 1.0, noise: float = 0.0, weight_decay: float = 0.0) -> EigenFlow:
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
    for name, value in (("predictor_lr", predictor_lr), ("tau", tau)):
        if not value > 0:
            raise ValueError(f"{name} must be positive, got {value}; 1.0 is the default")
    if min(noise, weight_decay) < 0:
        raise ValueError(f"noise and weight_decay must be >= 0, got {noise} and {weight_decay}")
    kappa = 1 + noise**2
    levels = quadratic_bracket(1.0, tau / (2 * kappa), weight_decay / kappa).fixed

    def velocity(state: ArrayLike) -> Array:
        (state,) = floating(state)
        p, s = state[..., 0, :], state[..., 1, :]
        force = s * (tau - kappa * p)
        return jnp.stack([predictor_lr * force - weight_decay * p, 2 * p * force - 2 * weight_decay * s], axis=-2)

    def balance(state: Array) -> Array:
        return state[..., 1, :] - state[..., 0, :] ** 2 / predictor_lr

    def invariant(t: ArrayLike, state: ArrayLike) -> Array:
        t, state = floating(t, state)
        return jnp.exp(2 * weight_decay * t) * jnp.sum(balance(state), axis=-1)

    def fixed_points(state0: ArrayLike) -> Array:
        (state0,) = floating(state0)
        p = jnp.asarray(levels, state0.dtype)[:, None] * jnp.ones_like(state0[0])
        s = p**2 / predictor_lr
        if weight_decay == 0:
            s = s[-1:] + balance(state0)
            unlearned = jnp.sign(state0[0]) * jnp.sqrt(predictor_lr * jnp.maximum(-balance(state0), 0.0))
            p, s = jnp.where(s > 0, p[-1:], unlearned), jnp.maximum(s, 0.0)
        return jnp.stack([p, s], axis=-2)

    return EigenFlow(velocity, None, invariant, fixed_points, threshold=tau**2 / (4 * kappa))
