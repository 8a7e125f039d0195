"""Small linear algebra with safe gradients: norms, symmetric powers and log-determinants."""

import math

import jax.numpy as jnp
from jax import Array, lax

from sslx.typing import Matrix, Scalar


def l2_normalise(x: Array, *, axis: int = -1, eps: float = 1e-12) -> Array:
    """x / ||x|| along `axis`; vectors shorter than `eps` become 0, with gradient 0 (never NaN)."""
    return x * jnp.expand_dims(safe_reciprocal_norm(x, axis=axis, eps=eps), axis)


def safe_reciprocal_norm(x: Array, *, axis: int = -1, eps: float = 1e-12) -> Array:
    """1 / ||x|| along `axis`; 0, with gradient 0, for vectors shorter than `eps`."""
    square = jnp.sum(x**2, axis=axis)
    long_enough = square > eps**2
    return jnp.where(long_enough, lax.rsqrt(jnp.where(long_enough, square, 1.0)), 0.0)


def safe_norm(x: Array, *, axis: int = -1) -> Array:
    """||x|| along `axis`, with gradient 0 where the norm is 0."""
    return safe_sqrt(jnp.sum(x**2, axis=axis))


def safe_sqrt(x: Array) -> Array:
    """sqrt(max(x, 0)), with gradient 0 where x <= 0."""
    positive = x > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, x, 1.0)), 0.0)


def symmetrise(a: Matrix) -> Matrix:
    """(a + a^T) / 2."""
    return (a + jnp.swapaxes(a, -1, -2)) / 2


def off_diagonal_square_sum(a: Matrix) -> Scalar:
    """sum_{i != j} a_ij^2, [] (the diagonal is masked, not subtracted, so nothing cancels)."""
    return jnp.sum(jnp.where(jnp.eye(a.shape[-1], dtype=bool), 0.0, a) ** 2)


def logdet_shifted(a: Matrix, shift: float) -> Scalar:
    """log det(shift I + a) for symmetric positive semi-definite a, [], by Cholesky; its gradient is (shift I + a)^-1.

    A small `a` goes through its power series, because 1 + a would round its digits away. Where on the contrary the rounding of `a` is
    larger than `shift`, the shift is lifted to that level (16 machine epsilon ||a||_F), so that value and gradient stay finite for
    singular `a` of any size.
    """
    eps = float(jnp.finfo(a.dtype).eps)
    norm = lax.stop_gradient(jnp.sqrt(jnp.sum(a**2))) / shift
    small = norm < (5 * eps) ** 0.2  # there the fifth term of the series is below rounding
    excess = lax.cond(small, _log1p_trace_series, lambda m: _logdet_cholesky(m, jnp.maximum(1.0, 16 * eps * norm)), a / shift)
    return excess + a.shape[-1] * math.log(shift)


def _log1p_trace_series(a: Matrix) -> Scalar:
    """tr(a - a^2/2 + a^3/3 - a^4/4) for symmetric a, []."""
    square = jnp.matmul(a, a, precision=lax.Precision.HIGHEST)
    return jnp.trace(a) - jnp.sum(a * a) / 2 + jnp.sum(a * square) / 3 - jnp.sum(square * square) / 4


def _logdet_cholesky(a: Matrix, shift: Scalar) -> Scalar:
    factor = jnp.linalg.cholesky(a + shift * jnp.eye(a.shape[-1], dtype=a.dtype))
    return 2 * jnp.sum(jnp.log(jnp.diagonal(factor)))


def logdet_one_plus(a: Matrix) -> Scalar:
    """log det(I + a) for symmetric positive semi-definite a, []: `logdet_shifted` with shift 1."""
    return logdet_shifted(a, 1.0)
