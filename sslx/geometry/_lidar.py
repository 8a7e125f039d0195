"""LiDAR: the effective rank of between-image scatter in units of within-image scatter. z [images, views, d]."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.scipy.linalg import solve_triangular
from jaxtyping import Float

from sslx.checks import check_floating, check_range
from sslx.geometry._effective_dimension import shannon_entropy
from sslx.geometry._unit import in_own_unit, unit_of
from sslx.linalg import safe_shift
from sslx.moments import at_least_float32, covariance, second_moment
from sslx.typing import AnyArray, Number, Scalar


def lidar(z: Float[Array, "images views d"], *, delta: float = 1e-4, eps: float = 1e-8) -> Scalar:
    """LiDAR: exponential entropy of the eigenvalues l of S_w^{-1/2} S_b S_w^{-1/2}.

    With mu_i the mean over the views of image i and mu the grand mean,
    S_b = mean_i (mu_i - mu)(mu_i - mu)^T,  S_w = mean_{i,j} (z_ij - mu_i)(z_ij - mu_i)^T + delta I,
    exp(-sum p log p),  p = l / sum l + eps.

    Other code divides by n - 1 and n (q - 1); published values use n = 1,000 images with q = 50 views. l / sum l is the spectrum of the
    Fisher information of a view about its image, in units of the data: LiDAR is the effective dimension (entropy kind) of that.

    Args:
        z: embeddings [images, views, d], at least 2 images with at least 2 views each.
        delta: added to the diagonal of S_w.
        eps: added to each p.

    Returns:
        LiDAR, [], from 1 to d up to eps (eps^(-d eps), about 1, when all images have one mean).

    Raises:
        ValueError, TypeError: for another shape or dtype, or a negative delta or eps.

    Reference: Thilak et al. (2024), arXiv:2312.04000.
    """
    check_floating("z", z)
    if z.ndim != 3 or z.shape[0] < 2 or z.shape[1] < 2 or z.shape[2] < 1:
        raise ValueError(f"z must have shape [images >= 2, views >= 2, d], got {z.shape}; put the views of an image on axis 1")
    check_range("delta", delta)
    check_range("eps", eps)
    z = at_least_float32(z)
    means = jnp.mean(z, axis=1)
    residuals = (z - means[:, None]).reshape(-1, z.shape[2])
    unit = jnp.maximum(unit_of(residuals), jnp.sqrt(delta))  # of S_w and delta; that of S_b leaves p alone
    within = second_moment(residuals / unit)
    return lidar_from_scatter(covariance(in_own_unit(means), ddof=0), within, delta=(jnp.sqrt(delta) / unit) ** 2, eps=eps)


def lidar_from_scatter(between: AnyArray, within: AnyArray, *, delta: Number = 1e-4, eps: float = 1e-8) -> Scalar:
    """LiDAR of S_b and S_w (without delta I), both [d, d], in their own precision (NumPy float64 too): the form for streamed moments."""
    xp = array_module(between, within)
    if xp is np:
        variances, axes = np.linalg.eigh(within)
        whiten = axes / np.sqrt(np.maximum(variances, 0) + delta)
    else:  # eigh has no gradient where eigenvalues coincide
        within = jnp.asarray(within)
        eye = jnp.eye(len(within), dtype=within.dtype)
        factor = jnp.linalg.cholesky(within + safe_shift(within, delta) * eye)
        whiten = solve_triangular(factor, eye, lower=True).T
    with jax.default_matmul_precision("highest"):
        whitened = whiten.T @ between @ whiten
    l = xp.maximum(xp.linalg.eigvalsh((whitened + whitened.T) / 2), 0)
    total = xp.sum(l)
    return jnp.exp(shannon_entropy(jnp.asarray(l / xp.where(total > 0, total, 1)) + eps))


def array_module(*arrays: AnyArray) -> Any:
    """NumPy for finite NumPy arrays, else JAX: of what is not finite it gives NaN, where NumPy's decompositions raise."""
    return np if all(isinstance(a, np.ndarray) and np.isfinite(a).all() for a in arrays) else jnp
