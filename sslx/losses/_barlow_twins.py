"""Barlow Twins: the cross-correlation of two views becomes the identity. z_a, z_b [N, d]: N batch, d embedding width."""

from typing import NamedTuple

import jax.numpy as jnp

from sslx.checks import check_pair, check_range
from sslx.moments import square_sums, standardise
from sslx.typing import AxisName, Embedding, Number, Scalar


class BarlowTwinsTerms(NamedTuple):
    """The two summands of Barlow Twins, unweighted."""

    on_diagonal: Scalar
    off_diagonal: Scalar


def barlow_twins(
    z_a: Embedding, z_b: Embedding, *, lambd: Number = 0.0051, eps: Number = 1e-5, axis_name: AxisName = None
) -> tuple[Scalar, BarlowTwinsTerms]:
    """Barlow Twins, in the convention of its official code and with the exact gradient on any number of devices.

    loss = sum_i (C_ii - 1)^2 + lambd sum_{i != j} C_ij^2,     C = BN(z_a)^T BN(z_b) / N,

    BN batch normalisation without affine parameters (biased variance, plus `eps`). When all rows are equal C = 0 and the gradient is
    zero: `eps` keeps it finite and there is no force out of exact collapse.

    Args:
        z_a: embeddings of the first view, [N, d].
        z_b: embeddings of the second view, [N, d].
        lambd: weight of the off-diagonal term.
        eps: added to the variances.
        axis_name: axis of a parallel map over which the batch is split.

    Returns:
        The loss [] and its terms.

    Raises:
        ValueError: unless both have one shape [N, d] and eps >= 0.
        TypeError: unless both are floating-point arrays.

    Reference: Zbontar, Jing, Misra, LeCun, Deny, "Barlow Twins", 2021, arXiv 2103.03230.
    """
    check_pair("z_a", z_a, "z_b", z_b)
    check_range("eps", eps)
    a, b = (standardise(z, eps=eps, axis_name=axis_name) for z in (z_a, z_b))
    diagonal, off_diagonal = square_sums(a, b, axis_name=axis_name)
    terms = BarlowTwinsTerms(on_diagonal=jnp.sum((diagonal - 1) ** 2), off_diagonal=off_diagonal)
    return terms.on_diagonal + lambd * terms.off_diagonal, terms
