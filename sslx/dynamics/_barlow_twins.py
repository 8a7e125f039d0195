"""Stepwise learning: the flow of a linear network under the Barlow Twins loss ||C - I||_F^2 on unnormalised embeddings.

Setting: z = W x with W [d, N], C = W Gamma W^T, Gamma = sum_i (x_i x'_i^T + x'_i x_i^T)/(2n) over n positive pairs [N, N], its eigenvalues
gamma. The state is s [..., M], the singular values of W along eigenvectors of Gamma. Time is that of gradient flow at unit rate on
||C - I||_F^2 itself: plain gradient descent on it advances t by learning_rate per step.

Reference: Simon, Knutins, Ziyin, Geisz, Fetterman, Albrecht (2023), On the stepwise nature of self-supervised learning, arXiv
2303.15438.
"""

import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike
from jaxtyping import Float

from sslx.checks import check_floating, check_integer, check_square
from sslx.dynamics._flow import EigenFlow, bounded, floating, unless_unknown
from sslx.linalg import product


def barlow_twins(gamma: ArrayLike) -> EigenFlow:
    """Barlow Twins from an aligned start, each mode on its own:  ds_j/dt = 4 gamma_j s_j (1 - gamma_j s_j^2).

    s_j(t) = (gamma_j + (s_j(0)^{-2} - gamma_j) e^{-8 gamma_j t})^{-1/2}.  The eigenvalues of C, gamma_j s_j^2, are logistic:
    modes with gamma_j > 0 are learned one after another, at tau_j = ln(1/(gamma_j s_j(0)^2) - 1)/(8 gamma_j), and end at
    s_j = gamma_j^{-1/2}; the others decay.

    Args:
        gamma: eigenvalues of Gamma for the modes, [M], of any sign.

    Returns:
        A flow whose arrival and escape times speak of the eigenvalue gamma_j s_j^2 of C: at level 0.5 they are tau_j. Its
        invariant is the mean over moving modes of ln|gamma_j s_j^2/(1 - gamma_j s_j^2)|/(8 gamma_j) - t. Its functions raise ValueError
        for states of another number of modes.

    Reference: Simon et al. (2023), arXiv 2303.15438, the exact solution from an aligned initialisation.
    """
    (gamma,) = floating(gamma)
    learnable = gamma > 0
    size = jnp.where(learnable, gamma, -gamma)  # not abs, whose derivative at 0 is another
    final = jnp.where(learnable, 1 / jnp.sqrt(jnp.where(learnable, gamma, 1.0)), 0.0)
    unit = jnp.where(learnable, final, 1.0)

    def of_modes(*xs: ArrayLike) -> tuple[Array, ...]:
        *others, s = floating(*xs)
        if gamma.ndim and s.ndim and s.shape[-1] != gamma.shape[-1] and 1 not in (s.shape[-1], gamma.shape[-1]):
            raise ValueError(f"s must have shape [..., {gamma.shape[-1]}], got {s.shape}; give one number for each gamma")
        return *others, s

    def velocity(s: ArrayLike) -> Array:
        (s,) = of_modes(s)
        to_go = jnp.where(learnable, (1 - s / unit) * (1 + s / unit), 1 + size * s**2)
        return 4 * gamma * s * to_go

    def solution(t: ArrayLike, s0: ArrayLike) -> Array:
        t, s0 = of_modes(t, s0)
        t = bounded(t)[..., None]
        past = t < 0
        span = jnp.where(past, -t, t)
        shrunk = jnp.exp(-4 * size * span)
        start, decay = jnp.where(learnable ^ past, shrunk, 1.0), jnp.where(learnable ^ past, 1.0, shrunk)
        still = s0 == 0
        longest = jnp.maximum(jnp.maximum(start, jnp.abs(s0)), jnp.finfo(s0.dtype).tiny)
        scaled = lax.stop_gradient(s0 / longest)  # any factor would do that keeps both terms in range
        pull = jnp.where(past, -size, size) * jnp.expm1(-8 * size * span)
        square = (start * scaled / jnp.where(still, 1.0, s0)) ** 2 - pull * scaled**2
        gone = square <= 0
        linear = s0 * jnp.exp(jnp.minimum(4 * gamma * t, jnp.log(jnp.finfo(t.dtype).max) - 1))
        moved = jnp.where(gone, jnp.copysign(jnp.inf, s0), scaled * decay / jnp.sqrt(jnp.where(gone | still, 1.0, square)))
        return jnp.where(still, linear, moved)

    def invariant(t: ArrayLike, s: ArrayLike) -> Array:
        t, s = of_modes(t, s)
        moving = velocity(s) != 0
        c = jnp.where(moving, gamma * s**2, 0.5)
        clock = jnp.log(jnp.abs(c / (1 - c))) / jnp.where(moving, 8 * gamma, 1.0)
        return jnp.mean(jnp.where(moving, clock - t[..., None], 0.0), axis=-1)

    def fixed_points(s0: ArrayLike) -> Array:
        (s0,) = of_modes(s0)
        return jnp.stack([jnp.zeros_like(s0), jnp.broadcast_to(final, s0.shape)])

    def arrival(level: ArrayLike, s0: ArrayLike) -> Array:
        level, s0 = of_modes(level, s0)
        c = gamma * s0**2
        reached = (level - c) * (learnable - level) > 0
        start, goal = jnp.where(reached, c, 0.5), jnp.where(reached, level, 0.5)
        odds = goal * (1 - start) / (start * (1 - goal))
        time = jnp.log(odds) / (8 * jnp.where(reached, gamma, 1.0))
        return unless_unknown(jnp.where(level == c, 0.0, jnp.where(reached, time, jnp.inf)), level, c)

    return EigenFlow(velocity, solution, invariant, fixed_points, arrival)


