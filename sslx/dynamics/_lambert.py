"""The Lambert W function, and log-domain forms of it that neither overflow nor underflow.

W is the inverse of w e^w. Near its branch point -1/e everything is written in the gap G = -1 - ln(-x) >= 0, in which
w = 1 + W solves  -(w + ln(1 - w)) = G  and is a power series of q = sqrt(2 G) (q < 0 on branch -1, radius sqrt(4 pi)).
"""

import math
from functools import partial

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from sslx.dynamics._flow import floating

_INVERSE_E_TAIL = -1.2428753672788363e-17  # 1/e minus its float64 rounding
_SERIES_REACH = 0.5  # |q| up to which 20 terms are exact to rounding: (0.5 / 3.54)^21 = 2e-18


def _branch_series(terms: int) -> tuple[float, ...]:
    """Coefficients a_1, a_2, ... of w = sum_k a_k q^k, from w dw/dq = q (1 - w)."""
    a = [0.0, 1.0]
    for n in range(2, terms + 1):
        a.append(-a[n - 1] / (n + 1) - sum(a[i] * a[n + 1 - i] for i in range(2, n)) / 2)
    return tuple(a[1:])


_SERIES = _branch_series(20)


def _near_branch(q: Array, terms: int = len(_SERIES)) -> Array:
    """1 + W as a power series of q, elementwise."""
    w = jnp.zeros_like(q)
    for a in reversed(_SERIES[:terms]):
        w = (w + a) * q
    return w


def lambertw(x: ArrayLike, branch: int = 0) -> Array:
    """The real Lambert W function, the solution of W e^W = x, elementwise.

    Branch 0 is defined for x >= -1/e (where W >= -1), branch -1 for -1/e <= x < 0 (where W <= -1). In float64 the relative
    error is below 1e-13; an x within rounding of -1/e counts as the branch point. The derivative is e^{-W}/(1 + W).

    Args:
        x: real, any shape.
        branch: 0 (principal) or -1.

    Returns:
        W in the shape of `x`, NaN outside the domain.

    Raises:
        ValueError: for another branch.

    Reference: Corless, Gonnet, Hare, Jeffrey, Knuth (1996), On the Lambert W function; the iteration is that of
        Fritsch, Shafer, Crowley (1973), Algorithm 443.
    """
    if branch not in (0, -1):
        raise ValueError(f"branch must be 0 or -1, got {branch!r}; the other branches are complex")
    (x,) = floating(x)
    return _lambertw(branch, x)


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _lambertw(branch: int, x: Array) -> Array:
    above = _above_branch_point(x)
    origin = jnp.abs(x) < jnp.finfo(x.dtype).tiny  # where W_0(x) = x
    inside = (above >= -4 * jnp.finfo(x.dtype).eps) & ((x < 0) | (branch == 0)) & jnp.isfinite(x) & ~origin
    near = inside & (above < 0.4)
    q = jnp.sqrt(-2 * jnp.log1p(-jnp.where(near, jnp.maximum(above, 0.0), 0.0))) * (1.0 if branch == 0 else -1.0)
    series = _near_branch(q) - 1
    exact = near & (jnp.abs(q) < _SERIES_REACH)
    inner = jnp.where(inside & ~exact, x, 1.0 if branch == 0 else -0.1)
    w = jnp.where(near & ~exact, series, _far_guess(inner, branch))
    for _ in range(3):
        w = _fritsch_step(w, inner)
    edges = jnp.where(origin, x if branch == 0 else -jnp.inf, jnp.where((x > 0) & (branch == 0), x, jnp.nan))
    return jnp.where(inside, jnp.where(exact, series, w), edges)


@_lambertw.defjvp
def _lambertw_derivative(branch, primals, tangents):
    w = _lambertw(branch, *primals)
    return w, jnp.exp(-w) / (1 + w) * tangents[0]


def _above_branch_point(x: Array) -> Array:
    """1 + e x, to full relative accuracy: x + 1/e is exact near the branch point once 1/e is split in two.

    The barrier keeps the compiler from adding the two parts of 1/e to each other first.
    """
    head = float(jnp.finfo(x.dtype).dtype.type(math.exp(-1)))
    return math.e * (lax.optimization_barrier(x + head) + (math.exp(-1) - head + _INVERSE_E_TAIL))


