"""Efficiency of features in each gauge. z [N, d]; a gauge is the standardisation in which the spectrum is taken."""

from typing import NamedTuple

import jax.numpy as jnp

from sslx.checks import check_count, check_matrix
from sslx.geometry._effective_dimension import effective_dimension
from sslx.geometry._unit import centre_varying, in_own_unit, standardise
from sslx.moments import global_count, second_moment
from sslx.typing import AxisName, Embedding, Matrix, Scalar


class Efficiencies(NamedTuple):
    """eta = d_eff / d by functional, [] each."""

    participation: Scalar
    entropy: Scalar
    stable: Scalar
    threshold: Scalar


class EfficienciesByGauge(NamedTuple):
    """eta of z^T z / N (uncentred), of the covariance (centred) and of the correlation matrix (standardised, the gauge of Barlow Twins)."""

    uncentred: Efficiencies
    centred: Efficiencies
    standardised: Efficiencies


def efficiencies(z: Embedding, *, threshold: float = 1e-3, axis_name: AxisName = None) -> EfficienciesByGauge:
    """Efficiency of features by every functional and in every gauge, so that no number travels without its gauge.

    eta is free of scale but not of coordinates: rescaling features leaves the standardised gauge alone and changes the other two; a
    common offset changes the uncentred one only. With N rows each is biased down, participation to about 1 / (1 + d/N).

    Args:
        z: features [N, d], N >= 2.
        threshold: fraction of the largest eigenvalue above which the threshold functional counts.
        axis_name: devices over which the rows are spread, or None.

    Returns:
        `EfficienciesByGauge`, each field an `Efficiencies`.

    Raises:
        ValueError, TypeError: unless z is a floating-point matrix of at least 2 rows.

    Reference: Zhang (2025), arXiv:2510.10980, for eta; the gauge is left open there.
    """
    check_matrix("z", z)
    check_count("z", global_count(z, axis_name))
    z = in_own_unit(z, axis_name=axis_name)
    gauges = z, centre_varying(z, axis_name=axis_name), standardise(z, axis_name=axis_name)
    return EfficienciesByGauge(*(_by_functional(second_moment(rows, axis_name=axis_name), threshold) for rows in gauges))


def _by_functional(matrix: Matrix, threshold: float) -> Efficiencies:
    l = jnp.linalg.eigvalsh(matrix)
    kinds = Efficiencies._fields
    return Efficiencies(*(effective_dimension(l, kind=kind, threshold=threshold) / l.shape[0] for kind in kinds))
