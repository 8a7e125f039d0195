"""The components of a Gaussian mixture in one form, and the algebra of a covariance that is a variance, a diagonal or a matrix.

N components of width K. The rank of `covs` says what it is: [] one variance for all, [N] a variance each, [N, K] a diagonal each,
[N, K, K] a matrix each; a leading axis of 1 is shared by all. Of one component the covariance is [], [K] or [K, K], and its
factor is the variance, the diagonal or the Cholesky factor.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.scipy.linalg import solve_triangular
from jax.typing import ArrayLike
from jaxtyping import Bool, Float

from sslx.checks import check_floating, check_matrix, check_range
from sslx.entropy import is_singular
from sslx.moments import at_least_float32
from sslx.typing import Scalar


class Gaussian(NamedTuple):
    """One Gaussian, or a stack of them: mean [K], covariance ([], [K] or [K, K]), its factor, and log det of the covariance."""

    mean: Array
    cov: Array
    factor: Array
    log_det: Array


class Mixture(NamedTuple):
    """N Gaussians stacked on axis 0, their weights [N] (summing to 1), and whether a component of positive weight is singular."""

    components: Gaussian
    weights: Float[Array, " N"]
    singular: Bool[Array, ""]


def gaussian(mean: Float[Array, " K"], cov: Float[Array, "*shape"]) -> Gaussian:
    """One Gaussian with its factor; a covariance that is not positive definite gives a factor with nan."""
    mean = at_least_float32(mean)
    if cov.ndim == 2:
        cov = (cov + cov.T) / 2
        factor = jnp.linalg.cholesky(cov)
        return Gaussian(mean, cov, factor, 2 * jnp.sum(jnp.log(jnp.diagonal(factor))))
    log = jnp.log(cov)
    return Gaussian(mean, cov, cov, jnp.sum(log) if cov.ndim else mean.shape[-1] * log)


def mixture(means: Float[Array, "N K"], covs: ArrayLike, weights: Float[Array, " N"] | None = None, *, name: str = "covs") -> Mixture:
    """Checked and factored components; a singular covariance is replaced by the identity and flagged. `name` is that of `covs`."""
    check_matrix("means", means)
    n, width = means.shape
    covs = stacked(name, covs, means)
    weights = jnp.ones(n, covs.dtype) if weights is None else weights
    check_floating("weights", weights)
    if weights.shape != (n,):
        raise ValueError(f"weights must have shape [N] = ({n},), got {weights.shape}; pass one weight per component")
    weights = at_least_float32(weights)
    weights = jnp.where(weights < 0, jnp.nan, weights / jnp.sum(weights))
    singular = jax.vmap(is_singular)(covs)
    where = singular.reshape(n, *(1,) * (covs.ndim - 1))
    regular = jnp.where(where, jnp.eye(width, dtype=covs.dtype) if covs.ndim == 3 else 1.0, covs)
    return Mixture(jax.vmap(gaussian)(means, regular), weights, jnp.any(singular & (weights > 0)))


def stacked(name: str, covs: ArrayLike, means: Float[Array, "N K"]) -> Array:
    """Covariances of N components, in at least float32, with the component axis written out."""
    check_range(name, covs)
    covs = promoted(covs, means)
    n, width = means.shape
    if covs.shape[:1] not in ((), (1,), (n,)) or covs.shape[1:] not in ((), (width,), (width, width)):
        raise ValueError(
            f"{name} must have shape [], [N], [N, K] or [N, K, K] for means {means.shape}, got {covs.shape}; "
            "add a leading axis of 1 to a diagonal or matrix that all components share"
        )
    return jnp.broadcast_to(covs, (n, *covs.shape[1:]))


def promoted(cov: ArrayLike, mean: Array) -> Array:
    """A covariance in the wider type of its own, the mean's and float32; a Python number has none of its own."""
    cov = jnp.asarray(cov)
    return cov.astype(jnp.promote_types(jnp.result_type(cov, mean), jnp.float32))


def mahalanobis(difference: Float[Array, " K"], factor: Float[Array, "*shape"]) -> Scalar:
    """d^T S^-1 d from the factor of S."""
    if factor.ndim == 0:
        return jnp.sum(difference**2) / factor
    if factor.ndim == 1:
        return jnp.sum(difference**2 / factor)
    return jnp.sum(solve_triangular(factor, difference, lower=True) ** 2)


def trace_ratio(p: Gaussian, q: Gaussian) -> Scalar:
    """tr(S_q^-1 S_p)."""
    if p.factor.ndim < 2:
        ratio = p.cov / q.cov
        return jnp.sum(ratio) if ratio.ndim else p.mean.shape[-1] * ratio
    return jnp.sum(solve_triangular(q.factor, p.factor, lower=True) ** 2)


def trace(cov: Float[Array, "*shape"], width: int) -> Scalar:
    """Trace of one covariance."""
    if cov.ndim == 2:
        return jnp.trace(cov)
    return jnp.sum(cov) if cov.ndim else width * cov
