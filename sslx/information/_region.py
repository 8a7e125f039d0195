"""Where the induced Gaussian is valid: the affine region of a ReLU network around one input.

pre_activations maps ONE input x to every quantity whose sign fixes the region, in any pytree of arrays: what enters each ReLU,
and for max pooling the winner minus each runner-up. Inside a region every such h_k is affine in x.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.flatten_util import ravel_pytree
from jax.scipy.stats import norm
from jax.typing import ArrayLike
from jaxtyping import Bool, Float, PyTree

from sslx.checks import check_floating, check_positive
from sslx.linalg import safe_norm, safe_sqrt
from sslx.moments import at_least_float32
from sslx.typing import Scalar

PreActivations = Callable[[Array], PyTree]


def same_region(pre_activations: PreActivations, x: Float[Array, "..."], other: Float[Array, "..."]) -> Bool[Array, ""]:
    """Whether every h_k is finite and has the same sign at both inputs, which puts them in one affine region (regions are convex)."""
    check_floating("x", x)
    h, h_other = _ravel(pre_activations, x), _ravel(pre_activations, other)
    return jnp.all(jnp.isfinite(h) & jnp.isfinite(h_other) & ((h > 0) == (h_other > 0)))


def linearisation_error(f: Callable[[Array], Array], x: Float[Array, "..."], eps: Float[Array, "..."]) -> Scalar:
    """||f(x + eps) - f(x) - J eps|| / ||J eps||, zero inside the affine region of x (nan where J eps = 0); no Jacobian is formed."""
    check_floating("x", x)
    x, eps = at_least_float32(x), at_least_float32(eps)
    value, step = (at_least_float32(out) for out in jax.jvp(f, (x,), (eps,)))
    return safe_norm(jnp.ravel(at_least_float32(f(x + eps)) - value - step)) / safe_norm(jnp.ravel(step))


def boundary_distance(pre_activations: PreActivations, x: Float[Array, "..."]) -> Scalar:
    """Euclidean distance from x to the nearest face of its affine region, min_k |h_k(x)| / ||grad h_k(x)|| (inf without a face)."""
    return jnp.min(_face_distances(pre_activations, x), initial=jnp.inf)


def region_exit_bound(pre_activations: PreActivations, x: Float[Array, "..."], sigma: ArrayLike) -> Scalar:
    """Union bound on the probability that x + e, e ~ N(0, sigma^2 I), leaves the affine region of x.

    P(exit) <= min(1, sum_k Phi(-|h_k(x)| / (sigma ||grad h_k(x)||))).

    Args:
        pre_activations: one input -> every h_k, as in the module docstring.
        x: one input of any shape.
        sigma: standard deviation of the noise.

    Returns:
        The bound, in [0, 1]; a unit that does not depend on x adds nothing.

    Raises:
        TypeError: x is not floating-point.
        ValueError: unless sigma > 0.

    Reference: the region is that of Shwartz-Ziv et al., 2023, arXiv 2303.00633; the bound is Boole's inequality over its faces.
    """
    check_positive("sigma", sigma)
    distance = _face_distances(pre_activations, x)
    flat = jnp.isinf(distance)
    return jnp.minimum(1.0, jnp.sum(jnp.where(flat, 0.0, norm.cdf(-jnp.where(flat, 1.0, distance) / sigma))))


def _ravel(pre_activations: PreActivations, x: Array) -> Float[Array, " H"]:
    return at_least_float32(ravel_pytree(pre_activations(at_least_float32(x)))[0])


def _face_distances(pre_activations: PreActivations, x: Array) -> Float[Array, " H"]:
    """|h_k| / ||grad h_k||, [H]; inf where the gradient vanishes."""
    check_floating("x", x)
    x = at_least_float32(x)
    h, push = jax.linearize(lambda flat: _ravel(pre_activations, flat.reshape(x.shape)), x.reshape(-1))
    slope = safe_sqrt(_squared_gradient_norms(push, x.reshape(-1), h))
    flat = slope == 0
    return jnp.where(flat, jnp.inf, jnp.abs(h) / jnp.where(flat, 1.0, slope))


def _squared_gradient_norms(push: Callable[[Array], Array], x: Float[Array, " D"], h: Float[Array, " H"]) -> Float[Array, " H"]:
    """sum_i (dh_k/dx_i)^2 by one forward product per input coordinate, so memory is that of h, not of the Jacobian."""

    def add(total: Array, i: Array) -> tuple[Array, None]:
        return total + push(jnp.zeros_like(x).at[i].set(1.0)) ** 2, None

    return lax.scan(add, jnp.zeros_like(h), jnp.arange(x.size))[0]
