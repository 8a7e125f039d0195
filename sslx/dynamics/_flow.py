"""The one type of this room: an eigenmode flow, a tuple of pure functions.

Shapes: M modes; `lam` [..., M] is a state (a flow with two numbers per mode has [..., 2, M] and says so); t [...] times.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike


class EigenFlow(NamedTuple):
    """Gradient flow of the eigenmodes of a linear network, d lam/dt = velocity(lam).

    A field that theory does not give is None. The functions are pure: they can be jitted, vmapped and differentiated.
    """

    velocity: Callable[[Array], Array]
    """`velocity(lam[..., M]) -> [..., M]`"""
    solution: Callable[[ArrayLike, Array], Array] | None = None
    """`solution(t[...], lam0[M]) -> [..., M]`; a finite t < 0 is a time before the start; inf beyond a blow-up, on either side"""
    invariant: Callable[[ArrayLike, Array], Array] | None = None
    """`invariant(t[...], lam[..., M]) -> [...]`, constant along a trajectory"""
    fixed_points: Callable[[Array], Array] | None = None
    """`fixed_points(lam0[M]) -> [K, M]`"""
    arrival: Callable[[ArrayLike, Array], Array] | None = None
    """`arrival(level, lam0[M]) -> [M]`, the time a mode takes from lam0 to `level`; inf where it never gets there"""
    threshold: float | None = None
    """The weight decay above which every mode collapses"""


def floating(*xs: ArrayLike) -> tuple[Array, ...]:
    """The arguments as arrays of one real type: the widest that comes in and at least float32, jax's default where all are integers."""
    arrays = [jnp.asarray(x) for x in xs]
    found = jnp.result_type(*arrays)
    dtype = jnp.promote_types(found, jnp.float32) if jnp.issubdtype(found, jnp.floating) else jnp.result_type(float)
    return tuple(x.astype(dtype) for x in arrays)


def bounded(t: Array) -> Array:
    """The time, or one so large that it is as good as infinite, whose products with 0 are 0."""
    return jnp.minimum(t, jnp.finfo(t.dtype).max / 1e6)


def grown(x: Array, exponent: Array) -> Array:
    """x e^exponent, 0 where x is."""
    return x * jnp.exp(jnp.where(x == 0, jnp.minimum(exponent, jnp.log(jnp.finfo(x.dtype).max) - 1), exponent))


def decoupled_solution(
    velocity: Callable[[Array], Array], solve: Callable[[Array, Array], Array]
) -> Callable[[ArrayLike, ArrayLike], Array]:
    """`solution(t[...], lam0[M]) -> [..., M]` of modes that do not see each other, with exact derivatives however `solve` works.

    For every flow of one variable  d lam/dt = v(lam)  and  d lam/d lam0 = v(lam)/v(lam0).  At a fixed point, and next to one
    that attracts at times of that sign, the ratio is  e^{v'(lam0) t}.  Beyond a blow-up both are given as 0.

    Args:
        velocity: v, elementwise.
        solve: `solve(t, lam0)`, elementwise on two arrays that broadcast.
    """

    @jax.custom_jvp
    def solved(t, lam0):
        return solve(t, lam0)

    @solved.defjvp
    def derivative(primals, tangents):
        (t, lam0), (t_dot, lam0_dot) = primals, tangents
        lam = solved(t, lam0)
        finite = jnp.isfinite(lam)
        v = velocity(jnp.where(finite, lam, 1.0))
        return lam, jnp.where(finite, v * t_dot + _sensitivity(velocity, t, lam0, v) * lam0_dot, 0.0)

    def solution(t: ArrayLike, lam0: ArrayLike) -> Array:
        t, lam0 = floating(t, lam0)
        return solved(t[..., None], lam0)

    return solution


def _sensitivity(velocity: Callable[[Array], Array], t: Array, lam0: Array, v: Array) -> Array:
    """v(lam)/v(lam0), or e^{v'(lam0) t} where v(lam0) is 0 or, next to a fixed point that attracts, has lost half its digits.

    The test  |v v''| <= sqrt(eps) v'^2  is that of a simple root: at a double one v v''/v'^2 is 1/2 however close it is.
    """

    def slope(x):
        return jax.jvp(velocity, (x,), (jnp.ones_like(x),))[1]

    v0 = velocity(lam0)
    v1, v2 = jax.jvp(slope, (lam0,), (jnp.ones_like(lam0),))
    close = (v1 * t < 0) & (jnp.abs(v0 * v2) <= jnp.finfo(v0.dtype).eps ** 0.5 * v1**2)
    fixed = (jnp.abs(v0) < jnp.finfo(v0.dtype).tiny) | close
    limit = jnp.log(jnp.finfo(v0.dtype).max) - 1  # finite, so that an unneeded derivative times 0 is 0
    return jnp.where(fixed, jnp.exp(jnp.minimum(jnp.where(fixed, v1, 0.0) * bounded(t), limit)), v / jnp.where(fixed, 1.0, v0))
