"""Dimensional collapse: linear networks of one and two layers under InfoNCE on unnormalised embeddings.

Setting: z = W x, and over n positive pairs (x_i, x'_i) the loss
L = -sum_i ln [e^{-|z_i - z'_i|^2/2} / Z_i],  Z_i = e^{-|z_i - z'_i|^2/2} + sum_{j != i} e^{-|z_i - z_j|^2/2},  with softmax weights a_ij.
-dL/dW = W X,  X = sum_{i != j} a_ij (x_i - x_j)(x_i - x_j)^T - sum_i (1 - a_ii)(x'_i - x_i)(x'_i - x_i)^T:  the spread of the data less
that of the augmentation. The flows hold X fixed, as it is while the weights a_ij hardly move; they shrink the directions in which the
augmentation is the larger. Time is that of gradient flow at unit rate on L: gradient descent advances t by learning_rate per step.

Reference: Jing, Vincent, LeCun, Tian (2022), Understanding dimensional collapse in contrastive self-supervised learning, arXiv 2110.09348.
"""

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike
from jaxtyping import Float

from sslx.checks import check_matrix, check_pair, check_square
from sslx.dynamics._flow import EigenFlow, bounded, floating, grown, unless_unknown
from sslx.dynamics._toy_losses import infonce_logits
from sslx.linalg import product, symmetrise


def infonce(rates: ArrayLike) -> EigenFlow:
    """One layer aligned with X, each singular value of W on its own:  ds_k/dt = x_k s_k,  s_k(t) = s_k(0) e^{x_k t}.

    Directions with x_k < 0 vanish: that is dimensional collapse. The others grow without bound while X stays what it is.

    Args:
        rates: eigenvalues x_k of X for the modes, [M], of any sign.

    Returns:
        A flow of s [..., M]. Its invariant is the mean over modes with x_k != 0 of ln(s_k)/x_k - t.

    Reference: Jing et al. (2022), arXiv 2110.09348, the collapse caused by strong augmentation.
    """
    (rates,) = floating(rates)
    moving = rates != 0
    divisor = jnp.where(moving, rates, 1.0)

    def velocity(s: ArrayLike) -> Array:
        (s,) = floating(s)
        return rates * s

    def solution(t: ArrayLike, s0: ArrayLike) -> Array:
        t, s0 = floating(t, s0)
        return grown(s0, rates * bounded(t)[..., None])

    def invariant(t: ArrayLike, s: ArrayLike) -> Array:
        t, s = floating(t, s)
        alive = moving & (s > 0)
        return jnp.mean(jnp.where(alive, jnp.log(jnp.where(alive, s, 1.0)) / divisor - t[..., None], 0.0), axis=-1)

    def fixed_points(s0: ArrayLike) -> Array:
        (s0,) = floating(s0)
        return jnp.zeros_like(s0)[None]

    def arrival(level: ArrayLike, s0: ArrayLike) -> Array:
        level, s0 = floating(level, s0)
        reached = ((level - s0) * rates > 0) & (s0 > 0) & (level > 0)
        time = jnp.log(jnp.where(reached, level / jnp.where(reached, s0, 1.0), 1.0)) / divisor
        return unless_unknown(jnp.where(level == s0, 0.0, jnp.where(reached, time, jnp.inf)), level, s0)

    return EigenFlow(velocity, solution, invariant, fixed_points, arrival)


def infonce_two_layer(rates: ArrayLike) -> EigenFlow:
    """Two aligned layers, z = W_2 W_1 x:  ds1_k/dt = x_k s1_k s2_k^2,  ds2_k/dt = x_k s2_k s1_k^2.

    s1^2 - s2^2 = c is constant mode by mode, and with E = e^{2 x c t} and D = 1 - s2(0)^2 (E - 1)/c
    s1(t) = s1(0) D^{-1/2},  s2(t) = s2(0) (E/D)^{1/2};  from equal starts s(t)^2 = s0^2/(1 - 2 s0^2 x t).  A mode with x > 0 is infinite
    from D = 0 on, t = ln(s1^2/s2^2)/(2 x c): small starts lag behind, so the rank is low without strong augmentation too.

    Alignment (the right singular vectors of W_2 are the left ones of W_1) is a condition, and so is that X is diagonal in the right
    singular vectors of W_1; where it is not, x_k = v_k^T X v_k gives the velocity, but only at that moment.

    Args:
        rates: eigenvalues x_k of X for the modes, [M], of any sign.

    Returns:
        A flow of the state [..., 2, M]: s1, then s2, the singular values of W_1 and W_2. Its invariant is the sum over modes of c;
        fixed_points(state0[2, M]) -> [1, 2, M] is the one on the hyperbola of the start: modes with x_k < 0 reach it.

    Reference: Jing et al. (2022), arXiv 2110.09348, the collapse caused by implicit regularisation.
    """
    (rates,) = floating(rates)

    def velocity(state: ArrayLike) -> Array:
        (state,) = floating(state)
        return rates * state * state[..., ::-1, :] ** 2

    def solution(t: ArrayLike, state0: ArrayLike) -> Array:
        t, state0 = floating(t, state0)
        first = state0[0] ** 2 >= state0[1] ** 2
        large, small = jnp.where(first, state0, state0[::-1])
        span = 2 * rates * bounded(t)[..., None]
        exponent = jnp.minimum(span * (large - small) * (large + small), jnp.log(jnp.finfo(t.dtype).max) - 2)
        left = 1 - small**2 * span * _relative_expm1(exponent)
        finite = left > 0
        shrink = 1 / jnp.sqrt(jnp.where(finite, left, 1.0))
        grown = jnp.where(finite, shrink * large, jnp.inf), jnp.where(finite, shrink * small * jnp.exp(exponent / 2), jnp.inf)
        return jnp.stack([jnp.where(first, *grown), jnp.where(first, *grown[::-1])], axis=-2)

    def invariant(t: ArrayLike, state: ArrayLike) -> Array:
        t, state = floating(t, state)
        return jnp.sum(state[..., 0, :] ** 2 - state[..., 1, :] ** 2, axis=-1) + 0 * t

    def fixed_points(state0: ArrayLike) -> Array:
        (state0,) = floating(state0)
        square = state0**2
        return jnp.sqrt(jnp.maximum(square - square[::-1], 0.0))[None]

    return EigenFlow(velocity, solution, invariant, fixed_points)


