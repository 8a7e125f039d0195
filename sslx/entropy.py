"""Entropy estimators of a set of points, in nats: Gaussian, LogDet and pairwise-distance bounds.

z [N, d]: N points (the batch; with `axis_name` the points of all devices), d dimensions. They are blocks for the
entropy-regularised losses and for the bounds of `sslx.information`; statistics are in at least float32 whatever comes in.
"""

import jax
import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Bool, Float

from sslx.checks import check_count, check_matrix, check_positive, check_range, check_square
from sslx.collectives import all_gather_if, map_rows, pmean_if, row_indices
from sslx.linalg import logdet_shifted, product, rounding_excess, rounding_share, symmetrise
from sslx.moments import at_least_float32, centre, global_count, second_moment
from sslx.typing import AnyArray, AxisName, Embedding, Matrix, Number, Scalar

LOG_TWO_PI_E = 2.8378770664093453  # log(2 pi e)


def gaussian_entropy(cov: Matrix) -> Scalar:
    """Entropy of a Gaussian: H = d/2 log(2 pi e) + 1/2 log det cov, an upper bound for every density with this covariance.

    Args:
        cov: covariance, [d, d], symmetric positive definite.

    Returns:
        The entropy in nats, []; -inf, with gradient 0, for a singular covariance, and nan for an indefinite matrix.

    Raises:
        ValueError: unless `cov` is square.
        TypeError: unless `cov` is a floating-point array.

    Reference: Shwartz-Ziv et al., "An Information-Theoretic Perspective on VICReg", 2023, arXiv 2303.00633.
    """
    check_square("cov", cov)
    cov = symmetrise(at_least_float32(cov))
    singular, eye = is_singular(cov), jnp.eye(len(cov), dtype=cov.dtype)
    pivots = jnp.diagonal(jnp.linalg.cholesky(jnp.where(singular, eye, cov)))
    entropy = len(cov) * LOG_TWO_PI_E / 2 + jnp.sum(jnp.log(pivots))
    level = rounding_share(cov.dtype) * jnp.trace(cov) + jnp.finfo(cov.dtype).tiny
    indefinite = jnp.isnan(jnp.linalg.cholesky(lax.stop_gradient(cov + level * eye))[-1, -1])
    return jnp.where(singular, jnp.where(indefinite, jnp.nan, -jnp.inf), entropy)


def is_singular(cov: Float[AnyArray, "*shape"]) -> Bool[Array, ""]:
    """Whether one covariance is finite but not numerically positive definite.

    A matrix is so when a variable is explained by those before it up to rounding: a pivot of the Cholesky factorisation, squared,
    at most 4 K eps of its diagonal entry. That does not depend on the units of the variables.
    """
    if cov.ndim < 2:
        return jnp.any(cov <= 0)
    cov = lax.stop_gradient(cov)
    pivots = jnp.diagonal(jnp.linalg.cholesky(cov)) ** 2
    floor = 4 * cov.shape[0] * jnp.finfo(cov.dtype).eps * jnp.diagonal(cov)
    return jnp.all(jnp.isfinite(cov)) & ~jnp.all(pivots > floor)


def logdet_entropy(z: Embedding, *, beta: Number = 1.0, axis_name: AxisName = None) -> Scalar:
    """LogDet estimator: H = 1/2 log det(I + beta Zc^T Zc / N), Zc centred over the batch.

    It is finite for rank-deficient points, 0 when all are equal (with gradient 0), and grows with the logarithm of their scale; for large
    beta it is 1/2 log det of the covariance plus d/2 log beta. The smaller of I_d + Zc^T Zc and I_N + Zc Zc^T is decomposed. Directions
    whose variance is within rounding of the largest ones' (5e-7 of their norm in float32, 9e-16 in float64) count as none where the points
    are as large as that matters; take float64 (jax_enable_x64) for such spectra.

    Args:
        z: points, [N, d].
        beta: scale of the points against unit noise.
        axis_name: axis of a parallel map over which the points are split.

    Returns:
        The estimate in nats, [].

    Raises:
        ValueError: unless `z` has shape [N, d] and beta >= 0.
        TypeError: unless `z` is a floating-point array.

    Reference: Zhouyin and Liu, "Understanding Neural Networks with Logarithm Determinant Entropy Estimator", 2021, arXiv 2105.03705.
    """
    check_matrix("z", z)
    check_range("beta", beta)
    return coding_rate(centre(z, axis_name=axis_name), beta, axis_name=axis_name)


def coding_rate(z: Embedding, beta: Number, *, axis_name: AxisName = None) -> Scalar:
    """1/2 log det(I + beta z^T z / N) of the points as they are, not centred, [].

    Directions in which beta z^T z / N is within a quarter of its rounding level (`rounding_level`), and that level is above 1, have none.
    """
    wide = axis_name is None and z.shape[0] < z.shape[1]
    moment = second_moment(z.T) * (z.shape[1] / z.shape[0]) if wide else second_moment(z, axis_name=axis_name)
    return (logdet_shifted(beta * moment, 1.0) - rounding_excess(beta * moment)) / 2


