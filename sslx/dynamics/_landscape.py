"""Where training ends: the global optima of two losses of linear networks, in closed form."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from sslx.checks import check_integer, check_matrix, check_square
from sslx.linalg import product


class QuarticOptimum(NamedTuple):
    """The global minimum of the quartic landscape, and why it is there."""

    gram: Float[Array, "N N"]
    """W^T W, which the loss determines; W itself is free up to a rotation of the embedding"""
    loss: Float[Array, ""]
    """The loss there, -sum_k b_k^2/4 over the directions that are learned"""
    strengths: Float[Array, " N"]
    """b_k, descending: a direction with b_k <= 0, or beyond the width, is not learned"""


def quartic_optimum(b: Float[Array, "N N"], s: Float[Array, "N N"], width: int) -> QuarticOptimum:
    """The global minimum of  L(W) = -tr(W B W^T) + tr((W S W^T)^2)  over W [width, N].

    W^T W = S^{-1/2} [B~/2]_+ S^{-1/2},  B~ = S^{-1/2} B S^{-1/2},  where [.]_+ keeps the `width` largest positive eigenvalues b_k of B~.
    A direction collapses where b_k <= 0, the network as a whole where all are. The Barlow Twins loss of a linear network is
    B = 2 Gamma, S = Gamma, up to the constant d.

    Args:
        b: B, what the positive pairs share, symmetric [N, N].
        s: S, covariance of the data and the augmentation, symmetric positive definite [N, N].
        width: of the embedding, at least 1.

    Raises:
        TypeError: unless both are floating-point arrays.
        ValueError: unless both have one shape [N, N] and width is a positive integer.

    Reference: Ziyin, Lubana, Ueda, Tanaka (2023), What shapes the loss landscape of self-supervised learning?, arXiv 2210.00638, the
        effective landscape to fourth order.
    """
    check_square("b", b)
    check_square("s", s, b.shape[0])
    check_integer("width", width)
    values, vectors = jnp.linalg.eigh(s)
    whiten = product(vectors / jnp.sqrt(values), vectors.T)
    strengths, directions = (a[..., ::-1] for a in jnp.linalg.eigh(product(whiten, b, whiten)))
    learned = jnp.where(jnp.arange(len(strengths)) < width, jnp.maximum(strengths, 0.0), 0.0)
    root = product(whiten, directions) * jnp.sqrt(learned / 2)
    return QuarticOptimum(product(root, root.T), -jnp.sum(learned**2) / 4, strengths)


def laplacian_optimum(
    laplacian: Float[Array, "n n"], gamma: float, width: int, *, inputs: Float[Array, "n N"] | None = None
) -> Float[Array, "n K"]:
    """The embeddings that minimise  ||Z^T Z/n - I||_F^2 + (2 gamma/n) tr(Z^T L Z)  over centred Z [n, width]: spectral embedding.

    Z = U diag(n max(0, 1 - gamma l_k))^{1/2}, with U the eigenvectors of L of the smallest eigenvalues l_k but that of the constant vector:
    a dimension collapses where gamma l_k >= 1. With `inputs` X, Z is what a linear network Z = X W can reach: L is taken within the
    span of the centred columns of X, the generalised eigenproblem X^T L X w = l X^T X w.

    Args:
        laplacian: L = D - G of the graph G that joins views of one image, symmetric [n, n].
        gamma: weight of the invariance, >= 0.
        width: of the embedding, K.
        inputs: [n, N] with independent centred columns; None: any Z.

    Returns:
        Z, [n, K]; its columns are determined up to a rotation.

    Raises:
        TypeError: unless the arrays are floating-point.
        ValueError: for other shapes, gamma < 0, or a width that is not an integer from 1 to n - 1 (to N with `inputs`).

    Reference: Balestriero, LeCun (2022), Contrastive and non-contrastive self-supervised learning recover global and local spectral
        embedding methods, arXiv 2205.11508, the case of VICReg.
    """
    check_square("laplacian", laplacian)
    check_integer("width", width)
    n = laplacian.shape[0]
    if not gamma >= 0:
        raise ValueError(f"gamma must be >= 0, got {gamma}; it weighs the invariance")
    if inputs is not None:
        check_matrix("inputs", inputs)
    limit = n - 1 if inputs is None else min(n - 1, inputs.shape[1])
    if width > limit or (inputs is not None and inputs.shape[0] != n):
        shape = None if inputs is None else inputs.shape
        raise ValueError(f"width must be at most {limit} for {n} points and inputs {shape}, one row per point, got {width}")
    basis = jnp.eye(n, dtype=laplacian.dtype) if inputs is None else jnp.linalg.qr(inputs - inputs.mean(0))[0]
    trace = jnp.trace(laplacian)
    beyond = jnp.where(trace > 0, 2 * trace, 1.0)  # carries the constant vector past every other eigenvalue
    values, vectors = jnp.linalg.eigh(product(basis.T, laplacian + beyond / n, basis))
    size = jnp.sqrt(n * jnp.maximum(1 - gamma * values[:width], 0.0))
    return product(basis, vectors[:, :width]) * size
