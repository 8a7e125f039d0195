"""Spectral metrics of more features than fit in memory, from moments collected in one pass: O(d^2) memory, any number of rows.

The same functions serve two places. On the host the moments are NumPy float64: for reports. On the device they are JAX arrays of
float32: jit-able, mergeable over devices, right to 1e-3 or so, for use inside training, of features between 1e-15 and 1e15 in size, whose
squares float32 can hold.

A Gram matrix squares the condition number. It knows the square of a singular value s_k up to rounding u s_1^2, u the unit roundoff, and so
s_k to the relative error u s_1^2 / (2 s_k^2). In float64: better than 1e-5 for s_k > 3e-6 s_1, and nothing below 2e-8 s_1. In float32:
1e-3 for s_k > 1e-2 s_1, and nothing below 1e-3 s_1. Eigenvalues at the level of rounding are therefore taken as 0. Sums over the spectrum
weigh small values lightly: RankMe in float32 is right to 1e-3 where every s_k > 2e-3 s_1 (measured with 64 and 256 columns). Where many
are smaller it is too small itself: 9 to 15 % for a power law s_k ~ k^-2, and near 1, whatever the spread, where the mean is far longer than
that, for it sets the s_1 of uncentred features. There take the host form. `condition_number` and the tail of a steep power law do not
survive: there take the forms that hold all features.
"""

from collections.abc import Iterable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from sslx.checks import check_count, check_matrix, check_range
from sslx.geometry._effective_dimension import effective_dimension, shannon_entropy
from sslx.geometry._lidar import array_module, lidar_from_scatter
from sslx.geometry._neighbourhood import self_cluster_from_moment
from sslx.geometry._spectral import power_law_exponent
from sslx.linalg import rounding_share
from sslx.moments import centre, global_count, mean, second_moment
from sslx.typing import AnyArray, AxisName, Scalar


class Moments(NamedTuple):
    """Rows seen so far: their number [], mean [d], and scatter sum (z - mean)(z - mean)^T [d, d]."""

    count: AnyArray
    mean: AnyArray
    scatter: AnyArray


class SpectralMetrics(NamedTuple):
    """Each field is the metric of that name, [], at its published defaults."""

    rankme: Scalar
    effective_rank: Scalar
    stable_rank: Scalar
    participation_ratio: Scalar
    nesum: Scalar
    alpha_req: Scalar
    condition_number: Scalar


def init_moments(d: int) -> Moments:
    """Empty float32 moments of width d on the device: a pytree for jit and scan."""
    return Moments(jnp.zeros((), jnp.float32), jnp.zeros(d, jnp.float32), jnp.zeros((d, d), jnp.float32))


def init_host_moments(d: int) -> Moments:
    """Empty float64 moments of width d in NumPy, whatever the precision of JAX."""
    return Moments(np.zeros(()), np.zeros(d), np.zeros((d, d)))


def update_moments(moments: Moments, z: AnyArray, *, axis_name: AxisName = None) -> Moments:
    """The moments with the rows of z [n, d] added, in the place and precision of `moments`.

    Args:
        moments: from `init_moments` (z a JAX array) or `init_host_moments` (z anything NumPy reads).
        z: one batch of features [n, d]. Chunks of about d rows or more are the fastest.
        axis_name: devices over which the batch is spread (device form only): all get the same moments.

    Raises:
        ValueError, TypeError: unless z is a floating-point matrix of the width of `moments`.
    """
    check_matrix("z", z)
    if isinstance(moments.scatter, np.ndarray):
        rows = np.asarray(z, np.float64)
        average = rows.mean(axis=0)
        rows = rows - average
        batch = Moments(np.asarray(float(len(rows))), average, rows.T @ rows)
    else:
        rows, dtype = jnp.asarray(z), moments.scatter.dtype
        n = global_count(rows, axis_name)
        scatter = second_moment(centre(rows, axis_name=axis_name), axis_name=axis_name) * n
        batch = Moments(jnp.asarray(n, dtype), mean(rows, axis_name=axis_name).astype(dtype), scatter.astype(dtype))
    return merge_moments(moments, batch)


def merge_moments(a: Moments, b: Moments) -> Moments:
    """The moments of both sets of rows.

    Raises:
        ValueError: for two widths.

    Reference: Chan, Golub, LeVeque (1979), Updating formulae and a pairwise algorithm for computing sample variances.
    """
    if a.mean.shape != b.mean.shape:
        raise ValueError(f"moments must have one width, got {len(a.mean)} and {len(b.mean)}; start those of another width from empty ones")
    xp = np if isinstance(a.scatter, np.ndarray) else jnp
    count = a.count + b.count
    share = b.count / xp.maximum(count, 1)
    shift = b.mean - a.mean
    return Moments(count, a.mean + share * shift, a.scatter + b.scatter + a.count * share * shift[:, None] * shift)


