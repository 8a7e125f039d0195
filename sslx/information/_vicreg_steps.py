"""From the entropy of a Gaussian to the variance and covariance terms of VICReg, one step at a time. z [N, K]."""

from typing import NamedTuple

import jax.numpy as jnp

from sslx.checks import check_matrix, check_range
from sslx.information._components import gaussian
from sslx.linalg import off_diagonal_square_sum
from sslx.moments import covariance
from sslx.typing import Embedding, Scalar


class VICRegSteps(NamedTuple):
    """Where VICReg's two anti-collapse terms come from, and what each step leaves out. Exactly,

    neg_log_det = hinge + covariance / 4 + tangent_gap + clip_gap + expansion_gap + correlation_gap.

    neg_log_det: -1/2 ln det S, the negative entropy of the Gaussian up to a constant.
    neg_log_std: -sum_k ln s_k.  neg_log_det_correlation: -1/2 ln det R.  These two sum to neg_log_det.
    hinge: sum_k max(0, 1 - s_k).  covariance: sum_{i != j} S_ij^2.
    tangent_gap: sum_k [-ln s_k - (1 - s_k)] >= 0.  clip_gap: sum_k min(0, 1 - s_k) <= 0.
    expansion_gap: -1/2 ln det R - 1/4 sum_{i != j} R_ij^2, of third order in R - I.
    correlation_gap: 1/4 sum_{i != j} (R_ij^2 - S_ij^2), zero when every s_k = 1.
    """

    neg_log_det: Scalar
    neg_log_std: Scalar
    neg_log_det_correlation: Scalar
    hinge: Scalar
    covariance: Scalar
    tangent_gap: Scalar
    clip_gap: Scalar
    expansion_gap: Scalar
    correlation_gap: Scalar


def vicreg_decomposition(z: Embedding, *, eps: float | Scalar = 1e-4) -> VICRegSteps:
    """The steps from -1/2 ln det S to VICReg's variance and covariance terms on one batch, with the exact gap of each.

    S = cov(z) + eps I = diag(s) R diag(s).  -1/2 ln det S = -sum_k ln s_k - 1/2 ln det R; the first sum becomes a hinge by its
    tangent at s = 1, the second the squared correlations by expansion about R = I, and those the squared covariances.

    Args:
        z: embeddings [N, K], N >= 2.
        eps: added to every variance, as in VICReg, so that s_k = sqrt(var_k + eps).

    Returns:
        `VICRegSteps`, sums over the K features. VICReg divides both terms by K.

    Raises:
        TypeError, ValueError: z is not a floating-point [N, K] with two rows or more, or eps < 0.

    Reference: Bardes, Ponce, LeCun, 2022, arXiv 2105.04906, for the terms; Shwartz-Ziv et al., 2023, arXiv 2303.00633, for the route.
    """
    check_matrix("z", z, min_rows=2)
    check_range("eps", eps)
    s_matrix = covariance(z)
    s_matrix = s_matrix + eps * jnp.eye(len(s_matrix), dtype=s_matrix.dtype)
    s = jnp.sqrt(jnp.diagonal(s_matrix))
    correlation = s_matrix / (s[:, None] * s)
    neg_log_std, neg_log_det_correlation = -jnp.sum(jnp.log(s)), -0.5 * gaussian(s, jnp.asarray(correlation)).log_det
    squared_correlation, squared_covariance = off_diagonal_square_sum(correlation), off_diagonal_square_sum(s_matrix)
    return VICRegSteps(
        neg_log_det=neg_log_std + neg_log_det_correlation,
        neg_log_std=neg_log_std,
        neg_log_det_correlation=neg_log_det_correlation,
        hinge=jnp.sum(jnp.maximum(0.0, 1 - s)),
        covariance=squared_covariance,
        tangent_gap=neg_log_std - jnp.sum(1 - s),
        clip_gap=jnp.sum(jnp.minimum(0.0, 1 - s)),
        expansion_gap=neg_log_det_correlation - squared_correlation / 4,
        correlation_gap=(squared_correlation - squared_covariance) / 4,
    )
