"""CorInfoMax: agreement plus the log-determinant of a running covariance. z_a, z_b [N, d]: N batch, d embedding width."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from sslx.checks import check_floating, check_integer, check_pair, check_range, check_square
from sslx.collectives import pmean_if
from sslx.linalg import logdet_shifted
from sslx.moments import at_least_float32, mean, moving_average, second_moment
from sslx.typing import AnyArray, AxisName, Embedding, Matrix, Number, Scalar


class CorInfoMaxState(NamedTuple):
    """Running mean [d] and covariance [d, d] of each view."""

    mean_a: AnyArray
    mean_b: AnyArray
    cov_a: Matrix
    cov_b: Matrix


class CorInfoMaxTerms(NamedTuple):
    """The summands of CorInfoMax: loss = sim_coeff invariance - entropy."""

    invariance: Scalar
    entropy: Scalar


def corinfomax_init(width: int, *, scale: Number = 1.0) -> CorInfoMaxState:
    """The state before the first batch: mean 0 and covariance scale I, in float32; ValueError unless width is an integer and scale >= 0."""
    check_integer("width", width)
    check_range("scale", scale)
    zero, eye = jnp.zeros(width, jnp.float32), scale * jnp.eye(width, dtype=jnp.float32)
    return CorInfoMaxState(zero, zero, eye, eye)


def corinfomax(
    z_a: Embedding,
    z_b: Embedding,
    running: CorInfoMaxState,
    *,
    sim_coeff: Number = 250.0,
    eps: Number = 1e-8,
    forgetting: Number = 0.01,
    axis_name: AxisName = None,
) -> tuple[Scalar, CorInfoMaxTerms, CorInfoMaxState]:
    """CorInfoMax, in the convention of its official code.

    loss = sim_coeff mean_nk (z_a - z_b)^2 - 1/d sum_views log det(R + eps I),
    mu = forgetting mu_old + (1 - forgetting) mean(z),     R = forgetting R_old + (1 - forgetting) (z - mu)^T (z - mu) / N.

    The old state carries no gradient. The authors compute in float64 and pass rows of unit length; where R is singular to rounding `eps` is
    lifted to its rounding level. When all rows are equal the only gradient left moves them together: no force separates them.

    Args:
        z_a: embeddings of the first view, [N, d].
        z_b: embeddings of the second view, [N, d].
        running: the state of the previous batch; start from `corinfomax_init`.
        sim_coeff: weight of the invariance term.
        eps: added to the eigenvalues of R.
        forgetting: weight of the OLD state, in [0, 1].
        axis_name: axis of a parallel map over which the batch is split.

    Returns:
        The loss [], its terms (unweighted) and the new state (without gradient).

    Raises:
        ValueError: unless both have one shape [N, d], the state is as wide, eps >= 0 and `forgetting` is in [0, 1].
        TypeError: unless they are floating-point arrays.

    Reference: Ozsoy, Hamdan, Arik, Yuret, Erdogan, "Self-Supervised Learning with an Information Maximization Criterion", 2022,
    arXiv 2209.07999.
    """
    check_pair("z_a", z_a, "z_b", z_b)
    check_range("eps", eps)
    check_range("forgetting", forgetting, 1.0)
    for view in ("a", "b"):
        _check_moments(running, view, z_a.shape[1])
    old = jax.lax.stop_gradient(running)
    mean_a, cov_a = _update(z_a, old.mean_a, old.cov_a, forgetting, axis_name)
    mean_b, cov_b = _update(z_b, old.mean_b, old.cov_b, forgetting, axis_name)
    terms = CorInfoMaxTerms(
        invariance=pmean_if(jnp.mean((at_least_float32(z_a) - at_least_float32(z_b)) ** 2), axis_name),
        entropy=(logdet_shifted(cov_a, eps) + logdet_shifted(cov_b, eps)) / z_a.shape[1],
    )
    return (
        sim_coeff * terms.invariance - terms.entropy,
        terms,
        jax.lax.stop_gradient(CorInfoMaxState(mean_a, mean_b, cov_a, cov_b)),
    )


def _check_moments(running: CorInfoMaxState, view: str, width: int) -> None:
    """Raise unless the mean and the covariance of one view are floating-point, [width] and [width, width]."""
    mean_name, cov_name = f"mean_{view}", f"cov_{view}"
    old_mean = getattr(running, mean_name)
    check_square(f"running.{cov_name}", getattr(running, cov_name), width)
    check_floating(f"running.{mean_name}", old_mean)
    if old_mean.shape != (width,):
        raise ValueError(f"running.{mean_name} must have shape [{width}], got {old_mean.shape}; start from corinfomax_init({width})")


def _update(z: Embedding, old_mean: AnyArray, old_cov: Matrix, forgetting: Number, axis_name: AxisName) -> tuple[Array, Array]:
    """The running mean and the running covariance about that new mean."""
    z = at_least_float32(z)
    mu = moving_average(jnp.asarray(old_mean, z.dtype), mean(z, axis_name=axis_name), forgetting)
    return mu, moving_average(jnp.asarray(old_cov, z.dtype), second_moment(z - mu, axis_name=axis_name), forgetting)
