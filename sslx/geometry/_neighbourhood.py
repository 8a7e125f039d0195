"""Neighbourhood metrics of embeddings z [N, d] on the unit sphere (rows L2-normalised inside): alignment, uniformity, self-clustering."""

import jax
import jax.numpy as jnp
from jax import Array

from sslx.checks import check_count, check_integer, check_matrix, check_pair, check_positive
from sslx.collectives import all_gather_if, map_rows, pmean_if, row_indices
from sslx.entropy import squared_distances
from sslx.geometry._unit import unit_rows
from sslx.linalg import safe_norm
from sslx.moments import global_count, second_moment
from sslx.typing import AnyArray, AxisName, Embedding, Number, Scalar


def alignment(z_a: Embedding, z_b: Embedding, *, alpha: Number = 2, axis_name: AxisName = None) -> Scalar:
    """Alignment mean_n ||a_n - b_n||^alpha of the L2-normalised views, [], in [0, 2^alpha].

    Raises:
        ValueError, TypeError: unless z_a and z_b are floating-point of one shape [N, d] and alpha > 0.

    Reference: Wang and Isola (2020), arXiv:2005.10242.
    """
    check_pair("z_a", z_a, "z_b", z_b)
    check_positive("alpha", alpha)
    difference = unit_rows(z_a) - unit_rows(z_b)
    return pmean_if(jnp.mean(safe_norm(difference) ** alpha), axis_name)


def uniformity(z: Embedding, *, t: Number = 2, batch_size: int = 256, axis_name: AxisName = None) -> Scalar:
    """Uniformity log mean_{i<j} exp(-t ||a_i - a_j||^2) of the L2-normalised rows a.

    Every pair enters once; memory is batch_size x N (also for the gradient), time N^2 d. `uniformity_sampled` is for large N.

    Args:
        z: embeddings [N, d], N >= 2.
        t: temperature.
        batch_size: rows compared with all others at a time.
        axis_name: devices over which the rows are spread; pairs are those of the whole batch.

    Returns:
        the uniformity, [], between -4 t and 0 (one point); about -2 t for points spread evenly in high dimension.

    Raises:
        ValueError, TypeError: unless z is a floating-point matrix of at least 2 rows and batch_size >= 1.

    Reference: Wang and Isola (2020), arXiv:2005.10242.
    """
    check_matrix("z", z)
    check_count("z", global_count(z, axis_name))
    check_integer("batch_size", batch_size)
    local = unit_rows(z)
    points = all_gather_if(local, axis_name)
    n = points.shape[0]

    def log_kernel_sum(rows: Array, index: Array) -> Array:
        itself = index[..., None] == jnp.arange(n)
        return jax.nn.logsumexp(jnp.where(itself, -jnp.inf, -t * squared_distances(rows, index, points)), axis=-1)

    rows = map_rows(log_kernel_sum, (local, row_indices(local, axis_name)), min(batch_size, z.shape[0]))
    return pmean_if(jax.nn.logsumexp(all_gather_if(rows, axis_name)), axis_name) - jnp.log(jnp.asarray(n * (n - 1), rows.dtype))


def uniformity_sampled(key: Array, z: Embedding, *, t: Number = 2, pairs: int = 65536) -> tuple[Scalar, Scalar]:
    """Uniformity estimated from `pairs` random pairs of distinct rows of z [N, d], and its standard error (delta method), [] each.

    Raises:
        ValueError, TypeError: unless z is a floating-point matrix of at least 2 rows and pairs >= 2.

    Reference: Wang and Isola (2020), arXiv:2005.10242.
    """
    check_matrix("z", z, min_rows=2)
    check_integer("pairs", pairs, minimum=2)
    n = z.shape[0]
    key_first, key_offset = jax.random.split(key)
    first = jax.random.randint(key_first, (pairs,), 0, n)
    second = (first + jax.random.randint(key_offset, (pairs,), 1, n)) % n
    points = unit_rows(z)
    exponent = -t * jnp.sum((points[first] - points[second]) ** 2, axis=1)
    largest = jnp.max(exponent)
    kernel = jnp.exp(exponent - largest)
    average = jnp.mean(kernel)
    return largest + jnp.log(average), jnp.std(kernel, ddof=1) / (average * pairs**0.5)


def self_cluster(z: Embedding, *, axis_name: AxisName = None) -> Scalar:
    """Self-clustering of the L2-normalised rows H: 0 for points spread evenly over the sphere, 1 for one point.

    (d ||H H^T||_F^2 - N (d + N - 1)) / ((d - 1)(N - 1) N): the squared Frobenius norm over its value for uniform points, rescaled.
    It takes ||H H^T||_F = ||H^T H||_F and so costs N d^2, not N^2 d.

    Args:
        z: embeddings [N, d], N >= 2, d >= 2.
        axis_name: devices over which the rows are spread, or None.

    Returns:
        the value, []; slightly negative when points repel each other.

    Raises:
        ValueError, TypeError: unless z is a floating-point matrix of at least 2 rows and 2 columns.

    Reference: Tsitsulin, Munkhoeva, Perozzi (2023), arXiv:2305.16562.
    """
    check_matrix("z", z)
    check_count("z", global_count(z, axis_name))
    if z.shape[1] < 2:
        raise ValueError(f"z must have at least 2 columns, got shape {z.shape}; on a line every pair of unit vectors is parallel")
    gram = second_moment(unit_rows(z), axis_name=axis_name)
    n, d = global_count(z, axis_name), z.shape[1]
    return self_cluster_from_moment(gram, n, d)


def self_cluster_from_moment(gram: AnyArray, n: int | Array, d: int) -> Scalar:
    """`self_cluster` of H^T H / N, [d, d]: the form for streamed moments."""
    return (d * n * jnp.sum(gram**2) - (d + n - 1)) / ((d - 1) * (n - 1))
