"""Small linear algebra with safe gradients: norms, symmetric powers and log-determinants."""

import math
from functools import partial, reduce
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import DTypeLike
from jaxtyping import Bool

from sslx.typing import AnyArray, Matrix, Number, Scalar

SHORT = 1e-12


def product(a: AnyArray, *others: AnyArray) -> Array:
    """The matrix product, from the left, with all digits of the type: accelerators multiply in fewer unless they are told."""
    return reduce(partial(jnp.matmul, precision=lax.Precision.HIGHEST), others, jnp.asarray(a))


def l2_normalise(x: AnyArray) -> Array:
    """x / ||x|| along the last axis; vectors shorter than SHORT become 0, with gradient 0 (never NaN)."""
    return jnp.asarray(x) * safe_reciprocal_norm(x)[..., None]


def safe_reciprocal_norm(x: AnyArray) -> Array:
    """1 / ||x|| along the last axis; 0, with gradient 0, for vectors shorter than SHORT."""
    square = jnp.sum(x**2, axis=-1)
    short = square <= SHORT**2
    return jnp.where(short, 0.0, lax.rsqrt(jnp.where(short, 1.0, square)))


def safe_norm(x: AnyArray) -> Array:
    """||x|| along the last axis, with gradient 0 where the norm is 0."""
    return safe_sqrt(jnp.sum(x**2, axis=-1))


def safe_sqrt(x: AnyArray) -> Array:
    """sqrt(max(x, 0)), with gradient 0 where x <= 0."""
    floored = x <= 0
    return jnp.where(floored, 0.0, jnp.sqrt(jnp.where(floored, 1.0, x)))


def symmetrise(a: Matrix) -> Matrix:
    """(a + a^T) / 2."""
    return (a + jnp.swapaxes(a, -1, -2)) / 2


def largest_eigenvalue(a: Matrix) -> Scalar:
    """The largest eigenvalue of a symmetric positive semi-definite matrix, [], by twenty squarings; 0 for zero.

    It is the mean eigenvalue under the weights lambda^(2^21), at most n / (2^21 e) of itself too small.
    """
    power = lax.fori_loop(0, 20, lambda _, m: _unit(product(m, m)), _unit(a))
    return jnp.sum(power * product(a, power))


def square_root(a: Matrix) -> Matrix:
    """a^(1/2) of a symmetric positive semi-definite matrix with eigenvalues in [0, 1], by products only (coupled Newton-Schulz).

    y <- y (3 - z y) / 2,   z <- (3 - z y) / 2 z,   from y = a, z = 1 (Higham, Functions of Matrices, 2008, equation 6.35). A small
    eigenvalue grows by 3/2 a step; the steps end before those at the level of rounding, of either sign, have grown out of it. So
    eigenvalues far above rounding have their root to rounding, and those near it one below or near the root of rounding.
    """
    eye = jnp.eye(len(a), dtype=a.dtype)

    def step(_: Any, yz: tuple[Matrix, Matrix]) -> tuple[Matrix, Matrix]:
        y, z = yz
        half = (3 * eye - product(z, y)) / 2
        return product(y, half), product(half, z)

    steps = int(-math.log(jnp.finfo(a.dtype).eps) / (2 * math.log(1.5))) - 1
    return symmetrise(lax.fori_loop(0, steps, step, (a, eye))[0])


def _unit(a: Matrix) -> Matrix:
    """a / ||a||_F."""
    return a * safe_reciprocal_norm(a.reshape(-1))


def off_diagonal_square_sum(a: Matrix) -> Scalar:
    """sum_{i != j} a_ij^2, [] (the diagonal is masked, not subtracted, so nothing cancels)."""
    return jnp.sum(jnp.where(jnp.eye(a.shape[-1], dtype=bool), 0.0, a) ** 2)


def rounding_share(dtype: DTypeLike) -> float:
    """Share of the largest below which singular values of a matrix, or eigenvalues of a Gram matrix, are taken for rounding errors.

    In matrices of exact low rank with 24 to 1024 columns rounding left at most 3 units of finfo.eps; this is 16.
    """
    return 16 * float(jnp.finfo(dtype).eps)


def rounding_level(a: Matrix) -> Scalar:
    """That share of ||a||_F, [], without gradient: eigenvalues of a moment matrix below it are noise."""
    return rounding_share(a.dtype) * lax.stop_gradient(jnp.sqrt(jnp.sum(a**2)))


