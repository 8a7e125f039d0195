"""Spectral contrastive loss: a matrix factorisation of the augmentation graph. z_a, z_b [N, d]: N batch, d embedding width."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from sslx.checks import check_count, check_pair, check_positive
from sslx.collectives import all_gather_if, map_rows, pmean_if, row_indices
from sslx.linalg import product, safe_reciprocal_norm
from sslx.moments import at_least_float32, global_count
from sslx.typing import AxisName, Embedding, Number, Scalar


class SpectralContrastiveTerms(NamedTuple):
    """The two summands of the spectral contrastive loss."""

    alignment: Scalar
    uniformity: Scalar


def spectral_contrastive(
    z_a: Embedding, z_b: Embedding, *, mu: Number = 1.0, chunk: int | None = None, axis_name: AxisName = None
) -> tuple[Scalar, SpectralContrastiveTerms]:
    """Spectral contrastive loss, in the convention of its official code, with the negatives of the whole batch.

    loss = 1/mu [ -2 mean_i z_a,i . z_b,i + 1/(N (N - 1)) sum_{i != j} (z_a,i . z_b,j)^2 ],

    after rows longer than sqrt(mu) are cut to that length. When all rows are equal the first term still pulls the common row along
    itself, but nothing drives the rows apart.

    Args:
        z_a: embeddings of the first view, [N, d].
        z_b: embeddings of the second view, [N, d].
        mu: square of the largest length of a row.
        chunk: rows of z_a handled at a time, so that memory grows with chunk N and not with N^2; None takes all at once.
        axis_name: axis of a parallel map over which the batch is split; embeddings are gathered over it.

    Returns:
        The loss [] and its terms.

    Raises:
        ValueError: unless both have one shape [N, d] with at least 2 rows over all devices, and mu > 0.
        TypeError: unless both are floating-point arrays.

    Reference: HaoChen, Wei, Gaidon, Ma, "Provable Guarantees for Self-Supervised Deep Learning with Spectral Contrastive Loss", 2021,
    arXiv 2106.04156.
    """
    check_pair("z_a", z_a, "z_b", z_b)
    check_positive("mu", mu)
    count = global_count(z_a, axis_name)
    check_count("z_a", count)
    a, b = _clip(z_a, mu), _clip(z_b, mu)
    everywhere = all_gather_if(b, axis_name)

    def negatives(row: Array, index: Array) -> Array:
        square = product(row, everywhere.T) ** 2
        return jnp.sum(jnp.where(index[..., None] == jnp.arange(count), 0.0, square), axis=-1)

    squares = map_rows(negatives, (a, row_indices(a, axis_name)), chunk)
    terms = SpectralContrastiveTerms(
        alignment=pmean_if(-2 * jnp.mean(jnp.sum(a * b, axis=1)) / mu, axis_name),
        uniformity=pmean_if(jnp.mean(squares) / ((count - 1) * mu), axis_name),
    )
    return terms.alignment + terms.uniformity, terms


def _clip(z: Embedding, mu: Number) -> Array:
    """Rows of z cut to length sqrt(mu)."""
    z = at_least_float32(z)
    shrink = jnp.sqrt(mu) * safe_reciprocal_norm(z)
    too_long = jnp.sum(z**2, axis=1) > mu
    return z * jnp.where(too_long, shrink, 1.0)[:, None]
