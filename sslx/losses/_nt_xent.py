"""NT-Xent, the loss of SimCLR: tell each image's other view from all other images. N batch, d embedding width."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from sslx.checks import check_count, check_pair
from sslx.collectives import all_gather_if, pmean_if, row_indices
from sslx.linalg import l2_normalise
from sslx.moments import at_least_float32, global_count
from sslx.typing import AxisName, Embedding, Number, Scalar


class NtXentTerms(NamedTuple):
    """The two summands of NT-Xent: attraction of positives, spread of everything."""

    alignment: Scalar
    uniformity: Scalar


def nt_xent(z_a: Embedding, z_b: Embedding, *, temperature: Number = 0.5, axis_name: AxisName = None) -> tuple[Scalar, NtXentTerms]:
    """Normalised temperature-scaled cross entropy, mean over all 2N anchors, with the negatives of the whole batch.

    loss = mean_i [ -s_{i,pos(i)} + log sum_{k != i} exp s_ik ],     s_ik = cos(z_i, z_k) / temperature over the 2N rows.

    A row of zeros has cosine 0 with everything and gradient 0. When all rows are equal the gradient is zero.

    Args:
        z_a: embeddings of the first view, [N, d].
        z_b: embeddings of the second view, [N, d].
        temperature: divides the cosines.
        axis_name: axis of a parallel map over which the batch is split; embeddings are gathered over it.

    Returns:
        The loss [] and its terms, `alignment` = mean_i -s_{i,pos(i)} and `uniformity` = mean_i log sum_{k != i} exp s_ik.

    Raises:
        ValueError: unless both have one shape [N, d] with at least 2 rows over all devices.
        TypeError: unless both are floating-point arrays.

    Reference: Chen, Kornblith, Norouzi, Hinton, "A Simple Framework for Contrastive Learning", 2020, arXiv 2002.05709, eq. 1.
    """
    check_pair("z_a", z_a, "z_b", z_b)
    count = global_count(z_a, axis_name)
    check_count("z_a", count)
    a, b = l2_normalise(at_least_float32(z_a)), l2_normalise(at_least_float32(z_b))
    anchors = jnp.concatenate([a, b])
    others = jnp.concatenate([all_gather_if(a, axis_name), all_gather_if(b, axis_name)])
    similarity = jnp.matmul(anchors, others.T, precision=lax.Precision.HIGHEST) / temperature
    first = row_indices(a, axis_name)
    is_self = jnp.concatenate([first, first + count])[:, None] == jnp.arange(2 * count)
    spread = jax.nn.logsumexp(jnp.where(is_self, -jnp.inf, similarity), axis=1)
    terms = NtXentTerms(
        alignment=pmean_if(-jnp.mean(jnp.sum(a * b, axis=1)) / temperature, axis_name),
        uniformity=pmean_if(jnp.mean(spread), axis_name),
    )
    return terms.alignment + terms.uniformity, terms
