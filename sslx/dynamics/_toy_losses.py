"""Losses of the theories that differ from those that people train with. z_a, z_b [n, d] are embeddings of positive pairs."""

import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Float

from sslx.linalg import symmetrise


def unnormalised_barlow_twins(z_a: Float[Array, "n d"], z_b: Float[Array, "n d"]) -> Float[Array, ""]:
    """||C - I||_F^2 with C = sum_i (z_a z_b^T + z_b z_a^T)/(2n): neither centred nor standardised, all entries weighted alike.

    Reference: Simon et al. (2023), arXiv 2303.15438, the loss of the linear model.
    """
    c = symmetrise(jnp.matmul(z_a.T, z_b, precision=lax.Precision.HIGHEST)) / z_a.shape[0]
    return jnp.sum((c - jnp.eye(c.shape[0], dtype=c.dtype)) ** 2)
