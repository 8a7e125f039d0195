"""IsoLoss: regression through a fixed predictor whose modes all learn at one rate. z, z_target [N, d], W_P [d, d]."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax

from sslx.checks import check_pair, check_square
from sslx.collectives import pmean_if
from sslx.linalg import product, safe_reciprocal_norm
from sslx.moments import at_least_float32
from sslx.typing import AxisName, Embedding, Matrix, Scalar


class IsoTerms(NamedTuple):
    """The summands of an IsoLoss: attraction to the target, and what keeps the size of the prediction."""

    attraction: Scalar
    restraint: Scalar


class IsoEuclideanTerms(NamedTuple):
    """The one summand of the Euclidean IsoLoss."""

    invariance: Scalar


def iso_euclidean(z: Embedding, z_target: Embedding, predictor: Matrix, *, axis_name: AxisName = None) -> tuple[Scalar, IsoEuclideanTerms]:
    """Euclidean IsoLoss, one order of the two views.

    loss = mean_n sum_d (z - SG(z_target + z - p))^2,     p = z W_P,     SG the stopped gradient.

    Its value is that of the Euclidean loss and its gradient is 2 (p - z_target) / N: the same force as the Euclidean loss with the
    factor W_P taken off, so that no mode learns slower for having a small eigenvalue. At z = z_target = 0 the gradient is zero; when all
    rows are equal they share one gradient, which does not separate them.

    Args:
        z: online embedding (before the predictor), [N, d].
        z_target: target embedding, [N, d]; receives no gradient.
        predictor: W_P, [d, d], acting as z @ W_P; receives no gradient.
        axis_name: axis of a parallel map over which the batch is split.

    Returns:
        The loss [] and its term.

    Raises:
        ValueError: unless the shapes are [N, d], [N, d] and [d, d].
        TypeError: unless all three are floating-point arrays.

    Reference: Halvagal, Laborieux, Zenke, "Implicit variance regularization in non-contrastive SSL", 2023, arXiv 2212.04858.
    """
    z, z_target, p = _prepare(z, z_target, predictor)
    goal = lax.stop_gradient(z_target + z - p)
    loss = pmean_if(jnp.mean(jnp.sum((z - goal) ** 2, axis=1)), axis_name)
    return loss, IsoEuclideanTerms(loss)


def iso_cosine(z: Embedding, z_target: Embedding, predictor: Matrix, *, axis_name: AxisName = None) -> tuple[Scalar, IsoTerms]:
    """Cosine IsoLoss, one order of the two views.

    loss = -2 mean_n [ z . SG(z_target / (|p| |z_target|)) - 1/2 SG(p . z_target / (|p|^3 |z_target|)) |W_P^{1/2} z|^2 ],

    with p = z W_P and SG the stopped gradient. |W_P^{1/2} z|^2 = p . z, so no square root of W_P is taken. Its gradient is that of the
    cosine loss 2 - 2 cos(p, z_target) with the factor W_P taken off. Rows where p or z_target is zero contribute nothing; when all rows
    are equal they share one gradient, which does not separate them.

    Args:
        z: online embedding (before the predictor), [N, d].
        z_target: target embedding, [N, d]; receives no gradient.
        predictor: W_P, [d, d] symmetric, acting as z @ W_P; receives no gradient.
        axis_name: axis of a parallel map over which the batch is split.

    Returns:
        The loss [] and its terms (loss = attraction + restraint).

    Raises:
        ValueError: unless the shapes are [N, d], [N, d] and [d, d].
        TypeError: unless all three are floating-point arrays.

    Reference: Halvagal, Laborieux, Zenke, "Implicit variance regularization in non-contrastive SSL", 2023, arXiv 2212.04858.
    """
    z, z_target, p = _prepare(z, z_target, predictor)
    fixed_p = lax.stop_gradient(p)
    inverse = safe_reciprocal_norm(fixed_p)
    direction = z_target * safe_reciprocal_norm(z_target)[:, None]
    cosine = jnp.sum(fixed_p * inverse[:, None] * direction, axis=1)
    terms = IsoTerms(
        attraction=pmean_if(-2 * jnp.mean(jnp.sum(z * direction, axis=1) * inverse), axis_name),
        restraint=pmean_if(jnp.mean(cosine * inverse**2 * jnp.sum(p * z, axis=1)), axis_name),
    )
    return terms.attraction + terms.restraint, terms


def _prepare(z: Embedding, z_target: Embedding, predictor: Matrix) -> tuple[Array, Array, Array]:
    """Online embedding, fixed target and prediction z W_P with W_P fixed, all in at least float32."""
    check_pair("z", z, "z_target", z_target)
    check_square("predictor", predictor, z.shape[1])
    z = at_least_float32(z)
    w_p = lax.stop_gradient(at_least_float32(predictor))
    return z, lax.stop_gradient(at_least_float32(z_target)), product(z, w_p)