def _far_guess(x: Array, branch: int) -> Array:
    """W to a few per cent, away from the branch point."""
    if branch == 0:
        log = jnp.log1p(x)
        return log * (1 - jnp.log1p(log) / (2 + log))
    log = jnp.log(-x)
    return log - jnp.log(-log) * (1 - 1 / log)


def _fritsch_step(w: Array, x: Array) -> Array:
    """One step of fourth order."""
    z = jnp.log(x / w) - w
    q = 2 * (1 + w) * (1 + w + 2 / 3 * z)
    return w * (1 + z / (1 + w) * (q - z) / (q - 2 * z))


def one_plus_omega(x: Array, below: Array) -> Array:
    """1 + y, elementwise, where y solves  y + ln y = x  (`below` False: y > 0, any real x) or where y in [-1, 0) solves
    -(1 + y + ln(-y)) = x >= 0  (`below` True): both are 1 + W_0(+-e^c), for any c = x or -1 - x that a float can hold.

    The iteration runs in v = ln|y|: a seed in single precision, and one step of third order from it. Near y = -1, where v has lost its
    digits, 9 terms of the series serve. A reciprocal passes through `abs`, and a square root through a bound, so that it has one user:
    with two, XLA on a CPU would end its loop there and keep an array in memory.
    """
    sign = jnp.where(below, -1.0, 1.0)
    near = below & (x < 0.005)
    c = jnp.where(near, -2.0, jnp.where(below, -1 - x, x))
    bounded = jnp.clip(c, -1000.0, 1e18)  # further out, y = e^c or c - ln c is the same to rounding
    v = _single_precision_seed(bounded.astype(jnp.float32), below, sign.astype(jnp.float32)).astype(x.dtype)
    e = sign.astype(x.dtype) * jnp.exp(v)
    inverse = jnp.abs(1 / (1 + e))
    a = (bounded - v - e) * inverse
    step = a * (1 - a * e * inverse / 2)
    y = e * (1 + step * (1 + step / 2))
    series = _near_branch(jnp.minimum(jnp.sqrt(2 * jnp.maximum(x, 0.0)), 0.1), 9)
    return jnp.where(near, series, 1 + jnp.where(c > 1, c - (v + step), y))


def _single_precision_seed(c: Array, below: Array, sign: Array) -> Array:
    """v with  sign e^v + v = c  to single precision: one step of fourth order from a guess that is right to 0.1."""
    q = jnp.minimum(jnp.sqrt(2 * jnp.maximum(jnp.where(below, -1 - c, 1.0), 0.0)), 2.4)
    v = jnp.where(below, jnp.where(q < 2.4, c + 1 - _near_branch(q, 5), c), _omega_guess(c))
    e = sign * jnp.exp(v)
    inverse = jnp.abs(1 / (1 + e))
    a, p = (c - v - e) * inverse, e * inverse / 2
    return v + a * (1 + a * p * (-1 + a * (2 * p - 1 / 3)))


def _omega_guess(c: Array) -> Array:
    """v with e^v + v = c, to 0.1: base + numerator / denominator for small, middling and large c, with one division for all."""
    x, z = jnp.maximum(1 - c, 0.0), jnp.clip(c - 1, 0.0, 5.0)
    log, low, middling = _rough_log(jnp.maximum(c, 6.0)), c < 1, c < 6
    base = jnp.where(low, c, jnp.where(middling, 0.0, log))
    numerator = jnp.where(low, -1.0, jnp.where(middling, z, -log))
    denominator = jnp.where(low, 1 + x * (0.5 + x * 0.3125), jnp.where(middling, 2 + 0.265 * z, c))
    return base + numerator / denominator


def _rough_log(x: Array) -> Array:
    """ln x to 0.03, read off the bits of a positive float32."""
    return math.log(2) * (lax.bitcast_convert_type(x, jnp.int32).astype(x.dtype) * 2.0**-23 - (127 - 0.043))