def infonce_weights(t: ArrayLike, w0: Float[Array, "M N"], matrix: Float[Array, "N N"]) -> Float[Array, "... M N"]:
    """The weights of one layer from any start, W(t) = W(0) e^{X t}: those along eigenvectors of X with negative eigenvalues vanish.

    Args:
        t: times, [...].
        w0: weights at time 0, [M, N].
        matrix: X, symmetric [N, N], as from `infonce_matrix`.

    Returns:
        W, [..., M, N]; an entry that no float holds is inf or -inf.

    Raises:
        TypeError: unless both matrices are floating-point arrays.
        ValueError: unless their shapes are [M, N] and [N, N].

    Reference: Jing et al. (2022), arXiv 2110.09348, the weights under strong augmentation.
    """
    check_matrix("w0", w0)
    check_square("matrix", matrix, w0.shape[1])
    t, w0 = floating(t, w0)
    rates, vectors = jnp.linalg.eigh(matrix)
    return _rotated_growth(product(w0, vectors), rates * bounded(t)[..., None, None], vectors)


def infonce_matrix(x_a: Float[Array, "n N"], x_b: Float[Array, "n N"], w: Float[Array, "M N"]) -> Float[Array, "N N"]:
    """X of the module, from a batch and the weights at which the softmax is taken: -dL/dW = W X.

    Args:
        x_a, x_b: inputs of the positive pairs, [n, N].
        w: the weights of the whole linear network, [M, N] (W_2 W_1 for two layers).

    Returns:
        X, symmetric [N, N].

    Raises:
        TypeError: unless all are floating-point arrays.
        ValueError: unless the inputs share one shape [n, N] with n >= 2, and w is [M, N].

    Reference: Jing et al. (2022), arXiv 2110.09348, the difference of the two weighted covariances.
    """
    check_pair("x_a", x_a, "x_b", x_b, min_rows=2)
    check_matrix("w", w)
    if w.shape[1] != x_a.shape[1]:
        raise ValueError(f"w must have shape [M, {x_a.shape[1]}], got {w.shape}; its columns are the inputs")
    x_a, x_b = (x - jnp.mean(x_a, axis=0) for x in (x_a, x_b))  # X does not see the mean, rounding does
    weights = jax.nn.softmax(infonce_logits(product(x_a, w.T), product(x_b, w.T)), axis=1)
    others = jnp.where(jnp.eye(len(x_a), dtype=bool), 0.0, weights)
    laplacian = jnp.diag(others.sum(0) + others.sum(1)) - others - others.T
    shift = x_b - x_a
    spread = product(x_a.T, laplacian, x_a)
    noise = product(shift.T * others.sum(1), shift)
    return jnp.asarray(symmetrise(spread - noise))


@jax.jit  # called eagerly, a loop over a closure would be compiled anew each time
def _rotated_growth(x: Float[Array, "M N"], exponent: Float[Array, "... 1 N"], vectors: Float[Array, "N N"]) -> Float[Array, "... M N"]:
    """(x e^exponent) vectors^T; where modes overflow the largest factor of each entry is put last, since inf - inf would be NaN."""

    def rotated(exponent: Array) -> Array:
        return product(grown(x, exponent), vectors.T)

    @jax.checkpoint  # or the gradient keeps every term
    def column(vector: Array) -> Array:
        terms = x * vector
        largest = jnp.max(jnp.where(terms == 0, -jnp.inf, exponent), axis=-1, keepdims=True)
        largest = lax.stop_gradient(jnp.where(jnp.isinf(largest), 0.0, largest))
        return grown(jnp.sum(grown(terms, exponent - largest), axis=-1), largest[..., 0])

    usual = jnp.all(jnp.isfinite(lax.stop_gradient(rotated(exponent))))
    return lax.cond(usual, rotated, lambda _: jnp.moveaxis(lax.map(column, vectors), 0, -1), exponent)


def _relative_expm1(y: Array) -> Array:
    """(e^y - 1)/y, with its derivatives at 0."""
    small = jnp.abs(y) < 1e-4
    safe = jnp.where(small, 1.0, y)
    return jnp.where(small, 1 + y / 2 * (1 + y / 3 * (1 + y / 4)), jnp.expm1(safe) / safe)