def safe_shift(a: Matrix, shift: Number) -> Scalar:
    """`shift`, or the rounding level of `a` where shift I + a is singular to rounding, [], without gradient."""
    a, shift = lax.stop_gradient(a), jnp.full_like(a, shift, shape=())
    return lax.cond(_lowest_shift(a) > shift, _lift_if_singular, _keep, a, shift)


def _lowest_shift(a: Matrix) -> Scalar:
    """The rounding level, and above 0 for a zero matrix too."""
    return rounding_level(a) + jnp.finfo(a.dtype).tiny


def _keep(_: Matrix, shift: Scalar) -> Scalar:
    return shift


def _lift_if_singular(a: Matrix, shift: Scalar) -> Scalar:
    level = _lowest_shift(a)
    pivots = jnp.diagonal(jnp.linalg.cholesky(a + shift * jnp.eye(a.shape[-1], dtype=a.dtype))) ** 2
    return jnp.where(jnp.all(pivots > level), shift, level)  # NaN compares as False


def logdet_shifted(a: Matrix, shift: Number) -> Scalar:
    """log det(shift I + a) for symmetric positive semi-definite a, [], by Cholesky; its gradient is (shift I + a)^-1.

    A small `a` goes through its power series, because 1 + a would round its digits away. Where shift I + a is singular to rounding the
    shift is lifted to the rounding level of `a`, so that value and gradient stay finite for `a` of any size.
    """
    norm = jnp.sqrt(jnp.sum(lax.stop_gradient(a) ** 2))
    small = norm / shift < (5 * float(jnp.finfo(a.dtype).eps)) ** 0.2  # there the fifth term of the series is below rounding
    return lax.cond(small, _logdet_series, _logdet_cholesky, a, jnp.asarray(shift, a.dtype), small)


@jax.custom_jvp
def rounding_excess(a: Matrix) -> Scalar:
    """What `logdet_shifted(a, 1)` has too much where it lifts the shift to the rounding level of `a`, [], with gradient 0.

    It is the sum of log((level + l)/(1 + l)) over the eigenvalues l of `a`, those within a quarter of the level taken for 0.
    """
    return _rounding_excess(a)


@rounding_excess.defjvp
def _no_derivative(primals: tuple[Matrix], _: Any) -> tuple[Scalar, Scalar]:
    excess = rounding_excess(*primals)
    return excess, jnp.zeros_like(excess)


@jax.custom_batching.sequential_vmap  # else vmap would decompose every matrix, and several at once, which jax 0.10 may wait for, see README
def _rounding_excess(a: Matrix) -> Scalar:
    return lax.cond(_lowest_shift(a) > 1, _excess, lambda a: jnp.zeros_like(a, shape=()), a)


def _excess(a: Matrix) -> Scalar:
    level, values = safe_shift(a, 1.0), jnp.linalg.eigvalsh(a)
    values = jnp.where(values <= level / 4, 0.0, values)
    return jnp.sum(jnp.log((level + values) / (1 + values)))


def _logdet_series(a: Matrix, shift: Scalar, chosen: Bool[Array, ""]) -> Scalar:
    shift = jnp.where(chosen, shift, 1.0)
    ratio = jnp.where(chosen, a, 0.0) / shift  # under vmap both branches run: keep the powers from overflowing
    return log1p_series_trace(ratio, 4) + a.shape[-1] * jnp.log(shift)


def _logdet_cholesky(a: Matrix, shift: Scalar, _: Bool[Array, ""]) -> Scalar:
    factor = jnp.linalg.cholesky(a + safe_shift(a, shift) * jnp.eye(a.shape[-1], dtype=a.dtype))
    return 2 * jnp.sum(jnp.log(jnp.diagonal(factor)))


def nuclear_norm(a: AnyArray) -> Scalar:
    """Sum of the singular values of a [m, n], []; those at the level of rounding count as 0, with gradient 0."""
    values = jnp.linalg.svd(a, compute_uv=False)
    floor = lax.stop_gradient(max(a.shape) * float(jnp.finfo(a.dtype).eps) * values[0])
    return jnp.sum(jnp.where(values <= floor, 0.0, values))


def log1p_series_trace(a: Matrix, order: int) -> Scalar:
    """tr sum_{k=1..order} (-1)^{k+1}/k a^k, the trace of the truncated series of log(I + a), []; a need not be symmetric."""
    powers = [a]
    while len(powers) < (order + 1) // 2:
        powers.append(product(powers[-1], a))
    total = jnp.trace(a)
    for k in range(2, order + 1):
        total += (-1) ** (k + 1) / k * jnp.sum(powers[(k + 1) // 2 - 1] * powers[k // 2 - 1].T)  # tr a^{i+j} = sum(a^i * (a^j)^T)
    return total
