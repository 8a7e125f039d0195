"""Differences that keep their digits where their terms nearly cancel.

What depends on the start alone ends in a division: XLA keeps what it holds for expensive, and computes the rest again for every time.
"""

import jax.numpy as jnp
from jax import Array, lax


def _split(x: Array) -> tuple[Array, Array]:
    """x = head + tail with few enough bits in each that the product of two heads is exact."""
    dtype, bits = (jnp.int64, 27) if x.dtype == jnp.float64 else (jnp.int32, 12)
    head = lax.bitcast_convert_type(lax.bitcast_convert_type(x, dtype) & jnp.asarray(-(1 << bits), dtype), x.dtype)
    return head, x - head


def _product(a: Array, b: Array) -> tuple[Array, Array]:
    """a b = head + tail; the head is exact, whether or not the compiler fuses multiplication and addition."""
    (a_head, a_tail), (b_head, b_tail) = _split(a), _split(b)
    return a_head * b_head, a_head * b_tail + a_tail * b_head + a_tail * b_tail


def reciprocal_minus_product(x: Array, a: Array, b: Array) -> Array:
    """1/x - a b to full relative accuracy: a mode that starts at x = 1e-8 escapes at a b = 1e8, where 8 digits would cancel."""
    inverse = 1 / x
    head, tail = _product(inverse, x)
    correction = ((1 - head) - tail) / x
    head, tail = _product(a, b)
    return (inverse - head) + (correction - tail)


def log1p_minus(w: Array) -> Array:
    """-(w + ln(1 - w)) >= 0 for w in [0, 1), with all its digits near w = 0: with s = w/(2 - w), ln(1 - w) = -2 artanh s."""
    near, small = w < 0.3, jnp.minimum(w, 0.3)
    s = small / (2 - small)
    tail = jnp.zeros_like(s)
    for k in range(21, 1, -2):
        tail = tail * s**2 + 1 / k
    series = small * (small + 2 * s**2 * tail)
    return jnp.where(near, series, -(w + jnp.log1p(-jnp.where(near, 0.5, w)))) / jnp.where(near, 2 - small, 1.0)
