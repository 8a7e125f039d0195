"""The one-variable flows that Euclidean losses lead to, solved once for all of them: logistic, cubic and linear.

The parameters of a law are numbers, which decide what is computed, or what jax transforms, and then every case is computed and one of
them chosen.
"""

from collections.abc import Callable

import jax.numpy as jnp
from jax import Array, lax

from sslx.dynamics._compensated import log1p_minus, reciprocal_minus_product
from sslx.dynamics._flow import bounded, unless_unknown
from sslx.dynamics._integrals import log_ratio, turn
from sslx.dynamics._lambert import one_plus_omega
from sslx.dynamics._modes import Law
from sslx.dynamics._neighbourhood import Elementwise
from sslx.dynamics._parameters import number, transformed
from sslx.typing import Number


def logistic(rate: Number, capacity: Number) -> Law:
    """d lam/dt = rate lam (capacity - lam), of any signs: lam(t) = lam0/(E + (lam0/capacity)(1 - E)), E = e^{-rate capacity t}."""
    rate, capacity = number("rate", rate), number("capacity", capacity)
    unbounded = capacity == 0
    unit = capacity + unbounded

    def velocity(lam):
        return rate * lam * (capacity - lam)

    def clock(lam):
        return log_ratio(capacity, lam - capacity, lam) / rate

    def solve(t, lam0):
        still = (lam0 == 0) | (lam0 == capacity)
        start = jnp.where(still, free, lam0)
        decay = -rate * capacity * t
        falls = jnp.exp(decay) - jnp.expm1(decay) * (start / unit)
        size = jnp.where(decay > 0, 1 + (capacity - start) / unit * jnp.expm1(decay), falls)
        size = jnp.where(unbounded, 1 + rate * start * t, size)
        blown_up = size <= 0
        return jnp.where(still, lam0, jnp.where(blown_up, jnp.inf, start / jnp.where(blown_up, 1.0, size)))

    free = 1.0 + 2.0 * abs(capacity)
    return Law(velocity, clock, _difference(clock), solve, _positive(capacity), free)


def cubic(rate: Number, low: Number, high: Number) -> Law:
    """d lam/dt = -rate lam (lam - low)(lam - high), rate > 0, low <= high, high > 0: partial fractions, inverted by bisection."""
    rate, low, high = number("rate", rate), number("low", low), number("high", high)

    def velocity(lam):
        return -rate * lam * (lam - low) * (lam - high)

    def clock(lam):
        x = lam - low
        return (log_ratio(low - high, x, lam - high) - log_ratio(low, x, lam)) / (rate * high)

    elapsed = _difference(clock)
    return Law(velocity, clock, elapsed, by_bisection(velocity, elapsed, *_destinations(low, high)), _positive(low, high), 1.0 + 2.0 * high)


def cubic_without_roots(rate: Number, middle: Number, offset: Number) -> Law:
    """d lam/dt = -rate lam ((lam - middle)^2 + offset) with offset > 0: every mode collapses, slowest near `middle`."""

    def velocity(lam):
        return -rate * lam * ((lam - middle) ** 2 + offset)

    def elapsed(lam0, lam):
        x0, x = lam0 - middle, lam - middle
        fall = jnp.log(lam / lam0) - jnp.log((x**2 + offset) / (x0**2 + offset)) / 2
        return -(fall + middle * turn(offset, x0, x)) / (rate * (middle**2 + offset))

    def clock(lam):
        return elapsed(jnp.full_like(lam, middle), lam)

    return Law(velocity, clock, elapsed, by_bisection(velocity, elapsed, jnp.zeros_like, infinite), (0.0,), 1.0 + middle)


def cubic_with_or_without_roots(rate: Number, middle: Number, product: Number, offset: Number) -> Law:
    """d lam/dt = -rate lam ((lam - middle)^2 + offset), whatever the sign of `offset` = product - middle^2 turns out to be."""
    rooted, bare = offset < 0, offset > 0
    apart = jnp.sqrt(jnp.where(rooted, -offset, 1.0))
    high = middle + apart
    free = 1.0 + 2.0 * high
    two, none = cubic(rate, product / high, high), cubic_without_roots(rate, middle, jnp.where(rooted, 1.0, offset))

    def velocity(lam):
        return jnp.where(rooted, two.velocity(lam), none.velocity(lam))

    def elapsed(lam0, lam):
        with_roots = two.elapsed(*(jnp.where(rooted, x, free) for x in (lam0, lam)))
        return jnp.where(rooted, with_roots, none.elapsed(*(jnp.where(rooted, free, x) for x in (lam0, lam))))

    def clock(lam):
        return jnp.where(rooted, two.clock(lam), jnp.where(bare, none.clock(lam), cubic(rate, middle, middle).clock(lam)))

    ends = tuple(jnp.where(rooted, root, middle) for root in (product / high, high))
    solve = by_bisection(velocity, elapsed, *_destinations(jnp.where(bare, jnp.inf, ends[0]), jnp.where(bare, 0.0, ends[1])))
    return Law(velocity, clock, elapsed, solve, _positive(*(jnp.where(bare, 0.0, end) for end in ends)), free)


def quadratic_bracket(rate: Number, middle: Number, product: Number, offset: Number | None = None) -> Law:
    """d lam/dt = -rate lam (lam^2 - 2 middle lam + product): by the roots of the bracket, or without them.

    Args:
        offset: product - middle^2 where it is known better than by this difference, of which what may be rounding is taken for 0: the
            threshold is a value that people type.
    """
    rate, middle, product = number("rate", rate), number("middle", middle), number("product", product)
    gap = product - middle**2 if offset is None else number("offset", offset)
    if any(map(transformed, (rate, middle, product, gap))):
        return cubic_with_or_without_roots(rate, middle, product, gap)
    if gap == 0 or (offset is None and abs(gap) <= 1e-15 * middle**2):
        return cubic(rate, middle, middle)
    if gap > 0:
        return cubic_without_roots(rate, middle, gap)
    high = middle + (-gap) ** 0.5
    return cubic(rate, product / high, high)


def hyperbolic(speed: Number, high: Number) -> Law:
    """d lam/dt = speed lam^2 (1 - lam/high): `cubic` with low = 0, by the Lambert W function in its log domain.

    With y = high/lam - 1:  y + ln|y| = y0 + ln|y0| - speed high t,  lam = high/(1 + y).
    """
    speed, high = number("speed", speed), number("high", high)
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


def _destinations(low: Number, high: Number) -> tuple[Elementwise, Elementwise]:
    """Where modes go and where they come from, between the fixed points 0, `low` and `high`; inf and 0 stand for no fixed point but 0."""

    def end(lam0):
        return jnp.where(lam0 == low, low, jnp.where(lam0 > low, high, 0.0)).astype(lam0.dtype)

    def origin(lam0):
        return jnp.where(lam0 > high, jnp.inf, jnp.maximum(low, 0.0)).astype(lam0.dtype)

    return end, origin


def _positive(*states: Number) -> tuple[Number, ...]:
    """0 and those of the states that are positive, each once; where jax transforms them, 0 in the place of each that is not."""
    numbers = [number("state", x) for x in states]
    if any(map(transformed, numbers)):
        return (0.0, *(jnp.maximum(x, 0.0) for x in numbers))
    return tuple(sorted({0.0, *(max(x, 0.0) for x in numbers)}))


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
        return jnp.where((velocity(lam0) == 0) | (t == 0), lam0, unless_unknown(found, t, lam0))

    return solve
