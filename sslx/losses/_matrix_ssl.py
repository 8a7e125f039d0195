"""Matrix-SSL: matrix cross-entropy between covariances. z_a, z_b [N, d]: N batch, d embedding width."""

from typing import NamedTuple

import jax.numpy as jnp

from sslx.checks import check_integer, check_pair, check_range
from sslx.linalg import log1p_series_trace, product
from sslx.moments import centre, second_moment
from sslx.typing import AxisName, Embedding, Matrix, Number, Scalar


class MatrixSslTerms(NamedTuple):
    """The summands of Matrix-SSL: loss = correlation + gamma covariance."""

    correlation: Scalar
    covariance: Scalar


def matrix_ssl(
    z_a: Embedding,
    z_b: Embedding,
    *,
    gamma: Number = 1.0,
    mu: Number = 1.0,
    lam: Number = 1.0,
    order: int = 4,
    axis_name: AxisName = None,
) -> tuple[Scalar, MatrixSslTerms]:
    """Matrix-SSL, one order of the two views.

    loss = MCE(lam I, C_ab + mu I) + gamma MCE(C_aa + mu I, C_bb + mu I),     MCE(P, Q) = -tr(P log Q),

    C_xy = x^T J y / N with J the centring matrix, and log Q the first `order` terms of its series about I. The series converges only near
    I: the authors' code divides every row by its length first, which is left to the caller here. When all rows are equal the gradient
    is zero.

    Args:
        z_a: embedding of the target network, [N, d].
        z_b: prediction of the online network, [N, d]. The other way round the second part is linear in the prediction's covariance, and
            what minimises it is one dimension.
        gamma: weight of the covariance part.
        mu: added to the eigenvalues of the covariances.
        lam: scale of the identity in the correlation part.
        order: terms of the series.
        axis_name: axis of a parallel map over which the batch is split.

    Returns:
        The loss [] and its terms, unweighted.

    Raises:
        ValueError: unless both have one shape [N, d], mu >= 0 and `order` is at least 1.
        TypeError: unless both are floating-point arrays.

    Reference: Zhang, Tan, Yang, Huang, Yuan, "Matrix Information Theory for Self-Supervised Learning", 2023, arXiv 2305.17326.
    """
    check_pair("z_a", z_a, "z_b", z_b)
    check_integer("order", order)
    check_range("mu", mu)
    a, b = centre(z_a, axis_name=axis_name), centre(z_b, axis_name=axis_name)
    eye = jnp.eye(z_a.shape[1], dtype=a.dtype)
    cov_ab, cov_aa, cov_bb = (second_moment(x, y, axis_name=axis_name) for x, y in ((a, b), (a, a), (b, b)))
    terms = MatrixSslTerms(
        correlation=-lam * log1p_series_trace(cov_ab + (mu - 1) * eye, order),
        covariance=-jnp.sum((cov_aa + mu * eye) * _log1p_series(cov_bb + (mu - 1) * eye, order)),
    )
    return terms.correlation + gamma * terms.covariance, terms


def _log1p_series(a: Matrix, order: int) -> Matrix:
    """sum_{k=1..order} (-1)^{k+1}/k a^k by Horner's rule, [d, d]."""
    eye = jnp.eye(len(a), dtype=a.dtype)
    total = (-1) ** (order + 1) / order * eye
    for k in range(order - 1, 0, -1):
        total = (-1) ** (k + 1) / k * eye + product(a, total)
    return product(a, total)
