"""Entropy-regularised losses: the invariance of VICReg or BYOL with an entropy estimate against collapse.

z [N, d]: N batch, d embedding width. Entropies are in nats per dimension.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax import lax

from sslx.checks import check_count, check_pair, check_positive
from sslx.entropy import logdet_entropy, median_squared_distance, pairwise_entropy_isotropic
from sslx.losses._regression import cosine, euclidean
from sslx.moments import global_count
from sslx.typing import AxisName, Embedding, Number, Scalar

SMALLEST_VARIANCE = 1e-8


class EntropyTerms(NamedTuple):
    """The invariance term and the entropy per dimension: loss = sim_coeff invariance - entropy_coeff entropy."""

    invariance: Scalar
    entropy: Scalar


def vicreg_logdet(
    z_a: Embedding,
    z_b: Embedding,
    *,
    sim_coeff: Number = 1.0,
    entropy_coeff: Number = 1.0,
    beta: Number = 1.0,
    axis_name: AxisName = None,
) -> tuple[Scalar, EntropyTerms]:
    """VICReg's invariance with the LogDet entropy in place of its variance and covariance terms.

    loss = sim_coeff mean_n sum_d (z_a - z_b)^2 - entropy_coeff (H(z_a) + H(z_b)) / (2 d),
    H(z) = 1/2 log det(I + beta Zc^T Zc / N).

    The entropy grows without bound with the scale of z; the first term is what bounds it. When all rows are equal H and its gradient are
    zero: no force out of exact collapse.

    Args:
        z_a: embeddings of the first view, [N, d].
        z_b: embeddings of the second view, [N, d].
        sim_coeff: weight of the invariance term.
        entropy_coeff: weight of the entropy per dimension.
        beta: scale of the embeddings against unit noise in H.
        axis_name: axis of a parallel map over which the batch is split.

    Returns:
        The loss [] and its terms, unweighted.

    Raises:
        ValueError: unless both have one shape [N, d] and beta >= 0.
        TypeError: unless both are floating-point arrays.

    Reference: Shwartz-Ziv et al., "An Information-Theoretic Perspective on VICReg", 2023, arXiv 2303.00633; the weights are this library's.
    """
    invariance, _ = euclidean(z_a, z_b, stop_gradient="none", axis_name=axis_name)
    entropy = logdet_entropy(z_a, beta=beta, axis_name=axis_name) + logdet_entropy(z_b, beta=beta, axis_name=axis_name)
    return _combine(invariance, entropy / (2 * z_a.shape[1]), sim_coeff, entropy_coeff)


def vicreg_pairdist(
    z_a: Embedding,
    z_b: Embedding,
    *,
    sim_coeff: Number = 1.0,
    entropy_coeff: Number = 1.0,
    variance: Number | None = None,
    chunk: int | None = None,
    axis_name: AxisName = None,
) -> tuple[Scalar, EntropyTerms]:
    """VICReg's invariance with the pairwise-distance entropy (a lower bound) in place of its variance and covariance terms.

    loss = sim_coeff mean_n sum_d (z_a - z_b)^2 - entropy_coeff (H(z_a) + H(z_b)) / (2 d),
    H(z) = d/2 log(2 pi e variance) - 1/N sum_i log 1/N sum_j exp(-|z_i - z_j|^2 / (8 variance)).

    Above its width's share H is capped by log N. When all rows are equal its gradient is zero: no force out of exact collapse.

    Args:
        z_a: embeddings of the first view, [N, d].
        z_b: embeddings of the second view, [N, d].
        sim_coeff: weight of the invariance term.
        entropy_coeff: weight of the entropy per dimension.
        variance: width of the components; None takes the median of |z_i - z_j|^2 over i != j, divided by 8, of each view without gradient,
            not below 1e-8.
        chunk: rows handled at a time, so that memory grows with chunk N and not with N^2; give `variance` too, because a median looks
            at all pairs. None takes all at once.
        axis_name: axis of a parallel map over which the batch is split; embeddings are gathered over it.

    Returns:
        The loss [] and its terms, unweighted.

    Raises:
        ValueError: unless both have one shape [N, d] with at least 2 rows over all devices, and variance > 0.
        TypeError: unless both are floating-point arrays.

    Reference: Shwartz-Ziv et al., 2023, arXiv 2303.00633; Kolchinsky and Tracey, 2017, arXiv 1706.02419; the weights are this library's.
    """
    invariance, _ = euclidean(z_a, z_b, stop_gradient="none", axis_name=axis_name)
    entropy = _pairdist(z_a, variance, chunk, axis_name) + _pairdist(z_b, variance, chunk, axis_name)
    return _combine(invariance, entropy / (2 * z_a.shape[1]), sim_coeff, entropy_coeff)


def byol_logdet(
    p: Embedding,
    z: Embedding,
    z_online: Embedding,
    *,
    sim_coeff: Number = 1.0,
    entropy_coeff: Number = 1.0,
    beta: Number = 1.0,
    axis_name: AxisName = None,
) -> tuple[Scalar, EntropyTerms]:
    """BYOL's cosine loss, one order of the views, with the LogDet entropy of the online embedding.

    loss = sim_coeff mean_n (2 - 2 cos(p, SG(z))) - entropy_coeff H(z_online) / d,     H as in `vicreg_logdet`.

    The cosine does not bound the scale of z_online and H grows with it: pass z_online standardised or with rows of unit length. When all
    rows are equal H has gradient zero: no force out of exact collapse.

    Args:
        p: online prediction, [N, d].
        z: target embedding, [N, d]; receives no gradient.
        z_online: online embedding before the predictor, [N, d].
        sim_coeff: weight of the invariance term.
        entropy_coeff: weight of the entropy per dimension.
        beta: scale of the embeddings against unit noise in H.
        axis_name: axis of a parallel map over which the batch is split.

    Returns:
        The loss [] and its terms, unweighted.

    Raises:
        ValueError: unless all three have one shape [N, d] and beta >= 0.
        TypeError: unless all three are floating-point arrays.

    Reference: Shwartz-Ziv et al., 2023, arXiv 2303.00633; the weights are this library's.
    """
    check_pair("p", p, "z_online", z_online)
    invariance, _ = cosine(p, z, axis_name=axis_name)
    entropy = logdet_entropy(z_online, beta=beta, axis_name=axis_name)
    return _combine(invariance, entropy / z_online.shape[1], sim_coeff, entropy_coeff)


def byol_pairdist(
    p: Embedding,
    z: Embedding,
    z_online: Embedding,
    *,
    sim_coeff: Number = 1.0,
    entropy_coeff: Number = 1.0,
    variance: Number | None = None,
    chunk: int | None = None,
    axis_name: AxisName = None,
) -> tuple[Scalar, EntropyTerms]:
    """BYOL's cosine loss, one order of the views, with the pairwise-distance entropy of the online embedding.

    loss = sim_coeff mean_n (2 - 2 cos(p, SG(z))) - entropy_coeff H(z_online) / d,     H as in `vicreg_pairdist`.

    When all rows are equal H has gradient zero: no force out of exact collapse.

    Args:
        p: online prediction, [N, d].
        z: target embedding, [N, d]; receives no gradient.
        z_online: online embedding before the predictor, [N, d].
        sim_coeff: weight of the invariance term.
        entropy_coeff: weight of the entropy per dimension.
        variance: width of the components; None takes it from the batch as in `vicreg_pairdist`.
        chunk: rows handled at a time, as in `vicreg_pairdist`.
        axis_name: axis of a parallel map over which the batch is split; embeddings are gathered over it.

    Returns:
        The loss [] and its terms, unweighted.

    Raises:
        ValueError: unless all three have one shape [N, d] with at least 2 rows over all devices, and variance > 0.
        TypeError: unless all three are floating-point arrays.

    Reference: Shwartz-Ziv et al., 2023, arXiv 2303.00633; Kolchinsky and Tracey, 2017, arXiv 1706.02419; the weights are this library's.
    """
    check_pair("p", p, "z_online", z_online)
    invariance, _ = cosine(p, z, axis_name=axis_name)
    entropy = _pairdist(z_online, variance, chunk, axis_name)
    return _combine(invariance, entropy / z_online.shape[1], sim_coeff, entropy_coeff)


def _pairdist(z: Embedding, variance: Number | None, chunk: int | None, axis_name: AxisName) -> Scalar:
    check_count("the batch", global_count(z, axis_name))
    check_positive("variance", variance)
    if variance is None:
        variance = lax.stop_gradient(jnp.maximum(median_squared_distance(z, axis_name=axis_name) / 8, SMALLEST_VARIANCE))
    return pairwise_entropy_isotropic(z, variance, chunk=chunk, axis_name=axis_name)


def _combine(invariance: Scalar, entropy: Scalar, sim_coeff: Number, entropy_coeff: Number) -> tuple[Scalar, EntropyTerms]:
    return sim_coeff * invariance - entropy_coeff * entropy, EntropyTerms(invariance, entropy)
