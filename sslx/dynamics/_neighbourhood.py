"""Paths of one mode that hardly move or start next to a fixed point, where differences have lost their digits: the derivatives there."""

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
    return Taylor(value, slope, curvature / 2)


def local_path(velocity: Elementwise, t: Array, lam0: Array, lam: Array) -> tuple[Array, Array]:
    """The path from lam0 to lam in the finite time t, as long as it stays where the velocity is a parabola.

    Returns:
        lam - lam0, with its first and second derivatives by lam0 and what `velocity` depends on; and whether it is that.
    """
    around = taylor(velocity, lax.stop_gradient(lam0))
    close = is_close(around, t, lam0, lam)
    a, b, c, t = (jnp.where(close, x, 0.0) for x in (*around, t))
    return riccati(a, b, c, t, lam0 - lax.stop_gradient(lam0)), close


def is_close(around: Taylor, t: Array, lam0: Array, lam: Array) -> Array:
    """Whether v(lam0) is 0, or lam - lam0 has lost half its digits, or v is b lam up to half of them as far as lam.

    And whether `riccati` takes it, which wants e^{r t} for a large r t, r^2 = b^2 - 4 a c, to be next to e^{b t}.
    """
    a, b, c = around
    info, moved = jnp.finfo(lam0.dtype), jnp.abs(lam - lam0)
    few = info.eps**0.45
    bent = jnp.abs(c * lam0 * t) / (1 + jnp.abs(b * t))  # as much as this a cubic term counts for more
    short = moved * (1 + bent) <= few * jnp.abs(lam0)
    linear = (jnp.abs(a - b * lam0) <= few * jnp.abs(a)) & (2 * moved * jnp.abs(c) <= few * jnp.abs(b))
    solved = is_slow(b**2 - 4 * a * c, t) | (8 * jnp.abs(a * c) <= b**2)
    return (jnp.abs(a) < info.tiny) | (solved & (short | linear))


def is_slow(square: Array, t: Array) -> Array:
    """Whether tanh(r t/2) is a short series in r^2 t^2."""
    return jnp.abs(square) * t**2 <= 4e-4


def riccati(a: Array, b: Array, c: Array, t: Array, x0: Array) -> Array:
    """x(t) of  dx/dt = a + b x + c x^2  where a and x0 are next to 0; there it has its first and second derivatives.

    With r^2 = b^2 - 4 a c it is  x = (x0 + (2 a + b x0) T)/(1 - (b + 2 c x0) T),  T = tanh(r t/2)/r,  for small r t, and else
    x = (x0 + (a + (b + r) x0/2) S)/(1 - (c x0 + 2 a c/(b + r)) S),  S = (e^{r t} - 1)/r.
    """
    info = jnp.finfo(b.dtype)
    square, longest = b**2 - 4 * a * c, info.max**0.3
    short = jnp.clip(t, -longest, longest)  # so that powers of it are finite
    slow = is_slow(square, short)
    short = jnp.where(slow, short, 0.0)
    y = square * short**2 / 4
    tanh = short / 2 * (1 - y * (1 / 3 - y * (2 / 15 - y * 17 / 315)))
    slowly = (x0 + (2 * a + b * x0) * tanh) / (1 - (b + 2 * c * x0) * tanh) + a * jnp.where(slow, t - short, 0.0)
    b = jnp.where(slow, 1.0, b)
    a_b, c_b = (jnp.where(slow, 0.0, x) / b for x in (a, c))
    root = jnp.sqrt(1 - 4 * a_b * c_b)
    most = jnp.log(info.max) - 5 - jnp.abs(jnp.log(jnp.abs(b))) - jnp.log1p(jnp.abs(c))  # a derivative that is not needed is times 0
    exponent = jnp.minimum(b * root * jnp.where(slow, 0.0, t), most)
    span, limited = (jnp.expm1(x) / root for x in (exponent, jnp.minimum(exponent, most - exponent)))  # b S; twice, for products of both
    fast = (x0 + (a_b + (1 + root) / 2 * x0) * span) / (1 - (c_b * x0 + 2 * a_b * c_b / (1 + root)) * limited)
    return jnp.where(slow, slowly, fast)
