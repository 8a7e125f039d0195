"""Small linear algebra with safe gradients: norms, symmetric powers and log-determinants."""

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


def logdet_one_plus(a: Matrix) -> Scalar:
    """log det(I + a) for symmetric positive semi-definite a, [], by Cholesky; its gradient is (I + a)^-1."""
    factor = jnp.linalg.cholesky(symmetrise(a) + jnp.eye(a.shape[-1], dtype=a.dtype))
    return 2 * jnp.sum(jnp.log(jnp.diagonal(factor)))