def barlow_twins_init(w0: Float[Array, "d N"], gamma_matrix: Float[Array, "N N"]) -> tuple[Array, Array, Array]:
    """The aligned start that a small generic W(0) behaves like: W(t) ~ U diag(s(t)) V^T with s(0) = s0.

    V holds the top d eigenvectors of Gamma, W(0) V = Q R with a positive diagonal, U = Q, s0_j = R_jj. As W(0) = a W_0 shrinks, the
    error vanishes as a to the smallest of 1 - gamma_{j+1}/gamma_j, j <= d: it takes gaps between the eigenvalues.

    Args:
        w0: weights at the start, [d, N], d <= N, of rank d.
        gamma_matrix: Gamma, symmetric [N, N].

    Returns:
        s0 [d], U [d, d], V [N, d]; the order is that of descending eigenvalues of Gamma, jnp.linalg.eigvalsh(gamma_matrix)[::-1][:d].

    Raises:
        TypeError: unless both are floating-point arrays.
        ValueError: unless the shapes are [d, N] with d <= N, and [N, N].

    Reference: Simon et al. (2023), arXiv 2303.15438, the solution from a small initialisation.
    """
    check_floating("w0", w0)
    if w0.ndim != 2 or w0.shape[0] > w0.shape[1]:
        raise ValueError(f"w0 must have shape [d, N] with d <= N, got {w0.shape}; W maps N inputs to d modes")
    check_square("gamma_matrix", gamma_matrix, w0.shape[1])
    _, vectors = jnp.linalg.eigh(gamma_matrix)
    v = vectors[:, ::-1][:, : w0.shape[0]]
    q, r = jnp.linalg.qr(product(w0, v))
    sign = jnp.where(jnp.diagonal(r) < 0, -1.0, 1.0)
    return jnp.abs(jnp.diagonal(r)), q * sign, v


def barlow_twins_kernel(kernel: Float[Array, "P P"], modes: int) -> tuple[Array, Array]:
    """The same flow for features phi(x) that are known by their kernel k(x, x') = phi(x)^T phi(x') alone: a network by its NTK.

    With K the kernel among the 2n points (x_1 .. x_n, x'_1 .. x'_n) and P the exchange of x_i with x'_i,
    K_Gamma = K^{1/2} P K^{1/2}/(2n) has the non-zero eigenvalues gamma_j of Gamma; b_j are its eigenvectors. The flow from an aligned
    start is  f_j(x, t) = s_j(t) b_j^T K^{-1/2} [k(x, x_i); k(x, x'_i)],  s(t) by `barlow_twins(gamma)`, and ends at s_j = gamma_j^{-1/2}.

    Args:
        kernel: K, symmetric positive semi-definite [2n, 2n].
        modes: how many of the largest gamma_j to give.

    Returns:
        gamma [modes], descending, and the components [modes, 2n], so that f(x, t) = s(t) * (components @ k(x)) with k(x) [2n] the kernel of
        x with the 2n points. Directions of K below the level of rounding count as none.

    Raises:
        TypeError: unless the kernel is a floating-point array.
        ValueError: unless it is square with an even number of rows, and modes is an integer from 1 to 2n.

    Reference: Simon et al. (2023), arXiv 2303.15438, the kernelised form.
    """
    check_square("kernel", kernel)
    check_integer("modes", modes)
    points = kernel.shape[0]
    if points % 2 or modes > points:
        raise ValueError(f"kernel must be [2n, 2n] with 2n >= modes, got {kernel.shape} and modes={modes}; give both views of each input")
    values, vectors = jnp.linalg.eigh(kernel)
    kept = values > points * jnp.finfo(values.dtype).eps * values[-1]
    scale = jnp.sqrt(jnp.where(kept, values, 1.0))
    root = product(vectors * jnp.where(kept, scale, 0.0), vectors.T)
    gamma, b = jnp.linalg.eigh(product(root, jnp.roll(root, points // 2, axis=0)) / points)
    top = b[:, ::-1][:, :modes]
    components = product(product(top.T, vectors) * jnp.where(kept, 1 / scale, 0.0), vectors.T)
    return gamma[::-1][:modes], components
