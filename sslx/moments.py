"""First and second moments of a batch: axis-aware, and in at least float32 whatever comes in.

z [N, d] is the batch on one device; with `axis_name` every moment is that of the batch on all devices (equal N on each), the
variance taken about the global mean as batch norm needs it.
"""

from numbers import Real

import jax
import jax.numpy as jnp
from jax import Array, lax

from sslx.collectives import axis_size, pmean_if
from sslx.linalg import off_diagonal_square_sum, product
from sslx.typing import AnyArray, AxisName, Embedding, Matrix, Number, Scalar


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


def variance(z: Embedding, *, axis_name: AxisName = None) -> Array:
    """Variance of each feature over the batch, [d], divided by N."""
    return pmean_if(jnp.mean(centre(z, axis_name=axis_name) ** 2, axis=0), axis_name)


def moving_average(old: AnyArray, new: AnyArray, decay: Number) -> Array:
    """decay old + (1 - decay) new, with one product: of two each program would fuse the one it likes, and round otherwise than the next.

    What weighs more stands alone, so that nothing of it is lost next to a large value that weighs little.
    """
    old, new = jnp.asarray(old), jnp.asarray(new)
    return new + decay * (old - new) if isinstance(decay, Real) and decay < 0.5 else old + (1 - decay) * (new - old)


@jax.custom_jvp
def gram(a: Array) -> Array:
    """a^T a, [d, d], with a gradient of one matrix product where that of a general product needs two."""
    return product(a.T, a)


@gram.defjvp
def _gram_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    half = product(primals[0].T, tangents[0])
    return gram(primals[0]), half + half.T  # transposed: a (G + G^T)


@jax.custom_jvp
def row_gram(a: Array) -> Array:
    """a a^T, [N, N], as `gram`; of a^T `gram` would give a gradient that has to be transposed. Of many rows a quarter is mirrored."""
    if len(a) < 512:
        return product(a, a.T)
    left, right = jnp.split(a, [len(a) // 2])
    top = product(left, a.T)
    corner = product(right, right.T)
    return jnp.concatenate([top, jnp.concatenate([top[:, len(left) :].T, corner], axis=1)])


@row_gram.defjvp
def _row_gram_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    half = product(tangents[0], primals[0].T)
    return row_gram(primals[0]), half + half.T


def second_moment(z_a: Embedding, z_b: Embedding | None = None, *, axis_name: AxisName = None) -> Matrix:
    """Uncentred z_a^T z_b / N (z_b = z_a by default), [d, d]."""
    a = at_least_float32(z_a)
    moment = gram(a) if z_b is None else product(a.T, at_least_float32(z_b))
    return pmean_if(moment / z_a.shape[0], axis_name)


def square_sums(z_a: Embedding, z_b: Embedding | None = None, *, axis_name: AxisName = None) -> tuple[Array, Scalar]:
    """Diagonal [d] of C = z_a^T z_b / N and sum_{i != j} C_ij^2, []; of few rows by their Gram matrices.

    z_b is z_a by default; another one, and z_a with it, has to be standardised for the digits of the second.
    """
    n, d = z_a.shape
    if axis_name is not None or 2 * n > d:
        c = second_moment(z_a, z_b, axis_name=axis_name)
        return jnp.diagonal(c), off_diagonal_square_sum(c)
    views = tuple(at_least_float32(z) for z in (z_a, z_b) if z is not None)
    return jnp.mean(views[0] * views[-1], axis=0), _off_diagonal_by_rows(views)


@jax.custom_jvp
def _off_diagonal_by_rows(views: tuple[Array, ...]) -> Scalar:
    return _value_and_slopes(views)[0]


@_off_diagonal_by_rows.defjvp
def _off_diagonal_jvp(primals: tuple[tuple[Array, ...]], tangents: tuple[tuple[Array, ...]]) -> tuple[Scalar, Scalar]:
    value, slopes = _value_and_slopes(*primals)
    return value, sum((jnp.sum(slope * moved) for slope, moved in zip(slopes, *tangents, strict=True)), jnp.zeros_like(value))


def _value_and_slopes(views: tuple[Array, ...]) -> tuple[Scalar, tuple[Array, ...]]:
    """sum_{i != j} C_ij^2 = tr(a a^T b b^T) / N^2 - sum_i C_ii^2 and its gradient, for views (a, b), or (a,) where b = a.

    C has at most half of its rank, so that of features of like variance half of the trace remains. Where less than a hundredth does,
    because few features hold all of the variance, the digits would not do, and C itself is taken; two views are standardised, and no
    feature holds more than its share.
    """
    a, b = views[0], views[-1]
    weight = 4 / (len(a) * len(views))
    rows, diagonal = [row_gram(z) / len(a) for z in views], jnp.mean(a * b, axis=0)
    trace = jnp.sum(rows[0] * rows[-1])
    left = jnp.maximum(trace - jnp.sum(diagonal**2), 0.0)  # below 0 by rounding, where few features vary

    def by_rows() -> tuple[Scalar, tuple[Array, ...]]:
        crossed = zip(reversed(rows), views, reversed(views), strict=True)
        return left, tuple(weight * (product(r, z) - other * diagonal) for r, z, other in crossed)

    def by_columns() -> tuple[Scalar, tuple[Array, ...]]:
        c = product(a.T, a) / len(a) * (1 - jnp.eye(a.shape[1], dtype=a.dtype))
        return jnp.sum(c**2), (weight * product(a, c),)

    return by_rows() if len(views) == 2 else lax.cond(left < 0.01 * trace, by_columns, by_rows)


def covariance(z: Embedding, *, ddof: int = 1, axis_name: AxisName = None) -> Matrix:
    """Centred covariance over the batch, [d, d], divided by N - ddof."""
    n = global_count(z, axis_name)
    return second_moment(centre(z, axis_name=axis_name), axis_name=axis_name) * (n / (n - ddof))


def standardise(z: Embedding, *, eps: Number = 1e-5, axis_name: AxisName = None) -> Array:
    """(z - mean) / sqrt(variance + eps) per feature with the biased variance, as batch norm without affine parameters; 0 for 0 / 0."""
    square = variance(z, axis_name=axis_name) + eps
    return centre(z, axis_name=axis_name) * lax.rsqrt(jnp.where(square == 0, 1.0, square))
