"""VICReg: agree, keep every feature's spread, decorrelate the features. z_a, z_b [N, d]: N batch, d embedding width."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from sslx.checks import check_count, check_pair, check_range
from sslx.collectives import pmean_if
from sslx.linalg import safe_sqrt
from sslx.moments import at_least_float32, centre, global_count, square_sums
from sslx.typing import AxisName, Embedding, Number, Scalar


class VicregTerms(NamedTuple):
    """The three summands of VICReg, unweighted."""

    invariance: Scalar
    variance: Scalar
    covariance: Scalar


def vicreg(
    z_a: Embedding,
    z_b: Embedding,
    *,
    sim_coeff: Number = 25.0,
    std_coeff: Number = 25.0,
    cov_coeff: Number = 1.0,
    gamma: Number = 1.0,
    eps: Number = 1e-4,
    axis_name: AxisName = None,
) -> tuple[Scalar, VicregTerms]:
    """VICReg, in the convention of its official code.

    loss = sim_coeff mean_nk (z_a - z_b)^2
         + std_coeff 1/2 sum_views mean_k max(0, gamma - sqrt(C_kk + eps))
         + cov_coeff sum_views 1/d sum_{i != j} C_ij^2,        C the covariance of a view divided by N - 1.

    The published formula has no 1/2 in front of the variance term and no 1/d in the first term. When all rows are equal the
    gradient of the variance and covariance terms is zero: `eps` keeps it finite and there is no force out of exact collapse.

    Args:
        z_a: embeddings of the first view, [N, d].
        z_b: embeddings of the second view, [N, d].
        sim_coeff: weight of the invariance term.
        std_coeff: weight of the variance term.
        cov_coeff: weight of the covariance term.
        gamma: standard deviation below which a feature is pushed apart.
        eps: floor inside the square root.
        axis_name: axis of a parallel map over which the batch is split.

    Returns:
        The loss [] and its terms.

    Raises:
        ValueError: unless both have one shape [N, d] with at least 2 rows over all devices, and eps >= 0.
        TypeError: unless both are floating-point arrays.

    Reference: Bardes, Ponce, LeCun, "VICReg", 2022, arXiv 2105.04906.
    """
    check_pair("z_a", z_a, "z_b", z_b)
    check_range("eps", eps)
    count = global_count(z_a, axis_name)
    check_count("z_a", count)
    unbiased = count / (count - 1)
    (var_a, square_a), (var_b, square_b) = (square_sums(centre(z, axis_name=axis_name), axis_name=axis_name) for z in (z_a, z_b))
    terms = VicregTerms(
        invariance=pmean_if(jnp.mean((at_least_float32(z_a) - at_least_float32(z_b)) ** 2), axis_name),
        variance=(variance_hinge(unbiased * var_a, gamma, eps) + variance_hinge(unbiased * var_b, gamma, eps)) / 2,
        covariance=unbiased**2 * (square_a + square_b) / z_a.shape[1],
    )
    return sim_coeff * terms.invariance + std_coeff * terms.variance + cov_coeff * terms.covariance, terms


def variance_hinge(variances: Array, gamma: Number, eps: Number) -> Scalar:
    """mean_k max(0, gamma - sqrt(variance_k + eps)), []."""
    return jnp.mean(jnp.maximum(0.0, gamma - safe_sqrt(variances + eps)))
