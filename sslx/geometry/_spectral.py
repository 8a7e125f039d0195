"""Spectral metrics of features z [N, d]: N rows (one per image), d the width. Each is one call on features held in memory.

`rankme` and `effective_rank` use singular values of z, uncentred; the others eigenvalues of the centred covariance.
"""

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from sslx.checks import check_matrix
from sslx.geometry._effective_dimension import shannon_entropy
from sslx.moments import at_least_float32
from sslx.typing import Embedding, Scalar


def rankme(z: Embedding, *, eps: float = 1e-7) -> Scalar:
    """RankMe: the exponential entropy of the singular values of the uncentred embeddings.

    exp(-sum_k p_k log p_k),  p_k = s_k / sum s + eps,  k = 1..min(N, d); eps is added after normalising, as published, so
    sum p = 1 + min(N, d) eps. Published use: projector outputs of 25,600 training images, to compare runs of one method.

    Args:
        z: embeddings [N, d].
        eps: added to each p_k.

    Returns:
        RankMe, [], from 1 to min(N, d) up to eps. When z is zero s / sum s counts as 0 and the result is eps^(-min(N, d) eps):
        1.0001 for 64 singular values. Features whose rows are all equal give 1 as well.

    Raises:
        ValueError, TypeError: unless z is a floating-point matrix.

    Reference: Garrido, Balestriero, Najman, LeCun (2023), arXiv:2210.02885.
    """
    check_matrix("z", z)
    return rankme_from_singular_values(_singular_values(z), eps=eps)


def effective_rank(z: Embedding) -> Scalar:
    """Effective rank exp(H(s / sum s)) of the uncentred singular values s of z, [], 0 when z is zero: RankMe without eps.

    Raises:
        ValueError, TypeError: unless z is a floating-point matrix.

    Reference: Roy and Vetterli (2007), The effective rank: a measure of effective dimensionality.
    """
    check_matrix("z", z)
    s = _singular_values(z)
    return jnp.where(s[0] > 0, jnp.exp(shannon_entropy(_normalise(s))), 0)


def rankme_from_singular_values(s: Float[Array, " k"], *, eps: float = 1e-7) -> Scalar:
    """RankMe of singular values s [k], in any order: the form for streamed moments and features kept elsewhere."""
    return jnp.exp(shannon_entropy(_normalise(s) + eps))


def _singular_values(z: Embedding) -> Float[Array, " k"]:
    return jnp.linalg.svd(at_least_float32(z), compute_uv=False)


def _normalise(s: Float[Array, " k"]) -> Float[Array, " k"]:
    total = jnp.sum(s)
    return s / jnp.where(total > 0, total, 1)
