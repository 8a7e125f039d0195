"""MMCR: the centroids of the images fill the sphere. z [V, N, d]: V views, N batch, d embedding width."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from sslx.checks import check_views
from sslx.collectives import all_gather_if, pmean_if
from sslx.linalg import l2_normalise, nuclear_norm
from sslx.moments import at_least_float32
from sslx.typing import AxisName, Number, Scalar, Views


class MmcrTerms(NamedTuple):
    """The summands of MMCR: loss = lam local - centroids. `local` is 0 where lam is the number 0."""

    local: Scalar
    centroids: Scalar


def mmcr(z: Views, *, lam: Number = 0.0, axis_name: AxisName = None) -> tuple[Scalar, MmcrTerms]:
    """Maximum manifold capacity representation.

    loss = lam mean_n ||Z_n||_* - ||C||_*,     rows L2-normalised, Z_n [V, d] the views of image n, C [N, d] their means,

    ||.||_* the sum of singular values and N over all devices. Singular values at rounding level count as 0 with gradient 0: when all rows
    are equal there is no force out of collapse.

    Args:
        z: embeddings of the views, [V, N, d].
        lam: weight of the extent of each image's own manifold.
        axis_name: axis of a parallel map over which the batch is split; the centroids are gathered over it.

    Returns:
        The loss [] and its terms, unweighted.

    Raises:
        ValueError: unless z has shape [V, N, d].
        TypeError: unless z is a floating-point array.

    Reference: Yerxa, Kuang, Simoncelli, Chung, "Learning Efficient Coding of Natural Images with Maximum Manifold Capacity
    Representations", 2023, arXiv 2303.03307.
    """
    check_views("z", z)
    z = l2_normalise(at_least_float32(z))
    centroids = pmean_if(nuclear_norm(all_gather_if(jnp.mean(z, axis=0), axis_name)), axis_name)
    if isinstance(lam, int | float) and lam == 0:
        return -centroids, MmcrTerms(jnp.zeros_like(centroids), centroids)
    local = pmean_if(jnp.mean(jax.vmap(nuclear_norm, in_axes=1)(z)), axis_name)
    return lam * local - centroids, MmcrTerms(local, centroids)
