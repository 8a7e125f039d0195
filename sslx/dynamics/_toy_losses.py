"""Losses of the theories that differ from those that people train with. z_a, z_b [n, d] are embeddings of positive pairs."""

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from sslx.linalg import product, symmetrise


def unnormalised_barlow_twins(z_a: Float[Array, "n d"], z_b: Float[Array, "n d"]) -> Float[Array, ""]:
    """||C - I||_F^2 with C = sum_i (z_a z_b^T + z_b z_a^T)/(2n): neither centred nor standardised, all entries weighted alike.

    Reference: Simon et al. (2023), arXiv 2303.15438, the loss of the linear model.
    """
    c = symmetrise(product(z_a.T, z_b)) / z_a.shape[0]
    return jnp.sum((c - jnp.eye(c.shape[0], dtype=c.dtype)) ** 2)


def unnormalised_infonce(z_a: Float[Array, "n d"], z_b: Float[Array, "n d"]) -> Float[Array, ""]:
    """-sum_i ln softmax_i: the positive against all other z_a, by squared distance, neither normalised nor averaged over the batch.

    Reference: Jing, Vincent, LeCun, Tian (2022), arXiv 2110.09348, the loss of the linear model.
    """
    logits = infonce_logits(z_a, z_b)
    return jnp.sum(jax.nn.logsumexp(logits, axis=1) - jnp.diagonal(logits))


def infonce_logits(z_a: Float[Array, "n d"], z_b: Float[Array, "n d"]) -> Float[Array, "n n"]:
    """-|z_i - z_j|^2/2 over z_a, and -|z_i - z'_i|^2/2 on the diagonal."""
    gram = product(z_a, z_a.T)
    half = jnp.diagonal(gram) / 2
    return jnp.where(jnp.eye(len(z_a), dtype=bool), -jnp.sum((z_a - z_b) ** 2, axis=1) / 2, gram - half - half[:, None])


def quartic_landscape(w: Float[Array, "d N"], b: Float[Array, "N N"], s: Float[Array, "N N"]) -> Float[Array, ""]:
    """-tr(W B W^T) + tr((W S W^T)^2).

    Reference: Ziyin, Lubana, Ueda, Tanaka (2023), arXiv 2210.00638, the effective landscape to fourth order.
    """
    return -jnp.sum(product(w, b) * w) + jnp.sum(product(w, s, w.T) ** 2)


def laplacian_vicreg(z: Float[Array, "n d"], laplacian: Float[Array, "n n"], gamma: float) -> Float[Array, ""]:
    """||Z^T Z/n - I||_F^2 + (2 gamma/n) tr(Z^T L Z): variance and covariance in one, invariance along the edges of a graph.

    Reference: Balestriero, LeCun (2022), arXiv 2205.11508, the case of VICReg.
    """
    n, d = z.shape
    return jnp.sum((product(z.T, z) / n - jnp.eye(d, dtype=z.dtype)) ** 2) + 2 * gamma / n * jnp.sum(z * product(laplacian, z))
