"""What Barlow Twins statistics say about representation efficiency. z_a, z_b [N, d]: two views of N images, standardised inside.

Standardising (mean 0 and variance 1 per feature over the batch, exactly and not up to an eps) is the gauge of every number here.
Features that do not vary become 0. R = E[z_a z_a^T], C = E[z_a z_b^T].
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Float

from sslx.checks import check_count, check_pair, check_range, check_square
from sslx.geometry._unit import standardise
from sslx.linalg import product, rounding_share, safe_norm, safe_sqrt, symmetrise
from sslx.moments import at_least_float32, global_count, second_moment
from sslx.typing import AxisName, Embedding, Matrix, Scalar


class BarlowTwinsEfficiency(NamedTuple):
    """C and R [d, d]; eta, the participation ratio of R over d; ||C - I||_F; and the lower bound on eta that C alone proves."""

    cross_correlation: Matrix
    correlation: Matrix
    efficiency: Scalar
    distance: Scalar
    efficiency_bound: Scalar


class DataMetricSpectra(NamedTuple):
    """Eigenvalues of Fisher information measured in units of the data, each [d] in falling order; see `data_metric_spectra`."""

    augmentation: Float[Array, " d"]
    predictive: Float[Array, " d"]


def barlow_twins_efficiency(z_a: Embedding, z_b: Embedding, *, axis_name: AxisName = None) -> BarlowTwinsEfficiency:
    """Efficiency of a representation next to the distance of Barlow Twins from its optimum.

    C = I forces z_a = z_b and so R = C = I: every eigenvalue equal, eta = 1. Near the optimum eta >= `efficiency_bound`(C). For any R of
    unit diagonal eta = d / ||R||_F^2 = 1 / (1 + (1/d) sum_{i != j} R_ij^2): the redundancy energy of the loss, within one view.

    Two limits on eta. A projector wider than the rank r the data can fill has eta <= r / d at best, and C = I is out of its reach. And
    eta = 1 holds for independent noise too; with N rows such features show about 1 / (1 + d/N), so use N >= 10 d.

    Args:
        z_a, z_b: embeddings [N, d] of two views, N >= 2.
        axis_name: devices over which the batch is spread, or None.

    Returns:
        `BarlowTwinsEfficiency`. `efficiency_bound` is 0 when a feature of z_a does not vary: the bound needs unit variances.

    Raises:
        ValueError, TypeError: unless z_a and z_b are floating-point of one shape [N, d].

    Reference: Zhang (2025), arXiv:2510.10980 (C = I is optimal); Zbontar et al. (2021), arXiv:2103.03230 (C).
    """
    check_pair("z_a", z_a, "z_b", z_b)
    check_count("z_a", global_count(z_a, axis_name))
    a, b = standardise(z_a, axis_name=axis_name), standardise(z_b, axis_name=axis_name)
    c, r = second_moment(a, b, axis_name=axis_name), second_moment(a, axis_name=axis_name)
    some_feature_is_constant = jnp.min(jnp.diagonal(r)) <= 0.5
    square = jnp.sum(r**2)
    return BarlowTwinsEfficiency(
        cross_correlation=c,
        correlation=r,
        efficiency=jnp.trace(r) ** 2 / jnp.where(square == 0, 1, square) / r.shape[0],
        distance=_distance(c),
        efficiency_bound=jnp.where(some_feature_is_constant, 0, efficiency_bound(c)),
    )


def efficiency_bound(cross_correlation: Matrix) -> Scalar:
    """A lower bound on eta of R, [], from the cross-correlation matrix C alone; it tends to 1 as C -> I.

    |R_ij - C_ij| <= sqrt(2 (1 - C_jj)) by Cauchy-Schwarz, so that ||R - I||_F <= e = ||C - I||_F + sqrt(2 d sum_j (1 - C_jj)), and
    eta = 1 / (1 + ||R - I||_F^2 / d) >= 1 / (1 + e^2 / d) for R of unit diagonal.

    Raises:
        ValueError, TypeError: unless cross_correlation is a floating-point [d, d] matrix.

    Reference: a quantitative form of the optimality statement of Zhang (2025), arXiv:2510.10980.
    """
    check_square("cross_correlation", cross_correlation)
    c = at_least_float32(cross_correlation)
    d = c.shape[0]
    e = _distance(c) + safe_sqrt(2 * d * jnp.sum(1 - jnp.diagonal(c)))
    return 1 / (1 + e**2 / d)


def augmentation_fisher(z_a: Embedding, z_b: Embedding, *, ridge: float = 0.0, axis_name: AxisName = None) -> Matrix:
    """Average Fisher information (R - C)^-1 of t given z for additive augmentation noise t = z + e.

    For views that are independent given z, R = S_z + S_e and C = S_z: the noise covariance is S_e = R - C. It is estimated by
    E[(z_a - z_b)(z_a - z_b)^T] / 2, the mean of R - C over both views and its transpose, which is never indefinite.

    Two traps. Under isotropic noise this matrix is a multiple of I and its eta is 1 whatever C is. At C = I it is infinite, and
    the limit of eta depends on the direction: for C = diag(1 - delta) it is the participation ratio of 1/delta over d. With
    no more rows than columns or perfect invariance of a direction, up to rounding, the result is NaN: pass a ridge, such as LiDAR's 1e-4.

    Args:
        z_a, z_b: embeddings [N, d] of two views, N >= 2.
        ridge: added to the diagonal of R - C.
        axis_name: devices over which the batch is spread, or None.

    Returns:
        the Fisher information [d, d], per squared standard deviation of the features.

    Raises:
        ValueError, TypeError: unless z_a and z_b are floating-point of one shape [N, d], and the ridge is not negative.

    Reference: Zhang (2025), arXiv:2510.10980 (C and the average Fisher information, linked through the augmentation noise).
    """
    check_pair("z_a", z_a, "z_b", z_b)
    check_count("z_a", global_count(z_a, axis_name))
    check_range("ridge", ridge)
    difference = standardise(z_a, axis_name=axis_name) - standardise(z_b, axis_name=axis_name)
    noise = second_moment(difference, axis_name=axis_name) / 2
    noise += ridge * jnp.eye(noise.shape[0], dtype=noise.dtype)
    scale = lax.rsqrt(jnp.diagonal(noise))
    l = jnp.linalg.eigvalsh(noise * scale[:, None] * scale)
    regular = l[0] > rounding_share(noise.dtype) * l[-1]
    return jnp.where(regular, symmetrise(jnp.linalg.inv(noise)), jnp.nan)


def predictive_fisher(z_a: Embedding, z_b: Embedding, *, ridge: float = 0.0, axis_name: AxisName = None) -> Matrix:
    """Fisher information M^T K^-1 M about z_a of the Gaussian prediction of the other view, z_b | z_a ~ N(M z_a, K).

    M = C^T R_a^-1 and K = R_b - M C; in whitened coordinates its eigenvalues are rho^2 / (1 - rho^2), rho the canonical correlations.

    Args:
        z_a, z_b: embeddings [N, d] of two views, N > 2 d.
        ridge: added to the diagonals of R_a and K; needed where they are singular (collapse, few rows, perfect prediction).
        axis_name: devices over which the batch is spread, or None.

    Returns:
        the Fisher information [d, d].

    Raises:
        ValueError, TypeError: unless z_a and z_b are floating-point of one shape [N, d], and the ridge is not negative.

    Reference: Zhang (2025), arXiv:2510.10980, with the Gaussian conditional p(t | z) taken from the second moments.
    """
    check_pair("z_a", z_a, "z_b", z_b)
    check_count("z_a", global_count(z_a, axis_name))
    check_range("ridge", ridge)
    a, b = standardise(z_a, axis_name=axis_name), standardise(z_b, axis_name=axis_name)
    c = second_moment(a, b, axis_name=axis_name)
    r_a, r_b = second_moment(a, axis_name=axis_name), second_moment(b, axis_name=axis_name)
    jitter = ridge * jnp.eye(c.shape[0], dtype=c.dtype)
    m = jnp.linalg.solve(r_a + jitter, c).T
    k = symmetrise(r_b - product(m, c)) + jitter
    return symmetrise(product(m.T, jnp.linalg.solve(k, m)))


def data_metric_spectra(z_a: Embedding, z_b: Embedding, *, axis_name: AxisName = None) -> DataMetricSpectra:
    """Spectra of both Fisher informations in units of the data, where no choice of coordinates enters.

    augmentation: S_z^{1/2} S_e^-1 S_z^{1/2} has the eigenvalues rho / (1 - rho), 1 - rho those of R^-1 S_e with R and S_e = R - C averaged
    over the two views (LiDAR looks at the same spectrum). predictive: rho^2 / (1 - rho^2) with rho the canonical correlations.
    Directions without variance carry no information (0); directions in which the views agree exactly carry infinitely much.

    Args:
        z_a, z_b: embeddings [N, d] of two views, N > 2 d.
        axis_name: devices over which the batch is spread, or None.

    Returns:
        `DataMetricSpectra`. `augmentation` is negative, above -1/2, where the views anti-correlate; `effective_dimension` reads that as 0.

    Raises:
        ValueError, TypeError: unless z_a and z_b are floating-point of one shape [N, d].
    """
    check_pair("z_a", z_a, "z_b", z_b)
    check_count("z_a", global_count(z_a, axis_name))
    a, b = standardise(z_a, axis_name=axis_name), standardise(z_b, axis_name=axis_name)
    r_a, r_b = second_moment(a, axis_name=axis_name), second_moment(b, axis_name=axis_name)
    whiten, empty = _whitening((r_a + r_b) / 2)
    noise = second_moment(a - b, axis_name=axis_name) / 2
    one_minus_rho = jnp.linalg.eigvalsh(product(whiten.T, noise, whiten) + jnp.diag(empty))
    one_minus_rho = jnp.maximum(one_minus_rho, 0)
    whitened_c = product(_whitening(r_a)[0].T, second_moment(a, b, axis_name=axis_name), _whitening(r_b)[0])
    rho = jnp.minimum(jnp.linalg.svd(whitened_c, compute_uv=False), 1)
    return DataMetricSpectra((1 - one_minus_rho) / one_minus_rho, rho**2 / ((1 - rho) * (1 + rho)))


def _distance(c: Matrix) -> Scalar:
    """||C - I||_F."""
    return safe_norm((c - jnp.eye(c.shape[0], dtype=c.dtype)).ravel())


def _whitening(r: Matrix) -> tuple[Matrix, Float[Array, " d"]]:
    """W with W^T R W = I on the range of R and 0 on its kernel, and the indicator of the kernel, [d], in the columns of W."""
    l, axes = jnp.linalg.eigh(r)
    full = l > r.shape[0] * jnp.finfo(r.dtype).eps * l[-1]
    return axes * jnp.where(full, lax.rsqrt(jnp.where(full, l, 1)), 0), 1.0 - full.astype(r.dtype)
