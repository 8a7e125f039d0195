"""SIGReg and LeJEPA: embeddings become an isotropic Gaussian, tested direction by direction.

z [N, d] or [V, N, d]: V views, N batch, d embedding width; S directions.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Float

from sslx.checks import check_integer, check_matrix, check_positive, check_range, check_views
from sslx.collectives import pmean_if
from sslx.linalg import l2_normalise, product
from sslx.moments import at_least_float32, global_count
from sslx.typing import AnyArray, AxisName, Embedding, Number, Scalar, Views


class SigregTerms(NamedTuple):
    """The one summand of SIGReg."""

    gaussianity: Scalar


class LejepaTerms(NamedTuple):
    """The summands of LeJEPA: loss = (1 - lam) invariance + lam gaussianity."""

    invariance: Scalar
    gaussianity: Scalar


def sigreg(
    z: Embedding, directions: Float[AnyArray, "S d"], *, knots: int = 17, t_max: Number = 3.0, axis_name: AxisName = None
) -> tuple[Scalar, SigregTerms]:
    """Sketched isotropic Gaussian regularisation: the Epps-Pulley statistic of z along directions, averaged.

    loss = mean_s N sum_k w_k [ (mean_n cos(t_k u) - exp(-t_k^2/2))^2 + (mean_n sin(t_k u))^2 ],     u = z . a_s,

    t_k = `knots` equal steps on [0, t_max], w_k = exp(-t_k^2/2) times the trapezoid weights of the symmetric integral (dt at both ends,
    2 dt inside). z is not standardised, N counts all devices. When all rows are equal they move together to the origin, no further:
    no force separates them. Rows far longer than 1/t_max see a gradient that oscillates: scale the projector's output near 1.

    Args:
        z: embeddings, [N, d].
        directions: unit vectors a_s, [S, d]; the same on every device.
        knots: points of the integral, at least 2.
        t_max: end of the integral.
        axis_name: axis of a parallel map over which the batch is split.

    Returns:
        The loss [] and its term.

    Raises:
        ValueError: unless the shapes are [N, d] and [S, d], t_max > 0 and `knots` is at least 2.
        TypeError: unless both are floating-point arrays.

    Reference: Balestriero and LeCun, "LeJEPA: Provable and Scalable Self-Supervised Learning Without the Heuristics", 2025,
    arXiv 2511.08544; Epps and Pulley, 1983.
    """
    check_matrix("z", z)
    check_matrix("directions", directions)
    check_integer("knots", knots, minimum=2)
    check_positive("t_max", t_max)
    if directions.shape[1] != z.shape[1]:
        raise ValueError(f"directions must have shape [S, {z.shape[1]}], got {directions.shape}; draw them as wide as z")
    u = product(at_least_float32(z), at_least_float32(directions).T)
    t, weight = _quadrature(knots, t_max, u.dtype)
    real, imaginary = pmean_if(_waves(u, t), axis_name)
    distance = (real - jnp.exp(-(t**2) / 2)[:, None]) ** 2 + imaginary**2
    loss = global_count(z, axis_name) * jnp.mean(product(weight, distance))
    return loss, SigregTerms(loss)


@jax.jit  # called eagerly, a loop over a closure would be compiled anew each time
def _waves(u: Array, t: Array) -> tuple[Array, Array]:
    """mean_n cos(t u_n) and mean_n sin(t u_n), [knots, S] each; one knot at a time: memory N S, not N S knots."""
    return lax.map(jax.checkpoint(lambda t_k: (jnp.mean(jnp.cos(t_k * u), axis=0), jnp.mean(jnp.sin(t_k * u), axis=0))), t)


def lejepa(
    key: Array,
    z: Views,
    *,
    lam: Number = 0.02,
    slices: int = 256,
    knots: int = 17,
    t_max: Number = 3.0,
    axis_name: AxisName = None,
) -> tuple[Scalar, LejepaTerms]:
    """LeJEPA: loss = (1 - lam) mean_vnd (z_v - mean_v z)^2 + lam mean_v SIGReg(z_v), the directions drawn uniformly on the sphere.

    When all rows are equal they share one gradient, as in `sigreg`: no force separates them.

    Args:
        key: random key of the directions; the same on every device.
        z: embeddings of the views, [V, N, d].
        lam: weight of SIGReg.
        slices: S, how many directions are drawn.
        knots: points of the integral.
        t_max: end of the integral.
        axis_name: axis of a parallel map over which the batch is split.

    Returns:
        The loss [] and its terms, unweighted.

    Raises:
        ValueError: unless z has shape [V, N, d], lam is in [0, 1] and `slices` is at least 1; for `knots` and `t_max` as `sigreg` does.
        TypeError: unless z is a floating-point array.

    Reference: Balestriero and LeCun, 2025, arXiv 2511.08544.
    """
    check_views("z", z)
    check_range("lam", lam, 1.0)
    check_integer("slices", slices)
    z = at_least_float32(z)
    directions = l2_normalise(jax.random.normal(key, (slices, z.shape[2]), z.dtype))
    statistic = jax.vmap(lambda view: sigreg(view, directions, knots=knots, t_max=t_max, axis_name=axis_name)[0])
    terms = LejepaTerms(invariance=pmean_if(jnp.mean((z - jnp.mean(z, axis=0)) ** 2), axis_name), gaussianity=jnp.mean(statistic(z)))
    return (1 - lam) * terms.invariance + lam * terms.gaussianity, terms


def _quadrature(knots: int, t_max: Number, dtype: jnp.dtype) -> tuple[Array, Array]:
    """Points t and weights of the integral over [-t_max, t_max] of an even function against exp(-t^2/2)."""
    t = jnp.linspace(0, t_max, knots, dtype=dtype)
    trapezoid = jnp.full(knots, 2 * t_max / (knots - 1), dtype).at[jnp.array([0, -1])].divide(2)
    return t, trapezoid * jnp.exp(-(t**2) / 2)
