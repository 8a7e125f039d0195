"""Spectral metrics of features z [N, d] held in memory: N rows (one per image), d the width.

`rankme`, `effective_rank` and `stable_rank` look at the singular values of z, uncentred; the others at the eigenvalues of the centred
covariance. For more rows than fit in memory, or rows spread over devices, see `update_moments` and `moment_metrics`.
"""

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from sslx.checks import check_count, check_integer, check_matrix
from sslx.geometry._effective_dimension import effective_dimension, participation, shannon_entropy, trace_moments
from sslx.geometry._unit import centre_varying, in_own_unit
from sslx.linalg import rounding_share
from sslx.moments import global_count, second_moment
from sslx.typing import AxisName, Embedding, Matrix, Scalar


def rankme(z: Embedding, *, eps: float = 1e-7) -> Scalar:
    """RankMe: the exponential entropy of the singular values of the uncentred embeddings.

    exp(-sum_k p_k log p_k),  p_k = s_k / sum s + eps,  k = 1..min(N, d); eps is added after normalising, as published, so
    sum p = 1 + min(N, d) eps. Published use: projector outputs of 25,600 training images, to compare runs of one method.

    Args:
        z: embeddings [N, d].
        eps: added to each p_k.

    Returns:
        RankMe, [], from 1 to min(N, d) up to eps. When z is zero s / sum s counts as 0 and the result is eps^(-min(N, d) eps):
        1.0001 for 64 singular values. Features whose rows are all equal give 1 as well.

    Raises:
        ValueError, TypeError: unless z is a floating-point matrix.

    Reference: Garrido, Balestriero, Najman, LeCun (2023), arXiv:2210.02885.
    """
    check_matrix("z", z)
    return jnp.exp(shannon_entropy(_normalise(_singular_values(z)) + eps))


def effective_rank(z: Embedding) -> Scalar:
    """Effective rank exp(H(s / sum s)) of the uncentred singular values s of z, [], 0 when z is zero: RankMe without eps.

    Raises:
        ValueError, TypeError: unless z is a floating-point matrix.

    Reference: Roy and Vetterli (2007), The effective rank: a measure of effective dimensionality.
    """
    check_matrix("z", z)
    return effective_dimension(_singular_values(z), kind="entropy")


def stable_rank(z: Embedding) -> Scalar:
    """Stable rank ||z||_F^2 / ||z||_2^2 of the uncentred z [N, d], [], in [1, min(N, d)], 0 when z is zero.

    Raises:
        ValueError, TypeError: unless z is a floating-point matrix.

    Reference: Rudelson and Vershynin (2007), arXiv:math/0503442.
    """
    check_matrix("z", z)
    s = _singular_values(z)
    return effective_dimension((s / jnp.where(s[0] > 0, s[0], 1)) ** 2, kind="stable")


def nesum(z: Embedding) -> Scalar:
    """NESum: sum_i l_i / l_1 of the eigenvalues l of the centred covariance of z [N, d], [], with 0/0 = 0 (all rows equal).

    Raises:
        ValueError, TypeError: unless z is a floating-point matrix of at least 2 rows.

    Reference: He and Ozay (2022), Exploring the gap between collapsed and whitened features in self-supervised learning, ICML.
    """
    return effective_dimension(_covariance_eigenvalues(z), kind="stable")


def participation_ratio(z: Embedding, *, axis_name: AxisName = None) -> Scalar:
    """Participation ratio (tr S)^2 / tr S^2 of the centred covariance S of z [N, d], [], in [1, d]; 0 when all rows are equal.

    N independent rows bias it downwards: for d equal variances it is about d / (1 + d/N). See `corrected_participation_ratio`.

    Raises:
        ValueError, TypeError: unless z is a floating-point matrix of at least 2 rows.

    Reference: Gao et al. (2017), A theory of multineuronal dimensionality, dynamics and measurement, bioRxiv 214262.
    """
    check_matrix("z", z)
    check_count("z", global_count(z, axis_name))
    return participation(_covariance(z, axis_name))


def corrected_participation_ratio(z: Embedding, *, axis_name: AxisName = None) -> Scalar:
    """Participation ratio with the bias of a finite number of rows removed, [], in [1, d]; 0 when all rows are equal.

    For Gaussian rows and m = N - 1 the sample covariance S has E tr S^2 = (1 + 1/m) B + A/m and E (tr S)^2 = A + 2 B/m, where
    A = (tr Sigma)^2 and B = tr Sigma^2; the two equations are solved for A / B, and the result is clipped to [1, d]. Where rows are not
    Gaussian the A/m term, which is the large one, still holds up to the fourth cumulant.

    Args:
        z: features [N, d], N >= 3, independent rows.
        axis_name: devices over which the rows are spread, or None.

    Returns:
        the corrected ratio, []. It is noisy where N << sqrt(d): there B is not resolved.

    Raises:
        ValueError, TypeError: unless z is a floating-point matrix of at least 3 rows.

    Reference: Srivastava (2005), Some tests concerning the covariance matrix in high dimensional data, for the unbiased tr Sigma^2.
    """
    check_matrix("z", z)
    check_count("z", global_count(z, axis_name), minimum=3)
    m = global_count(z, axis_name) - 1
    a, b = trace_moments(_covariance(z, axis_name))
    square_trace = (b - a / m) * m**2 / ((m - 1) * (m + 2))
    trace_squared = a - 2 * square_trace / m
    d = z.shape[1]
    unresolved = square_trace * d <= trace_squared
    ratio = jnp.where(unresolved, d, trace_squared / jnp.where(unresolved, 1, square_trace))
    return jnp.where(a == 0, 0, jnp.maximum(ratio, 1))


