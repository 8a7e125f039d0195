"""Coding-rate losses: MEC, total coding rate and EMP-SSL. z [N, d] or [V, N, d]: V views, N batch, d embedding width."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Float

from sslx.checks import check_floating, check_integer, check_matrix, check_pair, check_positive, check_views
from sslx.collectives import pmean_if
from sslx.entropy import coding_rate
from sslx.linalg import l2_normalise, log1p_series_trace
from sslx.moments import at_least_float32, second_moment
from sslx.typing import AnyArray, AxisName, Embedding, Number, Scalar, Views


class MecTerms(NamedTuple):
    """The one summand of MEC: minus the coding length, scaled."""

    coding_length: Scalar


class CodingRateTerms(NamedTuple):
    """The one summand of the total coding rate: R itself, loss = -coding_rate."""

    coding_rate: Scalar


class EmpSslTerms(NamedTuple):
    """The summands of EMP-SSL: loss = -similarity_coeff similarity - coding_rate."""

    similarity: Scalar
    coding_rate: Scalar


def mec(
    z_a: Embedding, z_b: Embedding, *, eps_squared: Number = 64.0, order: int = 4, axis_name: AxisName = None
) -> tuple[Scalar, MecTerms]:
    """Maximum entropy coding, one order of the two views, in the convention of its official code.

    loss = -1/(N lam) tr sum_{k=1..order} (-1)^{k+1}/k (lam z_a^T z_b)^k,     lam = d / (N eps_squared),

    rows L2-normalised inside, N over all devices. The series converges while lam ||z_a^T z_b|| < 1, that is surely for
    eps_squared > d. Both views receive gradient; stop it on the target outside. When all rows are equal the gradient along them is zero.

    Args:
        z_a: prediction of the online network, [N, d].
        z_b: embedding of the target network, [N, d].
        eps_squared: square of the distortion.
        order: terms of the series.
        axis_name: axis of a parallel map over which the batch is split.

    Returns:
        The loss [] and its term.

    Raises:
        ValueError: unless both have one shape [N, d], eps_squared > 0 and `order` is at least 1.
        TypeError: unless both are floating-point arrays.

    Reference: Liu, Wang, Li, Wang, "Self-Supervised Learning via Maximum Entropy Coding", 2022, arXiv 2210.11464.
    """
    check_pair("z_a", z_a, "z_b", z_b)
    check_integer("order", order)
    check_positive("eps_squared", eps_squared)
    n, d = z_a.shape
    a, b = l2_normalise(at_least_float32(z_a)), l2_normalise(at_least_float32(z_b))
    wide = axis_name is None and n < d  # then z_a z_b^T / N, which has the traces of z_a^T z_b / N, is smaller
    cross = second_moment(a.T, b.T) * (d / n) if wide else second_moment(a, b, axis_name=axis_name)
    loss = -eps_squared / d * log1p_series_trace(d / eps_squared * cross, order)
    return loss, MecTerms(loss)


def total_coding_rate(
    z: Float[AnyArray, "*V N d"], *, eps_squared: Number = 0.2, axis_name: AxisName = None
) -> tuple[Scalar, CodingRateTerms]:
    """Total coding rate, to be minimised: loss = -R(z), R = 1/2 log det(I + d/(N eps_squared) z^T z).

    Rows are used as they are: R grows without bound with their length, so normalise them. At z = 0 the gradient is zero; equal non-zero
    rows still feel a force along themselves only. Of rows that are long or have a large common offset, directions in which z^T z is at its
    rounding level (5e-7 of its norm in float32, 9e-16 in float64) count as none.

    Args:
        z: embeddings, [N, d], or [V, N, d] for the mean over views.
        eps_squared: square of the distortion.
        axis_name: axis of a parallel map over which the batch is split.

    Returns:
        The loss [] and its term.

    Raises:
        ValueError: unless z has 2 or 3 axes and eps_squared > 0.
        TypeError: unless z is a floating-point array.

    Reference: Yu, Chan, You, Song, Ma, "Learning Diverse and Discriminative Representations via Maximal Coding Rate Reduction", 2020,
    arXiv 2006.08558.
    """
    check_floating("z", z)
    check_positive("eps_squared", eps_squared)
    if z.ndim == 3:
        check_views("z", z)
        rate = _mean_rate(z, eps_squared, axis_name)
    else:
        check_matrix("z", z)
        rate = coding_rate(z, z.shape[1] / eps_squared, axis_name=axis_name)
    return -rate, CodingRateTerms(rate)


def emp_ssl(
    z: Views, *, similarity_coeff: Number = 200.0, eps_squared: Number = 0.2, axis_name: AxisName = None
) -> tuple[Scalar, EmpSslTerms]:
    """EMP-SSL: many patches of an image agree with their mean, each patch's batch spreads.

    loss = -similarity_coeff mean_vn cos(z_v, mean_v z) - mean_v R(z_v),     R = 1/2 log det(I + d/(N eps_squared) z_v^T z_v),

    rows L2-normalised inside. When all rows are equal the gradient along them is zero.

    Args:
        z: embeddings of the views, [V, N, d].
        similarity_coeff: weight of the similarity.
        eps_squared: square of the distortion.
        axis_name: axis of a parallel map over which the batch is split.

    Returns:
        The loss [] and its terms, unweighted.

    Raises:
        ValueError: unless z has shape [V, N, d] and eps_squared > 0.
        TypeError: unless z is a floating-point array.

    Reference: Tong, Chen, Ma, LeCun, "EMP-SSL: Towards Self-Supervised Learning in One Training Epoch", 2023, arXiv 2304.03977.
    """
    check_views("z", z)
    check_positive("eps_squared", eps_squared)
    z = l2_normalise(at_least_float32(z))
    centroid = l2_normalise(jnp.mean(z, axis=0))
    terms = EmpSslTerms(
        similarity=pmean_if(jnp.mean(jnp.sum(z * centroid, axis=-1)), axis_name), coding_rate=_mean_rate(z, eps_squared, axis_name)
    )
    return -similarity_coeff * terms.similarity - terms.coding_rate, terms


@partial(jax.jit, static_argnames="axis_name")  # called eagerly, a loop over a closure would be compiled anew each time
def _mean_rate(z: Views, eps_squared: Number, axis_name: AxisName) -> Scalar:
    return jnp.mean(lax.map(lambda view: coding_rate(view, z.shape[-1] / eps_squared, axis_name=axis_name), z))
