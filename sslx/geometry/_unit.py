"""Features in a unit of their own: the squares of what is far from 1 leave the range of float32, and no direction depends on the unit.

z [N, d], in at least float32. The unit is a power of two, so that nothing is rounded, and it has no gradient: the metrics do not see it.
"""

import jax.numpy as jnp
from jax import Array, lax

from sslx.linalg import l2_normalise
from sslx.moments import at_least_float32, centre, mean, variance
from sslx.typing import AnyArray, AxisName, Embedding


def unit_of(x: AnyArray, *, axis: int | None = None, axis_name: AxisName = None) -> Array:
    """The power of two c with 1 <= max |x| / c < 2, along `axis` (kept, of length 1) or of all; 1 where that is 0 or not finite."""
    largest = lax.stop_gradient(jnp.max(jnp.abs(x), axis=axis, keepdims=axis is not None))
    largest = largest if axis_name is None else lax.pmax(largest, axis_name)
    usual = (largest > 0) & jnp.isfinite(largest)
    largest = jnp.where(usual, largest, 1)
    return largest / (2 * jnp.frexp(largest)[0])


def in_own_unit(x: AnyArray, *, axis: int | None = None, axis_name: AxisName = None) -> Array:
    """x over its `unit_of`."""
    x = at_least_float32(x)
    return x / unit_of(x, axis=axis, axis_name=axis_name)


def unit_rows(z: Embedding) -> Array:
    """Rows of length 1; rows of zeros stay, with gradient 0."""
    return l2_normalise(in_own_unit(z, axis=-1))


def centre_varying(z: Embedding, *, axis_name: AxisName = None) -> Array:
    """Mean 0; a feature whose spread is rounding of its mean becomes 0."""
    rounding = 32 * jnp.finfo(z.dtype).eps * mean(z, axis_name=axis_name)
    return jnp.where(variance(z, axis_name=axis_name) <= rounding**2, 0, centre(z, axis_name=axis_name))  # NaN stays


def standardise(z: Embedding, *, axis_name: AxisName = None) -> Array:
    """Mean 0 and variance exactly 1; a feature whose spread is rounding of its mean becomes 0."""
    centred = centre_varying(in_own_unit(z, axis=0, axis_name=axis_name), axis_name=axis_name)
    spread = variance(centred, axis_name=axis_name)
    return centred * lax.rsqrt(jnp.where(spread > 0, spread, 1))
