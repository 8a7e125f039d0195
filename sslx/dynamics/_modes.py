"""A law of one variable as the flow of M modes that do not see each other, differentiable however its solution was found.

A law is elementwise. Its clock is an antiderivative of 1/velocity, and elapsed(lam0, lam) = clock(lam) - clock(lam0) is the time
from lam0 to lam between two fixed points: it gives invariants and arrival times, and its inverse is the solution.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from sslx.dynamics._flow import EigenFlow, bounded, floating, unless_unknown, with_modes
from sslx.dynamics._neighbourhood import Elementwise, bernoulli, local_path, newton, taylor
from sslx.dynamics._parameters import transformed
from sslx.typing import Number


class Law(NamedTuple):
    """d lam/dt = velocity(lam) for one mode."""

    velocity: Elementwise
    clock: Elementwise
    elapsed: Callable[[Array, Array], Array]
    solve: Callable[[Array, Array], Array]
    fixed: tuple[Number, ...]
    free: Number
    """A state that is no fixed point."""


def eigen_flow(build: Callable[..., Law], *parameters: Number, threshold: Number | None = None) -> EigenFlow:
    """M independent modes that obey the law `build(*parameters)`.

    The invariant is the mean over modes of clock(lam_m) - t: each mode reads the same time, so any difference of two clocks is
    constant too. Modes at a fixed point have no clock and count 0.
    """
    law = build(*parameters)

    def invariant(t: ArrayLike, lam: ArrayLike) -> Array:
        t, lam = with_modes(t, lam)
        moving = law.velocity(lam) != 0
        return jnp.mean(jnp.where(moving, law.clock(jnp.where(moving, lam, law.free)) - t[..., None], 0.0), axis=-1)

    def fixed_points(lam0: ArrayLike) -> Array:
        (lam0,) = floating(lam0)
        return jnp.broadcast_to(jnp.asarray(law.fixed, lam0.dtype)[:, None], (len(law.fixed), lam0.shape[-1]))

    def arrival(level: ArrayLike, lam0: ArrayLike) -> Array:
        level, lam0 = with_modes(level, lam0)
        end = law.solve(jnp.asarray(jnp.inf, lam0.dtype), lam0)
        reached = (level - lam0) * (end - level) > 0
        start, goal = jnp.where(reached, lam0, law.free), jnp.where(reached, level, law.free)
        time = jnp.where(reached, law.elapsed(start, goal), jnp.inf)
        return unless_unknown(jnp.where(level == lam0, 0.0, time), level, lam0)

    def velocity(lam: ArrayLike) -> Array:
        return law.velocity(*with_modes(lam))

    return EigenFlow(velocity, solution_of(build, *parameters), invariant, fixed_points, arrival, threshold)


def solution_of(build: Callable[..., Law], *parameters: Number) -> Callable[[ArrayLike, ArrayLike], Array]:
    """`solution(t[...], lam0[M]) -> [..., M]` of modes that obey the law `build(*parameters)`, with exact derivatives however it solves.

    For every flow of one variable  d lam/dt = v(lam)  and  d lam/d lam0 = v(lam)/v(lam0).  Where jax transforms the parameters theta,
    d lam/d theta = -v(lam) d elapsed(lam0, lam)/d theta,  since the time from lam0 to lam stays t. Next to a fixed point these are
    differences that have lost their digits: the path is that of `local_path` where the mode starts there or hardly moves, and of
    `arriving` where it ends there, with derivatives right up to the second. Beyond a blow-up, and by theta of a mode that has
    arrived at a double root, derivatives are given as 0.
    """
    if not any(map(transformed, parameters)):
        law = build(*parameters)
        return _solution(lambda: law, ())
    return _solution(build, parameters)


def _solution(build: Callable[..., Law], parameters: tuple[Number, ...]) -> Callable[[ArrayLike, ArrayLike], Array]:
    @jax.custom_jvp
    def solved(theta, t, lam0):
        return build(*theta).solve(t, lam0)

    @solved.defjvp
    def derivative(primals, tangents):
        lam = solved(*primals)
        (theta, t, lam0), (theta_dot, t_dot, lam0_dot), law = primals, tangents, build(*primals[0])
        finite = jnp.isfinite(lam)
        here = jnp.where(finite, lam, law.free)

        def beside_start(theta, x):
            return local_path(build(*theta).velocity, bounded(t), x, here)

        _, moved, close = jax.jvp(beside_start, (theta, lam0), (theta_dot, lam0_dot), has_aux=True)

        def beside_end(theta, t, x):
            return arriving(build, theta, bounded(t), x, here, finite & ~close)

        _, settled, arrived = jax.jvp(beside_end, primals, tangents, has_aux=True)
        v, slope, _ = taylor(law.velocity, here)
        still = close | arrived | (jnp.abs(v) <= 4 * jnp.finfo(lam.dtype).eps * jnp.abs(slope * here))  # the last next to a double root
        start, goal = (jnp.where(finite & ~still, x, law.free) for x in (lam0, here))
        _, later = jax.jvp(lambda theta: build(*theta).elapsed(start, goal), (theta,), (theta_dot,))
        away = v / law.velocity(start) * lam0_dot - v * later
        rise = jnp.where(arrived, settled, v * t_dot + jnp.where(close, moved, away))
        return lam, jnp.where(finite, rise, 0.0).astype(lam.dtype)

    def solution(t: ArrayLike, lam0: ArrayLike) -> Array:
        t, lam0 = with_modes(t, lam0)
        return solved(parameters, t[..., None], lam0)

    return solution


def arriving(build: Callable[..., Law], theta: tuple[Number, ...], t: Array, lam0: Array, lam: Array, moving: Array) -> tuple[Array, Array]:
    """The path from lam0 to lam, for modes that are `moving` and have come next to a fixed point of the law `build(*theta)`.

    The way that is left is measured from there: that of `bernoulli` from a point a little before the end, where the mode is at the time
    `elapsed` and the velocity a parabola up to a relative eps^0.6.

    Returns:
        lam, with its first and second derivatives by theta, t and lam0; and whether it has come there.
    """
    info = jnp.finfo(lam.dtype)
    near, little = info.eps**0.4, info.eps**0.3
    values, before, here = lax.stop_gradient((theta, lam0, lam))
    given, law = build(*values), build(*theta)
    fixed = newton(given.velocity, newton(given.velocity, here))
    _, b, c = taylor(given.velocity, fixed)
    gap, dying = jnp.abs(here - fixed), jnp.abs(here) < info.tiny**0.5  # lam^2 vanishes
    reach = jnp.minimum(jnp.abs(b) / (jnp.abs(c) + info.tiny), jnp.where(dying, info.eps * jnp.abs(before), jnp.abs(fixed)))
    arrived = moving & (b * t < 0) & (dying | (gap <= near * jnp.abs(here)))
    arrived &= jnp.maximum(gap, info.eps * jnp.abs(fixed)) <= near * reach
    point = fixed + jnp.clip(before - fixed, -little * reach, little * reach)
    start, point, fixed = (jnp.where(arrived, x, given.free) for x in (lam0, point, fixed))
    end = newton(law.velocity, newton(law.velocity, fixed))
    _, b, c = taylor(law.velocity, end)
    left = jnp.where(arrived, t - law.elapsed(start, point), 0.0)
    return end + bernoulli(b, c, left, point - end), arrived
