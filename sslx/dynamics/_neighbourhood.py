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
    start = lax.stop_gradient(lam0)
    around = taylor(velocity, start)
    beside_zero = is_linear(around, start, lam)
    still = is_still(around, t, start, lam) & ~beside_zero
    a, b, c, time = (jnp.where(still, x, 0.0) for x in (*around, t))
    moved = riccati(a, b, c, time, lam0 - start)
    at_zero = jnp.where(beside_zero, around.slope - 2 * around.bend * start, 1.0)
    bend, time, x0 = (jnp.where(beside_zero, x, 0.0) for x in (around.bend, t, lam0))
    end = bernoulli(at_zero, bend, time, x0)
    return jnp.where(beside_zero, end - start, moved), beside_zero | still


def newton(velocity: Elementwise, lam: Array) -> Array:
    """A step from `lam` to the fixed point beside it; `lam` where the velocity has no slope."""
    value, slope = jax.jvp(velocity, (lam,), (jnp.ones_like(lam),))
    return lam - jnp.where(slope == 0, 0.0, value / jnp.where(slope == 0, 1.0, slope))


def is_linear(around: Taylor, lam0: Array, lam: Array) -> Array:
    """Whether v is b lam up to half of the digits as far as lam."""
    a, b, c = around
    few = jnp.finfo(lam0.dtype).eps ** 0.45
    straight = (jnp.abs(a - b * lam0) <= few * jnp.abs(a)) & (2 * jnp.abs(lam - lam0) * jnp.abs(c) <= few * jnp.abs(b))
    return straight & (b != 0) & (2 * jnp.abs(b - 2 * c * lam0) >= jnp.abs(b))


def is_still(around: Taylor, t: Array, lam0: Array, lam: Array) -> Array:
    """Whether v(lam0) is 0, or lam - lam0 has lost half its digits.

    And whether `riccati` takes it, which wants e^{r t} for a large r t, r^2 = b^2 - 4 a c, to be next to e^{b t}.
    """
    a, b, c = around
    info, moved = jnp.finfo(lam0.dtype), jnp.abs(lam - lam0)
    bent = jnp.abs(c * lam0 * t) / (1 + jnp.abs(b * t))  # as much as this a cubic term counts for more
    short = moved * (1 + bent) <= info.eps**0.45 * jnp.abs(lam0)
    solved = is_slow(b**2 - 4 * a * c, t) | (8 * jnp.abs(a * c) <= b**2)
    return (jnp.abs(a) < info.tiny) | (solved & short)


def bernoulli(b: Array, c: Array, t: Array, x0: Array) -> Array:
    """x(t) of  dx/dt = b x + c x^2, b != 0,  where |c x| << |b|:  x = x0 e^{b t}/(1 - (c/b) x0 (e^{b t} - 1)).

    All derivatives keep their digits, however far x dies.
    """
    rise, limited = exponents(b * t, b, c)
    return x0 * jnp.exp(rise) / (1 - c / b * x0 * jnp.expm1(limited))


def exponents(exponent: Array, b: Array, c: Array) -> tuple[Array, Array]:
    """The exponent bounded so that its exponential is finite, and so that the product of both exponentials is."""
    info = jnp.finfo(b.dtype)
    most = jnp.log(info.max) - 5 - jnp.abs(jnp.log(jnp.abs(b))) - jnp.log1p(jnp.abs(c))  # a derivative that is not needed is times 0
    first = jnp.minimum(exponent, most)
    return first, jnp.minimum(first, most - first)


def is_slow(square: Array, t: Array) -> Array:
    """Whether tanh(r t/2) is a short series in r^2 t^2."""
    return jnp.abs(square) * t**2 <= 4e-4


def riccati(a: Array, b: Array, c: Array, t: Array, x0: Array) -> Array:
    """x(t) of  dx/dt = a + b x + c x^2  where a and x0 are next to 0; there it has its first and second derivatives.

    With r^2 = b^2 - 4 a c it is  x = (x0 + (2 a + b x0) T)/(1 - (b + 2 c x0) T),  T = tanh(r t/2)/r,  for small r t, and else
    x = a S/D + x0 e^{r t}/(D (D - c x0 S)),  D = 1 - 2 a c/(b + r) S,  S = (e^{r t} - 1)/r, whose derivative keeps its digits as it decays.
    """
    square, longest = b**2 - 4 * a * c, jnp.finfo(b.dtype).max ** 0.3
    short = jnp.clip(t, -longest, longest)  # so that powers of it are finite
    slow = is_slow(square, short)
    short = jnp.where(slow, short, 0.0)
    y = square * short**2 / 4
    tanh = short / 2 * (1 - y * (1 / 3 - y * (2 / 15 - y * 17 / 315)))
    slowly = (x0 + (2 * a + b * x0) * tanh) / (1 - (b + 2 * c * x0) * tanh) + a * jnp.where(slow, t - short, 0.0)
    b = jnp.where(slow, 1.0, b)
    a_b, c_b = (jnp.where(slow, 0.0, x) / b for x in (a, c))
    root = jnp.sqrt(1 - 4 * a_b * c_b)
    rise, bounded_rise = exponents(b * root * jnp.where(slow, 0.0, t), b, c)
    span, limited = (jnp.expm1(x) / root for x in (rise, bounded_rise))  # b S; twice, for products of both
    below = 1 - 2 * a_b * c_b / (1 + root) * limited
    fast = (a_b * span + x0 * jnp.exp(rise) / (below - c_b * limited * x0)) / below
    return jnp.where(slow, slowly, fast)
