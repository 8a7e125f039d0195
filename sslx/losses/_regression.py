"""Regression of one embedding on another: Euclidean and cosine. p, z [N, d]: online prediction and target."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax

from sslx.checks import check_choice, check_pair
from sslx.collectives import pmean_if
from sslx.linalg import l2_normalise
from sslx.moments import at_least_float32
from sslx.typing import AxisName, Embedding, Scalar


class RegressionTerms(NamedTuple):
    """The one summand of a regression loss."""

    invariance: Scalar


def euclidean(p: Embedding, z: Embedding, *, stop_gradient: str = "target", axis_name: AxisName = None) -> tuple[Scalar, RegressionTerms]:
    """Squared Euclidean distance: loss = mean_n sum_d (p - z)^2, with no 1/2.

    Nothing in this loss opposes collapse; without a predictor and a stopped gradient it collapses. When all rows of both are equal the
    gradient is zero.

    Args:
        p: online prediction, [N, d].
        z: target embedding, [N, d].
        stop_gradient: the side that receives no gradient: "target" (z), "online" (p) or "none".
        axis_name: axis of a parallel map over which the batch is split.

    Returns:
        The loss [] and its term.

    Raises:
        ValueError: unless both have one shape [N, d] and `stop_gradient` is one of the three.
        TypeError: unless both are floating-point arrays.

    Reference: Halvagal, Laborieux, Zenke, "Implicit variance regularization in non-contrastive SSL", 2023, arXiv 2212.04858.
    """
    p, z = _prepare(p, z, stop_gradient)
    return _mean(jnp.sum((p - z) ** 2, axis=1), axis_name)


def cosine(p: Embedding, z: Embedding, *, stop_gradient: str = "target", axis_name: AxisName = None) -> tuple[Scalar, RegressionTerms]:
    """Cosine distance: loss = mean_n (2 - 2 cos(p_n, z_n)), one order of the two views.

    A row of zeros has cosine 0 and gradient 0. Nothing in this loss opposes collapse: when all rows of both are equal the gradient is
    zero. The official code of BYOL sums this over both orders.

    Args:
        p: online prediction, [N, d].
        z: target embedding, [N, d].
        stop_gradient: the side that receives no gradient: "target" (z), "online" (p) or "none".
        axis_name: axis of a parallel map over which the batch is split.

    Returns:
        The loss [] and its term.

    Raises:
        ValueError: unless both have one shape [N, d] and `stop_gradient` is one of the three.
        TypeError: unless both are floating-point arrays.

    Reference: Grill et al., "Bootstrap Your Own Latent", 2020, arXiv 2006.07733, eq. 2.
    """
    p, z = _prepare(p, z, stop_gradient)
    return _mean(2 - 2 * jnp.sum(l2_normalise(p) * l2_normalise(z), axis=1), axis_name)


def _prepare(p: Embedding, z: Embedding, stop_gradient: str) -> tuple[Array, Array]:
    check_pair("p", p, "z", z)
    check_choice("stop_gradient", stop_gradient, ("target", "online", "none"))
    p, z = at_least_float32(p), at_least_float32(z)
    if stop_gradient == "online":
        return lax.stop_gradient(p), z
    return p, lax.stop_gradient(z) if stop_gradient == "target" else z


def _mean(distance: Array, axis_name: AxisName) -> tuple[Scalar, RegressionTerms]:
    loss = pmean_if(jnp.mean(distance), axis_name)
    return loss, RegressionTerms(loss)
