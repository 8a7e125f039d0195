"""NT-Xent, the loss of SimCLR: tell each image's other view from all other images. N batch, d embedding width."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from sslx.checks import check_count, check_pair, check_positive
from sslx.collectives import all_gather_if, map_rows, pmean_if, row_indices
from sslx.linalg import l2_normalise, product
from sslx.moments import at_least_float32, global_count, row_gram
from sslx.typing import AxisName, Embedding, Number, Scalar


class NtXentTerms(NamedTuple):
    """The two summands of NT-Xent: attraction of positives, spread of everything."""

    alignment: Scalar
    uniformity: Scalar


def nt_xent(
    z_a: Embedding, z_b: Embedding, *, temperature: Number = 0.5, chunk: int | None = None, axis_name: AxisName = None
) -> tuple[Scalar, NtXentTerms]:
    """Normalised temperature-scaled cross entropy, mean over all 2N anchors, with the negatives of the whole batch.

    loss = mean_i [ -s_{i,pos(i)} + log sum_{k != i} exp s_ik ],     s_ik = cos(z_i, z_k) / temperature over the 2N rows.

    A row of zeros has cosine 0 with everything and gradient 0. When all rows are equal the gradient is zero.

    Args:
        z_a: embeddings of the first view, [N, d].
        z_b: embeddings of the second view, [N, d].
        temperature: divides the cosines.
        chunk: anchors handled at a time, so that memory grows with chunk N and not with N^2; None takes all at once.
        axis_name: axis of a parallel map over which the batch is split; embeddings are gathered over it.

    Returns:
        The loss [] and its terms, `alignment` = mean_i -s_{i,pos(i)} and `uniformity` = mean_i log sum_{k != i} exp s_ik.

    Raises:
        ValueError: unless both have one shape [N, d] with at least 2 rows over all devices, and temperature > 0.
        TypeError: unless both are floating-point arrays.

    Reference: Chen, Kornblith, Norouzi, Hinton, "A Simple Framework for Contrastive Learning", 2020, arXiv 2002.05709, eq. 1.
    """
    check_pair("z_a", z_a, "z_b", z_b)
    check_positive("temperature", temperature)
    count = global_count(z_a, axis_name)
    check_count("z_a", count)
    a, b = l2_normalise(at_least_float32(z_a)), l2_normalise(at_least_float32(z_b))
    if axis_name is None and chunk is None:
        spread = _spread_of_two(a, b, temperature)
    else:
        spread = _spread_in_rows(a, b, temperature, chunk, axis_name)
    terms = NtXentTerms(
        alignment=pmean_if(-jnp.mean(jnp.sum(a * b, axis=1)) / temperature, axis_name),
        uniformity=pmean_if(jnp.mean(spread), axis_name),
    )
    return terms.alignment + terms.uniformity, terms


def _spread_of_two(a: Array, b: Array, temperature: Number) -> Array:
    """log sum_{k != i} exp s_ik of all anchors, [2N]: three of the four blocks of cosines, two of them symmetric."""
    itself = jnp.eye(len(a), dtype=bool)

    def same(z: Array) -> Array:
        return jax.nn.logsumexp(jnp.where(itself, -jnp.inf, row_gram(z) / temperature), axis=1)

    across = product(a, b.T) / temperature
    return jnp.concatenate([jnp.logaddexp(same(z), jax.nn.logsumexp(across, axis=axis)) for z, axis in ((a, 1), (b, 0))])


def _spread_in_rows(a: Array, b: Array, temperature: Number, chunk: int | None, axis_name: AxisName) -> Array:
    """The same of the anchors of this device against the rows of all, `chunk` anchors at a time, [2N]."""
    rows = row_indices(a, axis_name)
    others = jnp.concatenate([all_gather_if(view, axis_name) for view in (a, b)])

    def spread_of(anchor: Array, row: Array) -> Array:
        cosines = product(anchor, others.T)
        is_self = row[..., None] == jnp.arange(cosines.shape[-1])
        return jax.nn.logsumexp(jnp.where(is_self, -jnp.inf, cosines / temperature), axis=-1)

    return map_rows(spread_of, (jnp.concatenate([a, b]), jnp.concatenate([rows, rows + len(others) // 2])), chunk)
