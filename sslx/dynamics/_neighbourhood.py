"""Paths of one mode next to a fixed point, where v(lam)/v(lam0) has lost its digits, and their derivatives to second order."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

Elementwise = Callable[[Array], Array]


class Taylor(NamedTuple):
    """v(lam), v'(lam) and v''(lam)/2."""

    value: Array
    slope: Array
    bend: Array


def taylor(velocity: Elementwise, lam: Array) -> Taylor:
    """The velocity around `lam`, elementwise."""

    def value_and_slope(x):
        return jax.jvp(velocity, (x,), (jnp.ones_like(x),))

    (value, slope), (_, curvature) = jax.jvp(value_and_slope, (lam,), (jnp.ones_like(lam),))
    return Taylor(value, slope, lax.stop_gradient(curvature / 2))


def local_path(velocity: Elementwise, t: Array, lam0: Array, lam: Array) -> tuple[Array, Array]:
    """The path from lam0 to lam in the finite time t, as long as it stays next to a fixed point.

    Returns:
        lam - lam0, with its first and second derivatives by t, lam0 and what `velocity` depends on; and whether it is that.
    """
    around = taylor(velocity, lax.stop_gradient(lam0))
    close = is_close(around, lam0, lam)
    a, b, c, t = (jnp.where(close, x, 0.0) for x in (*around, t))
    return riccati(a, b, c, t, lam0 - lax.stop_gradient(lam0)), close


def is_close(around: Taylor, lam0: Array, lam: Array) -> Array:
    """Whether v(lam0) is 0 or, next to a fixed point other than 0, has lost half its digits, and lam has not left that point.

    The test  |v v''| <= sqrt(eps) v'^2  is that of a simple root: at a double one v v''/v'^2 is 1/2 however close it is.
    """
    info = jnp.finfo(lam0.dtype)
    few, size, curvature = info.eps**0.5, jnp.abs(around.slope), 2 * jnp.abs(around.bend)
    at_root = (jnp.abs(around.value) < size * jnp.abs(lam0) / 2) & (jnp.abs(around.value) * curvature <= few * size**2)
    return (jnp.abs(around.value) < info.tiny) | (at_root & (jnp.abs(lam - lam0) * curvature <= few * size))


def riccati(a: Array, b: Array, c: Array, t: Array, x0: Array) -> Array:
    """x(t) of  dx/dt = a + b x + c x^2  where a and x0 are next to 0; there it has its first and second derivatives.

    x = (x0 + (a + (b + r) x0/2) S)/(1 - (c x0 + 2 a c/(b + r)) S),  r^2 = b^2 - 4 a c,  S = (e^{r t} - 1)/r.  As long as b t is 0 up to
    half the digits it is  x0 + a t + b (x0 t + a t^2/2) + c (x0^2 t + x0 a t^2 + a^2 t^3/3).
    """
    info, size = jnp.finfo(b.dtype), jnp.abs(b)
    still = (size * jnp.abs(t) <= info.eps**0.5) | (size < info.tiny**0.4)
    short = jnp.where(still, jnp.clip(t, -(info.max**0.3), info.max**0.3), 0.0)
    slow = x0 + a * t + b * (x0 * t + a * short**2 / 2) + c * (x0**2 * t + x0 * a * short**2 + a**2 * short**3 / 3)
    b = jnp.where(still, 1.0, b)
    a_b, c_b = (jnp.where(still, 0.0, x) / b for x in (a, c))
    root = jnp.sqrt(1 - 4 * a_b * c_b)
    most = jnp.log(info.max) - 5 - jnp.abs(jnp.log(jnp.abs(b))) - jnp.log1p(jnp.abs(c))  # a derivative that is not needed is times 0
    exponent = jnp.minimum(b * root * jnp.where(still, 0.0, t), most)
    span, limited = (jnp.expm1(x) / root for x in (exponent, jnp.minimum(exponent, most - exponent)))  # b S; twice, for products of both
    fast = (x0 + (a_b + (1 + root) / 2 * x0) * span) / (1 - (c_b * x0 + 2 * a_b * c_b / (1 + root)) * limited)
    return jnp.where(still, slow, fast)