def moment_metrics(moments: Moments) -> SpectralMetrics:
    """All spectral metrics from moments: one eigendecomposition of the second moment and one of the covariance.

    Args:
        moments: of at least 2 rows of width at least 5. What a Gram matrix cannot resolve stands at the head of the
            module, sslx/geometry/_streaming.py.

    Returns:
        `SpectralMetrics`. What is at the level of rounding makes `condition_number` infinite and is left out of the fit of `alpha_req`.

    Raises:
        ValueError: when the width is below 5 (no power law can be fitted), or host moments hold fewer than 2 rows.
    """
    _check_rows(moments)
    d = moments.mean.shape[0]
    if d < 5:
        raise ValueError(f"moments must have a width of at least 5, got {d}; alpha_req fits positions from 3 up")
    rounding = rounding_share(moments.scatter.dtype)
    covariance = _eigenvalues(moments.scatter)
    second = _eigenvalues(_second_moment(moments))
    smallest = covariance[-1]
    return SpectralMetrics(
        rankme=_rankme(second, moments.count),
        effective_rank=effective_dimension(jnp.sqrt(second), kind="entropy"),
        stable_rank=effective_dimension(second, kind="stable"),
        participation_ratio=effective_dimension(covariance),
        nesum=effective_dimension(covariance, kind="stable"),
        alpha_req=power_law_exponent(covariance, rounding=rounding),
        condition_number=jnp.where(smallest == 0, jnp.inf, covariance[0] / jnp.where(smallest == 0, 1, smallest)),
    )


def rankme_from_moments(moments: Moments) -> Scalar:
    """`rankme`, [], at its published default."""
    _check_rows(moments, minimum=1)
    return _rankme(_eigenvalues(_second_moment(moments)), moments.count)


def self_cluster_from_moments(moments: Moments) -> Scalar:
    """`self_cluster`, [], from the moments of L2-normalised rows (`update_moments(moments, z / ||z||)`)."""
    _check_rows(moments)
    return self_cluster_from_moment(jnp.asarray(_second_moment(moments)), jnp.asarray(moments.count), moments.mean.shape[0])


def lidar_from_moments(between: Moments, within: Moments, *, delta: float = 1e-4, eps: float = 1e-8) -> Scalar:
    """`lidar`, [], from the moments of the image means and those of the residuals z_ij - mu_i (all views of an image in one batch)."""
    _check_rows(between, minimum=1)
    _check_rows(within, minimum=1)
    check_range("delta", delta)
    check_range("eps", eps)
    return lidar_from_scatter(between.scatter / between.count, within.scatter / within.count, delta=delta, eps=eps)


def stream_metrics(batches: Iterable[AnyArray]) -> tuple[SpectralMetrics, Scalar]:
    """(`moment_metrics`, `self_cluster`) of features that arrive in batches [n, d], in one pass, float64 on the host.

    Raises:
        ValueError, TypeError: for a batch that is no floating-point matrix, or not as wide as the first, or for fewer than 2 rows in all.
    """
    plain = normalised = None
    for z in batches:
        check_matrix("batches", z)
        if plain is None or normalised is None:
            plain = normalised = init_host_moments(z.shape[1])
        rows = np.asarray(z, np.float64)
        plain = update_moments(plain, rows)
        length = np.linalg.norm(rows, axis=1, keepdims=True)
        normalised = update_moments(normalised, rows / np.where(length > 0, length, 1))
    if plain is None or normalised is None:
        raise ValueError("batches must hold at least one batch [n, d], got none")
    return moment_metrics(plain), self_cluster_from_moments(normalised)


@jax.jit
def _rankme(second: Array, count: AnyArray) -> Scalar:
    """RankMe from the relative eigenvalues of the second moment, in falling order."""
    s = jnp.sqrt(second)
    total = jnp.sum(s)
    counted = jnp.arange(len(s)) < count
    return jnp.exp(shannon_entropy(s / jnp.where(total > 0, total, 1) + 1e-7 * counted))


def _check_rows(moments: Moments, *, minimum: int = 2) -> None:
    """Raise ValueError unless host moments hold `minimum` rows; on the device the number is not known to Python."""
    if isinstance(moments.scatter, np.ndarray):
        check_count("moments", int(moments.count), minimum=minimum)


def _second_moment(moments: Moments) -> AnyArray:
    return moments.scatter / moments.count + moments.mean[:, None] * moments.mean


def _eigenvalues(a: AnyArray) -> Array:
    """Eigenvalues over the largest, in falling order, those at the level of rounding set to 0; found in the precision of `a`."""
    xp = array_module(a)
    l = xp.linalg.eigvalsh(a)[::-1]
    return jnp.asarray(xp.where(l <= rounding_share(a.dtype) * l[0], 0, l / xp.where(l[0] > 0, l[0], 1)))