def condition_number(z: Embedding) -> Scalar:
    """Condition number l_1 / l_d of the centred covariance of z [N, d], []; infinite when it is singular (N <= d, or collapse).

    Raises:
        ValueError, TypeError: unless z is a floating-point matrix of at least 2 rows.
    """
    l = _covariance_eigenvalues(z)
    singular = (l[-1] <= rounding_share(l.dtype) ** 2 * l[0]) | (z.shape[0] <= z.shape[1])
    return jnp.where(singular & ~jnp.isnan(l[0]), jnp.inf, l[0] / jnp.where(singular, 1, l[-1]))


def alpha_req(z: Embedding, *, first: int = 3, last: int = 100) -> Scalar:
    """alpha-ReQ: the exponent of a power law l_k ~ k^-alpha fitted to the eigenvalues of the centred covariance.

    Weighted least squares of log l_k on -log k with weights 1/k over the 0-based positions first <= k - 1 < last, as in the published
    code (positions 3 to 99); good generalisation is claimed in an interval around alpha = 1.

    Args:
        z: features [N, d] (the paper uses the representation in front of the projector).
        first, last: the fitted 0-based positions; `last` is cut at d. Eigenvalues at the level of rounding are left out.

    Returns:
        alpha, []; NaN where fewer than two fitted eigenvalues stand above rounding (collapse: there is no slope to speak of).

    Raises:
        ValueError: unless first >= 0 and last are integers, and z has at least first + 2 columns and first + 3 rows (N rows give at
            most N - 1 eigenvalues above 0).

    Reference: Agrawal, Mondal, Ghosh, Richards (2022), alpha-ReQ: assessing representation quality by eigenspectrum decay, NeurIPS.
    """
    check_integer("first", first, minimum=0)
    check_integer("last", last)
    l = _covariance_eigenvalues(z)
    if min(last, z.shape[1]) - first < 2:
        raise ValueError(f"z must have at least first + 2 = {first + 2} columns for a fit, got {z.shape[1]}; pass a smaller first")
    if z.shape[0] < first + 3:
        raise ValueError(f"z must have at least first + 3 = {first + 3} rows for a fit, got {z.shape[0]}; pass a smaller first")
    return power_law_exponent(l, first=first, last=last, rounding=rounding_share(l.dtype) ** 2)


def power_law_exponent(l: Float[Array, " k"], *, first: int = 3, last: int = 100, rounding: float = 0.0) -> Scalar:
    """The fit of `alpha_req` to eigenvalues l [k] in falling order, leaving out those up to `rounding` times the largest."""
    k = jnp.arange(first + 1, min(last, l.shape[0]) + 1, dtype=l.dtype)
    l, largest = l[first:last], l[0]
    used = l > rounding * largest
    x, y = -jnp.log(k), jnp.log(jnp.where(used, l / jnp.where(largest > 0, largest, 1), 1))
    w = jnp.where(used, 1 / k, 0)
    w = w / jnp.where(jnp.any(used), jnp.sum(w), 1)
    x = x - jnp.sum(w * x)
    enough = jnp.sum(used) >= 2
    return jnp.where(enough, jnp.sum(w * x * y) / jnp.where(enough, jnp.sum(w * x**2), 1), jnp.nan)


def _singular_values(z: Embedding) -> Float[Array, " k"]:
    """In the unit of z: no metric depends on it."""
    return jnp.linalg.svd(in_own_unit(z), compute_uv=False)


def _covariance(z: Embedding, axis_name: AxisName) -> Matrix:
    """The centred covariance up to a factor."""
    return second_moment(centre_varying(in_own_unit(z, axis_name=axis_name), axis_name=axis_name), axis_name=axis_name)


def _covariance_eigenvalues(z: Embedding) -> Float[Array, " k"]:
    """Eigenvalues, falling, of the centred covariance up to a factor: squared singular values, so that squaring z loses nothing."""
    check_matrix("z", z, min_rows=2)
    return _singular_values(centre_varying(in_own_unit(z))) ** 2


def _normalise(s: Float[Array, " k"]) -> Float[Array, " k"]:
    total = jnp.sum(s)
    return s / jnp.where(total > 0, total, 1)
