"""Lower bounds on the mutual information between a representation and the other view. All in nats.

z_a, z_b, mu_a, mu_b [N, K]: row n of both is one image; the representation of view a of image n is N(mu_a[n], cov_a[n]).
Covariances have the ranks of `sslx.information._components`: [], [N], [N, K] or [N, K, K].
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.scipy.special import logsumexp
from jax.typing import ArrayLike
from jaxtyping import Float

from sslx.checks import check_choice, check_floating, check_pair, check_positive
from sslx.information._components import gaussian, stacked, trace
from sslx.information._mixture import mixture_entropy_bounds
from sslx.linalg import l2_normalise, product
from sslx.moments import at_least_float32
from sslx.typing import Scalar


class MutualInformationBound(NamedTuple):
    """The bound H(Z) + E log q(z | z') with H(Z) bracketed.

    lower: a certified lower bound on I(Z; X'). upper: the value at the entropy's upper bound, which brackets the variational bound
    but not the information itself. invariance: E log q(z | z'). ceiling: ln N, which I(Z; X') over N images cannot exceed.
    """

    lower: Scalar
    upper: Scalar
    entropy_lower: Scalar
    entropy_upper: Scalar
    invariance: Scalar
    ceiling: Scalar


class InfoNCEBound(NamedTuple):
    """The InfoNCE bound and its ceiling ln N: close to it, the bound says nothing about the information above."""

    bound: Scalar
    ceiling: Scalar


def mutual_information_bound(
    z_a: Float[Array, "N K"],
    z_b: Float[Array, "N K"],
    cov_a: ArrayLike = 1.0,
    cov_b: ArrayLike = 1.0,
    *,
    likelihood_variance: ArrayLike | None = 1.0,
) -> MutualInformationBound:
    """Variational lower bound on I(Z; X') for a representation that is Gaussian given the image.

    I(Z; X') >= H(Z) + E log q(z | z'),  q(z | z') = N(z; z', v I),  Z ~ 1/N sum_n N(z_a[n], cov_a[n]).

    Args:
        z_a, z_b: means of the two views of N images, [N, K].
        cov_a, cov_b: covariances given the image: [] one variance, [N], [N, K] or [N, K, K] (see `induced_mixture`).
        likelihood_variance: v; None takes the v that maximises the bound.

    Returns:
        `MutualInformationBound`: the two entropy bounds give a bracket. With singular covariances both ends are -inf (nan where the
        best v is 0 as well).

    Raises:
        TypeError, ValueError: z_a and z_b are not two floating-point [N, K], a covariance has another shape, or likelihood_variance <= 0.

    Reference: Shwartz-Ziv, Balestriero, Kawaguchi, Rudner, LeCun, 2023, arXiv 2303.00633, the lower bound on I(Z; X') by Barber-Agakov
    and Jensen.
    """
    check_pair("z_a", z_a, "z_b", z_b)
    check_positive("likelihood_variance", likelihood_variance)
    n, width = z_a.shape
    squared = jnp.mean(_squared_error(z_a, z_b, cov_a, cov_b))
    entropy_lower, entropy_upper = mixture_entropy_bounds(z_a, cov_a)
    v = squared / width if likelihood_variance is None else likelihood_variance
    invariance = -0.5 * (width * jnp.log(2 * jnp.pi * v) + squared / v)
    ceiling = jnp.log(jnp.asarray(n, squared.dtype))
    return MutualInformationBound(entropy_lower + invariance, entropy_upper + invariance, entropy_lower, entropy_upper, invariance, ceiling)


def invariance_term(
    mu_a: Float[Array, "*N K"], mu_b: Float[Array, "*N K"], cov_a: ArrayLike, cov_b: ArrayLike, *, form: str = "trace"
) -> Scalar:
    """Expected log-likelihood of one view under a unit Gaussian about the other.

    trace:  E log N(z; z', I) = -K/2 ln 2 pi - 1/2 [||mu_a - mu_b||^2 + tr S_a + tr S_b], exactly;
    logdet: the same with ln|S_a| + ln|S_b| in place of the traces, an objective of the same kind but not this expectation.

    Args:
        mu_a, mu_b: means of the two views, [K] of one image or [N, K].
        cov_a, cov_b: covariances, for [K] means: [], [K] or [K, K]; for [N, K] means: [], [N], [N, K] or [N, K, K].
        form: "trace" or "logdet".

    Returns:
        The term in nats, mean over the images.

    Raises:
        TypeError, ValueError: the means are not floating-point of one shape, a covariance does not fit, or the form is unknown.

    Reference: Shwartz-Ziv et al., 2023, arXiv 2303.00633; the trace form follows from its q(z | z') = N(z; z', I).
    """
    check_choice("form", form, ("trace", "logdet"))
    check_floating("mu_a", mu_a)
    check_floating("mu_b", mu_b)
    if mu_a.ndim == mu_b.ndim == 1:
        mu_a, mu_b = mu_a[None], mu_b[None]
        cov_a, cov_b = (jnp.asarray(cov)[None] if jnp.ndim(cov) else cov for cov in (cov_a, cov_b))
    check_pair("mu_a", mu_a, "mu_b", mu_b)
    distance = _squared_error(mu_a, mu_b, cov_a, cov_b, spread=_log_det if form == "logdet" else trace)
    return -0.5 * (mu_a.shape[1] * jnp.log(2 * jnp.pi) + jnp.mean(distance))


def infonce_bound(z_a: Float[Array, "N K"], z_b: Float[Array, "N K"], *, temperature: ArrayLike = 0.1) -> InfoNCEBound:
    """InfoNCE lower bound on the information between the two views of N images, at most ln N.

    I >= ln N + 1/N sum_i [s_ii - ln sum_j exp s_ij],  s_ij = cos(z_a[i], z_b[j]) / temperature.

    Args:
        z_a, z_b: embeddings of the two views, [N, K].
        temperature: of the cosine critic.

    Returns:
        `InfoNCEBound`, an estimate whose expectation over batches is the bound.

    Raises:
        TypeError, ValueError: z_a and z_b are not two floating-point [N, K], or temperature <= 0.

    Reference: van den Oord, Li, Vinyals, 2018, arXiv 1807.03748.
    """
    check_pair("z_a", z_a, "z_b", z_b)
    check_positive("temperature", temperature)
    a, b = l2_normalise(at_least_float32(z_a)), l2_normalise(at_least_float32(z_b))
    scores = product(a, b.T) / temperature
    ceiling = jnp.log(jnp.asarray(len(scores), scores.dtype))
    return InfoNCEBound(ceiling + jnp.mean(jnp.diagonal(scores) - logsumexp(scores, axis=1)), ceiling)


def _squared_error(mu_a: Array, mu_b: Array, cov_a: ArrayLike, cov_b: ArrayLike, spread=trace) -> Float[Array, " N"]:
    """||mu_a - mu_b||^2 + spread(S_a) + spread(S_b) of every image; with the trace it is E||z - z'||^2."""
    width = mu_a.shape[1]
    total = jnp.sum((at_least_float32(mu_a) - at_least_float32(mu_b)) ** 2, axis=1)
    for name, cov in (("cov_a", cov_a), ("cov_b", cov_b)):
        total = total + jax.vmap(lambda s: spread(s, width))(stacked(name, cov, mu_a))
    return total


def _log_det(cov: Array, width: int) -> Scalar:
    return gaussian(jnp.zeros(width, cov.dtype), cov).log_det
