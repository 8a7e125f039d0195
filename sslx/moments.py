"""First and second moments of a batch: axis-aware, and in at least float32 whatever comes in.

z [N, d] is the batch on one device; with `axis_name` every moment is that of the batch on all devices (equal N on each), the
variance taken about the global mean as batch norm needs it.
"""

import jax.numpy as jnp
from jax import Array, lax

from sslx.collectives import axis_size, pmean_if
from sslx.typing import AnyArray, AxisName, Embedding, Matrix, Number


def at_least_float32(x: AnyArray) -> Array:
    """`x` in float32, or in its own type if that is wider."""
    x = jnp.asarray(x)
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def global_count(z: AnyArray, axis_name: AxisName = None) -> int:
    """Rows of `z` over all devices of `axis_name`: a Python integer."""
    return z.shape[0] * axis_size(axis_name)


def mean(z: Embedding, *, axis_name: AxisName = None) -> Array:
    """Mean over the batch, [d]."""
    return pmean_if(jnp.mean(at_least_float32(z), axis=0), axis_name)


def centre(z: Embedding, *, axis_name: AxisName = None) -> Array:
    """`z` minus its mean over the batch, [N, d]."""
    return at_least_float32(z) - mean(z, axis_name=axis_name)


def variance(z: Embedding, *, ddof: int = 0, axis_name: AxisName = None) -> Array:
    """Variance of each feature over the batch, [d], divided by N - ddof."""
    n = global_count(z, axis_name)
    centred = centre(z, axis_name=axis_name)
    return pmean_if(jnp.mean(centred**2, axis=0), axis_name) * (n / (n - ddof))


def second_moment(z_a: Embedding, z_b: Embedding | None = None, *, axis_name: AxisName = None) -> Matrix:
    """Uncentred z_a^T z_b / N (z_b = z_a by default), [d, d]."""
    a = at_least_float32(z_a)
    b = a if z_b is None else at_least_float32(z_b)
    return pmean_if(jnp.matmul(a.T, b, precision=lax.Precision.HIGHEST) / z_a.shape[0], axis_name)


def covariance(z: Embedding, *, ddof: int = 1, axis_name: AxisName = None) -> Matrix:
    """Centred covariance over the batch, [d, d], divided by N - ddof."""
    n = global_count(z, axis_name)
    return second_moment(centre(z, axis_name=axis_name), axis_name=axis_name) * (n / (n - ddof))


def standardise(z: Embedding, *, eps: Number = 1e-5, axis_name: AxisName = None) -> Array:
    """(z - mean) / sqrt(variance + eps) per feature with the biased variance, as batch norm without affine parameters."""
    return centre(z, axis_name=axis_name) * lax.rsqrt(variance(z, axis_name=axis_name) + eps)


def cross_correlation(z_a: Embedding, z_b: Embedding, *, eps: Number = 1e-5, axis_name: AxisName = None) -> Matrix:
    """C = standardise(z_a)^T standardise(z_b) / N, [d, d]."""
    return second_moment(
        standardise(z_a, eps=eps, axis_name=axis_name), standardise(z_b, eps=eps, axis_name=axis_name), axis_name=axis_name
    )