def pairwise_entropy_isotropic(
    z: Embedding, variance: Number, *, lower: bool = True, chunk: int | None = None, axis_name: AxisName = None
) -> Scalar:
    """Bound on the entropy of the mixture (1/N) sum_j N(z_j, variance I) from the distances of its centres.

    H = d/2 log(2 pi e variance) - 1/N sum_i log 1/N sum_j exp(-|z_i - z_j|^2 / (c variance)),

    j = i included; c = 8 (Bhattacharyya) gives a lower bound, c = 2 (Kullback-Leibler) an upper bound. Both lie between the entropy of
    one component and that plus log N, and there the gradient vanishes.

    Args:
        z: centres of the components, [N, d].
        variance: variance of every component along every axis (not a standard deviation), [].
        lower: the lower bound if True, else the upper bound.
        chunk: centres handled at a time, so that memory grows with chunk N and not with N^2; None takes all at once.
        axis_name: axis of a parallel map over which the centres are split; they are gathered over it.

    Returns:
        The bound in nats, [].

    Raises:
        ValueError: unless `z` has shape [N, d] and the variance is above 0.
        TypeError: unless `z` is a floating-point array.

    Reference: Kolchinsky and Tracey, "Estimating Mixture Entropy with Pairwise Distances", 2017, Entropy 19(7):361, arXiv 1706.02419.
    """
    check_matrix("z", z)
    check_positive("variance", variance)
    here = centre(z, axis_name=axis_name)  # distances do not see the mean, rounding does
    everywhere = all_gather_if(here, axis_name)

    def overlap(rows: Array, index: Array) -> Array:
        return jax.nn.logsumexp(-squared_distances(rows, index, everywhere) / ((8 if lower else 2) * variance), axis=-1)

    overlaps = map_rows(overlap, (here, row_indices(here, axis_name)), chunk) - jnp.log(len(everywhere))
    return (z.shape[1] * (LOG_TWO_PI_E + jnp.log(variance)) / 2) - pmean_if(jnp.mean(overlaps), axis_name)


def median_squared_distance(z: Embedding, *, axis_name: AxisName = None) -> Scalar:
    """Median of |z_i - z_j|^2 over the pairs i != j of all devices, [], without gradient.

    Args:
        z: points, [N, d].
        axis_name: axis of a parallel map over which the points are split; they are gathered over it.

    Returns:
        The median, [].

    Raises:
        ValueError: unless `z` has shape [N, d] with at least 2 rows over all devices.
        TypeError: unless `z` is a floating-point array.
    """
    check_matrix("z", z)
    check_count("z", global_count(z, axis_name))
    everywhere = lax.stop_gradient(all_gather_if(centre(z, axis_name=axis_name), axis_name))
    return pmean_if(_median_of_pairs(squared_distances(everywhere, jnp.arange(len(everywhere)), everywhere)), axis_name)


@jax.jit
def _median_of_pairs(distances: Array) -> Array:
    """Median above the zero diagonal of a symmetric matrix of numbers >= 0: sorted, it has the diagonal first and then pairs of equals.

    NaN where one of them is.
    """
    n = len(distances)
    pairs = n * (n - 1) // 2
    median = (_kth_smallest(distances, n + pairs // 2 * 2) + _kth_smallest(distances, n + (pairs - 1) // 2 * 2)) / 2
    return jnp.where(jnp.any(jnp.isnan(distances)), jnp.nan, median)


def _kth_smallest(x: Array, k: int) -> Array:
    """The k-th smallest (from 0) of numbers >= 0, by bisection over their bits, which read as integers have the order of the numbers."""
    bits = 8 * x.dtype.itemsize
    codes = lax.bitcast_convert_type(x, f"int{bits}")

    def narrow(i: Array, low: Array) -> Array:
        middle = low + (jnp.ones((), codes.dtype) << (bits - 2 - i).astype(codes.dtype))
        return jnp.where(jnp.sum(codes < middle) <= k, middle, low)

    return lax.bitcast_convert_type(lax.fori_loop(0, bits - 1, narrow, jnp.zeros_like(codes, shape=())), x.dtype)


def squared_distances(rows: Array, index: Array, everywhere: Array) -> Array:
    """|z_i - z_j|^2 of some rows (i) to all rows (j), exactly 0 for a row and itself; `index` is i."""
    cross = product(rows, everywhere.T)
    square = jnp.sum(rows**2, axis=-1)[..., None] + jnp.sum(everywhere**2, axis=1) - 2 * cross
    return jnp.where(index[..., None] == jnp.arange(len(everywhere)), 0.0, jnp.maximum(square, 0.0))
