"""Divergences between two Gaussians, in nats, for variances [], diagonals [K] and covariance matrices [K, K]."""

import math

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float

from sslx.checks import check_floating, check_range
from sslx.information._components import Gaussian, gaussian, mahalanobis, promoted, trace_ratio
from sslx.typing import Scalar


def gaussian_kl(mean_p: Float[Array, " K"], cov_p: ArrayLike, mean_q: Float[Array, " K"], cov_q: ArrayLike) -> Scalar:
    """Kullback-Leibler divergence between two Gaussians.

    KL(p || q) = 1/2 [ln |S_q| / |S_p| + d^T S_q^-1 d + tr(S_q^-1 S_p) - K],  d = m_p - m_q.

    Args:
        mean_p, mean_q: means [K].
        cov_p, cov_q: covariances of one kind: variances [], diagonals [K] or matrices [K, K].

    Returns:
        The divergence in nats; nan where a matrix is not positive definite.

    Raises:
        TypeError, ValueError: a mean is not a floating-point vector, or the shapes do not fit.
    """
    return kl_divergence(*_pair(mean_p, cov_p, mean_q, cov_q))


def chernoff(
    mean_p: Float[Array, " K"], cov_p: ArrayLike, mean_q: Float[Array, " K"], cov_q: ArrayLike, *, alpha: ArrayLike = 0.5
) -> Scalar:
    """Chernoff-alpha divergence between two Gaussians; alpha = 1/2 is the Bhattacharyya distance.

    C_a(p || q) = -ln int p^a q^(1-a) = a (1-a) / 2 d^T S^-1 d + 1/2 ln(|S| / (|S_p|^(1-a) |S_q|^a)),
    S = (1-a) S_p + a S_q,  d = m_p - m_q.

    Args:
        mean_p, mean_q: means [K].
        cov_p, cov_q: covariances of one kind: variances [], diagonals [K] or matrices [K, K].
        alpha: the weight of p, in [0, 1].

    Returns:
        The divergence in nats, at most min((1-a) KL(p || q), a KL(q || p)); nan where a matrix is not positive definite.

    Raises:
        TypeError, ValueError: a mean is not a floating-point vector, the shapes do not fit, or alpha is not in [0, 1].

    Reference: Kolchinsky and Tracey, 2017, Entropy 19(7):361.
    """
    check_range("alpha", alpha, 1.0)
    return chernoff_divergence(*_pair(mean_p, cov_p, mean_q, cov_q), alpha)


def kl_divergence(p: Gaussian, q: Gaussian) -> Scalar:
    """KL(p || q) from factors."""
    return 0.5 * (q.log_det - p.log_det + mahalanobis(p.mean - q.mean, q.factor) + trace_ratio(p, q) - p.mean.shape[-1])


def chernoff_divergence(p: Gaussian, q: Gaussian, alpha: ArrayLike) -> Scalar:
    """C_alpha(p || q) from factors."""
    alpha = jnp.asarray(alpha, p.cov.dtype)
    middle = gaussian(p.mean - q.mean, (1 - alpha) * p.cov + alpha * q.cov)
    quadratic = mahalanobis(middle.mean, middle.factor)
    return 0.5 * (alpha * (1 - alpha) * quadratic + middle.log_det - (1 - alpha) * p.log_det - alpha * q.log_det)


def bhattacharyya_and_overlap(p: Gaussian, q: Gaussian) -> tuple[Scalar, Scalar]:
    """C_1/2(p || q) and ln int p q = ln N(m_p; m_q, S_p + S_q), both from one factorisation of S_p + S_q."""
    total = gaussian(p.mean - q.mean, p.cov + q.cov)
    quadratic, width = mahalanobis(total.mean, total.factor), p.mean.shape[-1]
    bhattacharyya = (quadratic + 2 * (total.log_det - width * math.log(2)) - p.log_det - q.log_det) / 4
    return bhattacharyya, -0.5 * (width * math.log(2 * math.pi) + total.log_det + quadratic)


def _pair(mean_p: Array, cov_p: ArrayLike, mean_q: Array, cov_q: ArrayLike) -> tuple[Gaussian, Gaussian]:
    for name, mean in (("mean_p", mean_p), ("mean_q", mean_q)):
        check_floating(name, mean)
        if mean.ndim != 1 or mean.shape != mean_p.shape or mean.size == 0:
            raise ValueError(f"mean_p and mean_q must be vectors [K] of one width, got {mean_p.shape} and {mean_q.shape}; K is at least 1")
    width = mean_p.shape[0]
    cov_p, cov_q = promoted(cov_p, mean_p), promoted(cov_q, mean_q)
    if cov_p.shape != cov_q.shape or cov_p.shape not in ((), (width,), (width, width)):
        raise ValueError(
            f"cov_p and cov_q must both be [], [{width}] or [{width}, {width}], got {cov_p.shape} and {cov_q.shape}; "
            "widen the simpler one, for instance with jnp.diag"
        )
    return gaussian(mean_p, cov_p), gaussian(mean_q, cov_q)
