"""W-MSE: whiten random sub-batches, then compare views by cosine. z [V, N, d]: V views, N batch, d embedding width."""

from itertools import combinations
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from sslx.checks import check_count, check_integer, check_range, check_views
from sslx.collectives import all_gather_if, pmean_if
from sslx.linalg import l2_normalise, safe_shift
from sslx.moments import at_least_float32, centre, covariance
from sslx.typing import AxisName, Embedding, Number, Scalar, Views


class WMseTerms(NamedTuple):
    """The one summand of W-MSE."""

    invariance: Scalar


def w_mse(key: Array, z: Views, *, sub_batch: int = 128, eps: Number = 0.0, axis_name: AxisName = None) -> tuple[Scalar, WMseTerms]:
    """Whitening MSE: loss = mean over pairs of views of mean_n (2 - 2 cos(v, v')), v the whitened embedding.

    The batch is cut at random into sub-batches (the same for all views); in each, and for each view, v = L^-1 (z - mean) with
    L L^T = (1 - eps) Cov + eps I, Cov the unbiased covariance. For an invertible Cov take sub_batch above d. Where Cov is singular `eps` is
    lifted to its rounding level (at least 1e-12), which keeps the gradient finite; when all rows are equal v and the gradient are zero.

    Args:
        key: random key of the cut; the same on every device.
        z: embeddings of the views, [V, N, d], V >= 2.
        sub_batch: rows whitened together; a smaller batch is whitened as one.
        eps: shrinkage of the covariance to the identity.
        axis_name: axis of a parallel map over which the batch is split; embeddings are gathered over it.

    Returns:
        The loss [] and its term.

    Raises:
        ValueError: unless z has shape [V, N, d], `sub_batch` is an integer above 1 that divides the rows of all devices, and eps
            is in [0, 1].
        TypeError: unless z is a floating-point array.

    Reference: Ermolov, Siarohin, Sangineto, Sebe, "Whitening for Self-Supervised Representation Learning", 2021, arXiv 2007.06346.
    """
    check_views("z", z, min_views=2)
    check_integer("sub_batch", sub_batch, minimum=2)
    check_range("eps", eps, 1.0)
    z = all_gather_if(at_least_float32(z), axis_name, axis=1)
    views, count, d = z.shape
    check_count("z", count)
    size = min(sub_batch, count)
    if count % size:
        raise ValueError(f"sub_batch must divide the {count} rows of z, got {sub_batch}; take a sub_batch that does, or other rows")
    rows = jax.random.permutation(key, count).reshape(-1, size)
    parts = z[:, rows].reshape(-1, size, d)
    whitened = jax.lax.map(lambda part: whiten(part, eps), parts)  # a batched LAPACK of jax 0.10 may wait for ever, see README
    unit = l2_normalise(whitened).reshape(views, count, d)
    distances = [2 - 2 * jnp.mean(jnp.sum(unit[i] * unit[j], axis=-1)) for i, j in combinations(range(views), 2)]
    loss = pmean_if(jnp.mean(jnp.stack(distances)), axis_name)
    return loss, WMseTerms(loss)


def whiten(z: Embedding, eps: Number) -> Embedding:
    """L^-1 (z - mean) for every row, with L L^T = (1 - eps) Cov + eps I, [N, d]."""
    cov = (1 - eps) * covariance(z)
    least = float(jnp.finfo(cov.dtype).tiny) ** 0.5  # so that a batch of equal rows has finite gradients
    factor = jnp.linalg.cholesky(cov + safe_shift(cov, jnp.maximum(eps, least)) * jnp.eye(z.shape[1], dtype=cov.dtype))
    return jax.scipy.linalg.solve_triangular(factor, centre(z).T, lower=True).T
