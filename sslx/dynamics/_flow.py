"""The one type of this room: an eigenmode flow, a tuple of pure functions.

Shapes: M modes; `lam` [..., M] is a state (a flow with two numbers per mode has [..., 2, M] and says so); t [...] times.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from sslx.typing import Number


class EigenFlow(NamedTuple):
    """Gradient flow of the eigenmodes of a linear network, d lam/dt = velocity(lam).

    A field that theory does not give is None. The functions are pure: they can be jitted, vmapped and differentiated, where a
    solution stays next to a fixed point, arrives at one or hardly moves up to the second derivative.

    Where lam is the eigenvalue of a correlation, of a predictor or of a matrix F, what rounding has left below 0 counts as 0: as a dead
    mode, which stays there, has derivative 0 below 0, counts 0 in an invariant and arrives nowhere else.
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
    threshold: Number | None = None
    """The weight decay above which every mode collapses"""


def floating(*xs: ArrayLike) -> tuple[Array, ...]:
    """The arguments as arrays of one real type: the widest that comes in and at least float32, jax's default where all are integers."""
    arrays = [jnp.asarray(x) for x in xs]
    found = jnp.result_type(*arrays)
    dtype = jnp.promote_types(found, jnp.float32) if jnp.issubdtype(found, jnp.floating) else jnp.result_type(float)
    return tuple(x.astype(dtype) for x in arrays)


def with_modes(*xs: ArrayLike) -> tuple[Array, ...]:
    """The arguments by `floating`, and of the last, a state that theory keeps >= 0, what is below 0 as 0."""
    *others, lam = floating(*xs)
    return *others, jnp.where(lam < 0, 0.0, lam)


def bounded(t: Array) -> Array:
    """The time, or one so large that it is as good as infinite, whose products with 0 are 0."""
    return jnp.minimum(t, jnp.finfo(t.dtype).max / 1e6)


def unless_unknown(found: Array, *given: Array) -> Array:
    """What was found, NaN where a number that it was found from is."""
    return jnp.where(functools.reduce(jnp.logical_or, map(jnp.isnan, given)), jnp.nan, found)


def positive_power(x: Array, exponent: ArrayLike) -> Array:
    """x^exponent of positive x, 0 of the others, in derivatives too."""
    return jnp.where(x > 0, jnp.where(x > 0, x, 1.0) ** exponent, 0.0)


def grown(x: Array, exponent: Array) -> Array:
    """x e^exponent, 0 where x is."""
    return x * jnp.exp(jnp.where(x == 0, jnp.minimum(exponent, jnp.log(jnp.finfo(x.dtype).max) - 1), exponent))
