"""The one-variable flows that Euclidean losses lead to, solved once for all of them: logistic, cubic and linear.

A law is elementwise. Its clock is an antiderivative of 1/velocity, and elapsed(lam0, lam) = clock(lam) - clock(lam0) is the time
from lam0 to lam between two fixed points: it gives invariants and arrival times, and its inverse is the solution.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from sslx.dynamics._compensated import log1p_minus, reciprocal_minus_product
from sslx.dynamics._flow import EigenFlow, bounded, decoupled_solution, floating
from sslx.dynamics._lambert import one_plus_omega

Elementwise = Callable[[Array], Array]


class Law(NamedTuple):
    """d lam/dt = velocity(lam) for one mode."""

    velocity: Elementwise
    clock: Elementwise
    elapsed: Callable[[Array, Array], Array]
    solve: Callable[[Array, Array], Array]
    fixed: tuple[float, ...]


def eigen_flow(law: Law, threshold: float | None = None) -> EigenFlow:
    """M independent modes that obey `law`.

    The invariant is the mean over modes of clock(lam_m) - t: each mode reads the same time, so any difference of two clocks is
    constant too. Modes at a fixed point have no clock and count 0.
    """

    def invariant(t: ArrayLike, lam: ArrayLike) -> Array:
        t, lam = floating(t, lam)
        moving = law.velocity(lam) != 0
        return jnp.mean(jnp.where(moving, law.clock(jnp.where(moving, lam, 1.0)) - t[..., None], 0.0), axis=-1)

    def fixed_points(lam0: ArrayLike) -> Array:
        (lam0,) = floating(lam0)
        return jnp.broadcast_to(jnp.asarray(law.fixed, lam0.dtype)[:, None], (len(law.fixed), lam0.shape[-1]))

    def arrival(level: ArrayLike, lam0: ArrayLike) -> Array:
        level, lam0 = floating(level, lam0)
        end = law.solve(jnp.asarray(jnp.inf, lam0.dtype), lam0)
        reached = (level - lam0) * (end - level) > 0
        start, goal = jnp.where(reached, lam0, 1.0), jnp.where(reached, level, 1.0)
        return jnp.where(level == lam0, 0.0, jnp.where(reached, law.elapsed(start, goal), jnp.inf))

    def velocity(lam: ArrayLike) -> Array:
        return law.velocity(*floating(lam))

    return EigenFlow(velocity, decoupled_solution(law.velocity, law.solve), invariant, fixed_points, arrival, threshold)


def logistic(rate: float, capacity: float) -> Law:
    """d lam/dt = rate lam (capacity - lam), of any signs: lam(t) = lam0/(E + (lam0/capacity)(1 - E)), E = e^{-rate capacity t}."""

    def velocity(lam):
        return rate * lam * (capacity - lam)

    def clock(lam):
        return _log_ratio(capacity, lam - capacity, lam) / rate

    def solve(t, lam0):
        still = (lam0 == 0) | (lam0 == capacity)
        start = jnp.where(still, 1.0 + 2.0 * abs(capacity), lam0)
        decay = -rate * capacity * t
        if capacity == 0:
            size = 1 + rate * start * t
        else:
            falls = jnp.exp(decay) - jnp.expm1(decay) * (start / capacity)
            size = jnp.where(decay > 0, 1 + (capacity - start) / capacity * jnp.expm1(decay), falls)
        blown_up = size <= 0
        return jnp.where(still, lam0, jnp.where(blown_up, jnp.inf, start / jnp.where(blown_up, 1.0, size)))

    return Law(velocity, clock, _difference(clock), solve, (0.0, capacity) if capacity > 0 else (0.0,))


def cubic(rate: float, low: float, high: float) -> Law:
    """d lam/dt = -rate lam (lam - low)(lam - high), rate > 0, low <= high, high > 0: partial fractions, inverted by bisection."""

    def velocity(lam):
        return -rate * lam * (lam - low) * (lam - high)

    def clock(lam):
        x = lam - low
        return (_log_ratio(low - high, x, lam - high) - _log_ratio(low, x, lam)) / (rate * high)

    def end(lam0):
        return jnp.where(lam0 == low, low, jnp.where(lam0 > low, high, 0.0)).astype(lam0.dtype)

    def origin(lam0):
        return jnp.where(lam0 > high, jnp.inf, max(low, 0.0)).astype(lam0.dtype)

    fixed = tuple(sorted({0.0, max(low, 0.0), high}))
    elapsed = _difference(clock)
    return Law(velocity, clock, elapsed, by_bisection(velocity, elapsed, end, origin), fixed)


def cubic_without_roots(rate: float, middle: float, offset: float) -> Law:
    """d lam/dt = -rate lam ((lam - middle)^2 + offset) with offset > 0: every mode collapses, slowest near `middle`."""
    depth = offset**0.5

    def velocity(lam):
        return -rate * lam * ((lam - middle) ** 2 + offset)

    def elapsed(lam0, lam):
        x0, x = lam0 - middle, lam - middle
        turn = middle / depth * jnp.arctan2(depth * (x - x0), offset + x * x0)
        fall = jnp.log(lam / lam0) - jnp.log((x**2 + offset) / (x0**2 + offset)) / 2
        return -(fall + turn) / (rate * (middle**2 + offset))

    def clock(lam):
        return elapsed(jnp.full_like(lam, middle), lam)

    return Law(velocity, clock, elapsed, by_bisection(velocity, elapsed, jnp.zeros_like, infinite), (0.0,))


def quadratic_bracket(rate: float, middle: float, product: float, offset: float | None = None) -> Law:
    """d lam/dt = -rate lam (lam^2 - 2 middle lam + product): by the roots of the bracket, or without them.

    Args:
        offset: product - middle^2 where it is known better than by this difference, of which what may be rounding is taken for 0: the
            threshold is a value that people type.
    """
    if offset is None:
        offset = product - middle**2 if abs(product - middle**2) > 1e-15 * middle**2 else 0.0
    if offset == 0:
        return cubic(rate, middle, middle)
    if offset > 0:
        return cubic_without_roots(rate, middle, offset)
    high = middle + (-offset) ** 0.5
    return cubic(rate, product / high, high)


def hyperbolic(speed: float, high: float) -> Law:
    """d lam/dt = speed lam^2 (1 - lam/high): `cubic` with low = 0, by the Lambert W function in its log domain.

    With y = high/lam - 1:  y + ln|y| = y0 + ln|y0| - speed high t,  lam = high/(1 + y).
    """
    law = cubic(speed / high, 0.0, high)

    def solve(t, lam0):
        t = bounded(t)
        positive = lam0 > 0
        start = jnp.where(positive, lam0, 1.0)
        above = start > high
        log_y0 = jnp.log(jnp.abs(high - start) / start)
        rise = high * reciprocal_minus_product(start, jnp.asarray(speed, start.dtype), t) - 1 + log_y0
        fall = log1p_minus(jnp.where(above, high / start, 0.0)) + speed * high * t
        return jnp.where(positive, high / one_plus_omega(jnp.where(above, fall, rise), above), lam0)

    return law._replace(solve=solve)


def _log_ratio(shift: float, x: Array, shifted: Array) -> Array:
    """ln|shifted/x| / shift for shifted = x + shift; 1/x for shift = 0."""
    if shift == 0:
        return 1 / x
    small = jnp.abs(shift) < 0.5 * jnp.abs(x)
    near = jnp.log1p(jnp.where(small, shift / jnp.where(small, x, 1.0), 0.0))
    return jnp.where(small, near, jnp.log(jnp.abs(jnp.where(small, 1.0, shifted / jnp.where(small, 1.0, x))))) / shift


def _difference(clock: Elementwise) -> Callable[[Array, Array], Array]:
    def elapsed(lam0, lam):
        return clock(lam) - clock(lam0)

    return elapsed


def infinite(lam: Array) -> Array:
    """Where modes come from that were larger the earlier."""
    return jnp.full_like(lam, jnp.inf)


def by_bisection(
    velocity: Elementwise, elapsed: Callable[[Array, Array], Array], end: Elementwise, origin: Elementwise
) -> Callable[[Array, Array], Array]:
    """The state at time t on the way from lam0 to `end(lam0)`, for t < 0 back to `origin(lam0)`, by bisection over the floats themselves.

    Positive floats are ordered as their bit patterns, so as many halvings as there are bits find the last one that the mode
    has reached, at any distance from a fixed point. Up to `far` the velocity, a cubic, is a float; who gets there is infinite.
    """

    def solve(t, lam0):
        t, lam0 = t + jnp.zeros_like(lam0), lam0 + jnp.zeros_like(t)  # as `broadcast_arrays`, and split over devices if either is
        bits = jnp.int64 if lam0.dtype == jnp.float64 else jnp.int32
        goal = jnp.where(t < 0, origin(lam0), end(lam0))
        far = lax.bitcast_convert_type(jnp.asarray(jnp.finfo(lam0.dtype).max ** 0.25, lam0.dtype), bits)

        def halve(_, bracket):
            reached, ahead = bracket
            middle = reached + ((ahead - reached) >> 1)
            time = elapsed(lam0, lax.bitcast_convert_type(middle, lam0.dtype))
            passed = jnp.where(t < 0, time >= t, time <= t)
            return jnp.where(passed, middle, reached), jnp.where(passed, ahead, middle)

        bracket = lax.bitcast_convert_type(lam0, bits), jnp.where(jnp.isinf(goal), far, lax.bitcast_convert_type(goal, bits))
        reached, ahead = lax.fori_loop(0, 8 * lam0.dtype.itemsize, halve, bracket)
        arrived = jnp.isinf(t) | (jnp.isinf(goal) & (ahead == far))
        found = jnp.where(arrived, goal, lax.bitcast_convert_type(reached, lam0.dtype))
        return jnp.where((velocity(lam0) == 0) | (t == 0), lam0, jnp.where(jnp.isnan(t), t, found))

    return solve
