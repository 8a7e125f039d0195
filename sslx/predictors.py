"""Closed-form predictors W_P from the correlation matrix of the embeddings: DirectPred and DirectCopy.

d embedding width. A predictor acts as p = z @ W_P and is a constant of the loss: no gradient reaches the embeddings through it.
"""

import jax.numpy as jnp
from jax import lax

from sslx.checks import check_choice, check_matrix, check_range, check_square
from sslx.linalg import largest_eigenvalue, product, square_root, symmetrise
from sslx.moments import at_least_float32, moving_average, second_moment
from sslx.typing import AxisName, Embedding, Matrix, Number, Scalar


def correlation_update(corr: Matrix, z: Embedding, *, decay: Number, axis_name: AxisName = None) -> Matrix:
    """Moving average of the uncentred correlation: decay corr + (1 - decay) z^T z / N, without gradient.

    Args:
        corr: the running correlation, [d, d]; start from zeros.
        z: embeddings of one view, [N, d].
        decay: weight of the old value, in [0, 1].
        axis_name: axis of a parallel map over which the batch is split.

    Returns:
        The new correlation, [d, d], in at least float32.

    Raises:
        ValueError: unless the shapes are [d, d] and [N, d] and decay is in [0, 1].
        TypeError: unless both are floating-point arrays.

    Reference: Tian, Chen, Ganguli, "Understanding Self-Supervised Learning Dynamics without Contrastive Pairs", 2021, arXiv 2102.06810.
    """
    check_matrix("z", z)
    check_square("corr", corr, z.shape[1])
    check_range("decay", decay, 1.0)
    return lax.stop_gradient(moving_average(at_least_float32(corr), second_moment(z, axis_name=axis_name), decay))


def directpred(corr: Matrix, *, alpha: Number = 0.5, eps: Number = 0.0, normalize: bool = True) -> Matrix:
    """DirectPred: the predictor shares the eigenvectors of the correlation and has a power of its eigenvalues.

    W_P = U diag(lambda) U^T,     corr = U diag(c) U^T,     lambda = (c / c_max + eps)^alpha.

    Eigenvalues below zero (rounding) count as zero; a zero correlation gives the identity. No gradient passes.

    Args:
        corr: correlation of the embeddings, [d, d], symmetric.
        alpha: power; 1/2 is DirectPred, 1 is DirectCopy.
        eps: added to the eigenvalues before the power.
        normalize: divide the eigenvalues by the largest; if False, lambda = (c + eps)^alpha.

    Returns:
        W_P, [d, d], symmetric, in at least float32.

    Raises:
        ValueError: unless `corr` is square, alpha >= 0 and eps >= 0.
        TypeError: unless `corr` is a floating-point array.

    Reference: Tian, Chen, Ganguli, 2021, arXiv 2102.06810; eps inside the power as in Halvagal, Laborieux, Zenke, 2023, arXiv 2212.04858.
    """
    check_range("alpha", alpha)
    corr, scale = _in_own_unit(corr, eps)
    c, u = jnp.linalg.eigh(corr)
    c = jnp.maximum(c, 0.0)
    c_max = jnp.max(c)
    c = c / jnp.where(c_max <= 0, 1.0, c_max) if normalize else c * scale
    w_p = product(u * (c + eps) ** alpha, u.T)
    return jnp.where(c_max <= 0, jnp.eye(len(corr), dtype=corr.dtype), symmetrise(w_p))


def directpred_by_products(corr: Matrix, *, alpha: float = 0.5, eps: Number = 0.0) -> Matrix:
    """`directpred` with alpha 1/2 or 1 by matrix products alone, for accelerators, whose eigendecompositions are slow
    (a step of IsoLoss, ResNet-18 and batch 256 on one H200: 12.0 ms so, 15.2 ms with one for each view).

    W_P = (corr / c_max + eps I)^alpha. `corr` has to be positive semi-definite up to rounding, as a correlation is. Eigenvalues of
    corr / c_max + eps near rounding have a root that is off by as much as the root of rounding, as by `directpred`.

    Args:
        corr: correlation of the embeddings, [d, d], symmetric.
        alpha: power, 1/2 or 1.
        eps: added to the eigenvalues before the power.

    Returns:
        W_P, [d, d], symmetric, in at least float32; the identity for a zero correlation.

    Raises:
        ValueError: unless `corr` is square, alpha is 0.5 or 1 and eps >= 0.
        TypeError: unless `corr` is a floating-point array.

    Reference: Tian, Chen, Ganguli, 2021, arXiv 2102.06810; the root as `linalg.square_root` has it (Higham, 2008).
    """
    check_choice("alpha", alpha, (0.5, 1.0))
    corr, _ = _in_own_unit(corr, eps)
    c_max, eye = largest_eigenvalue(corr), jnp.eye(len(corr), dtype=corr.dtype)
    base = corr / jnp.where(c_max <= 0, 1.0, c_max) + eps * eye
    w_p = base if alpha == 1 else jnp.sqrt(1 + eps) * square_root(base / (1 + eps))
    return jnp.where(c_max <= 0, eye, w_p)


def directcopy(corr: Matrix, *, eps: Number = 0.25, normalize: bool = True) -> Matrix:
    """DirectCopy: W_P = corr / c_max + eps I, that is `directpred` with alpha = 1.

    Args:
        corr: correlation of the embeddings, [d, d], symmetric.
        eps: added to the eigenvalues.
        normalize: divide by the largest eigenvalue.

    Returns:
        W_P, [d, d], in at least float32; the identity for a zero correlation.

    Raises:
        ValueError: unless `corr` is square and eps >= 0.
        TypeError: unless `corr` is a floating-point array.

    Reference: Wang, Chen, Du, Tian, "Towards Demystifying Representation Learning with Non-contrastive SSL", 2021, arXiv 2110.04947.
    """
    return directpred(corr, alpha=1.0, eps=eps, normalize=normalize)


def _in_own_unit(corr: Matrix, eps: Number) -> tuple[Matrix, Scalar]:
    """The correlation, checked and without gradient, over its largest entry, and that: as it shrinks it must not lose its digits."""
    check_square("corr", corr)
    check_range("eps", eps)
    corr = symmetrise(lax.stop_gradient(at_least_float32(corr)))
    largest = jnp.max(jnp.abs(corr))
    scale = jnp.where(largest == 0, 1.0, largest)
    return corr / scale, scale
