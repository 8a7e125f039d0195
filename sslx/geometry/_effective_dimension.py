"""How many dimensions a spectrum uses: four functionals d_eff of eigenvalues, and the efficiency eta = d_eff / d.

d is the width (length of the spectrum, zeros included). The functionals are the Renyi effective ranks of orders 2, 1, infinity and a count:
always stable <= participation <= entropy <= rank, equal where the non-zero eigenvalues are equal.
"""

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from sslx.checks import check_choice, check_floating, check_square
from sslx.linalg import symmetrise
from sslx.moments import at_least_float32
from sslx.typing import Matrix, Scalar

KINDS = ("participation", "entropy", "stable", "threshold")


def effective_dimension(eigenvalues: Float[Array, " d"], *, kind: str = "participation", threshold: float = 1e-3) -> Scalar:
    """Effective dimension d_eff of a spectrum l, in [1, d], or 0 when the spectrum is zero.

    participation: (sum l)^2 / sum l^2;  entropy: exp(-sum p log p), p = l / sum l;  stable: sum l / max l;
    threshold: #{l > threshold max l} (piecewise constant: its gradient is 0).

    Args:
        eigenvalues: [d], in any order and unit (d_eff does not change with scale); negative ones, left by rounding, count as 0.
        kind: "participation", "entropy", "stable" or "threshold".
        threshold: fraction of the largest eigenvalue, read by "threshold" only.

    Returns:
        d_eff, [], in at least float32.

    Raises:
        ValueError: for another kind, or another shape than [d].

    Reference: Zhang (2025), arXiv:2510.10980, defines efficiency by the spectrum of the average Fisher information; its functional is not
    fixed here, so each is offered by name. Roy and Vetterli (2007) for the entropy form.
    """
    check_floating("eigenvalues", eigenvalues)
    check_choice("kind", kind, KINDS)
    if eigenvalues.ndim != 1 or eigenvalues.shape[0] < 1:
        raise ValueError(f"eigenvalues must have shape [d], got {eigenvalues.shape}; of a matrix pass jnp.linalg.eigvalsh(matrix)")
    l = jnp.maximum(at_least_float32(eigenvalues), 0)
    largest = jnp.max(l)
    zero = largest == 0
    l = l / jnp.where(zero, 1, largest)
    if kind == "participation":
        return jnp.sum(l) ** 2 / jnp.where(zero, 1, jnp.sum(l**2))
    if kind == "entropy":
        p = l / jnp.where(zero, 1, jnp.sum(l))
        return jnp.where(zero, 0, jnp.exp(shannon_entropy(p)))
    if kind == "stable":
        return jnp.sum(l)
    return jnp.sum(jnp.where(jnp.isnan(l), l, l > threshold))


def efficiency(
    matrix_or_eigenvalues: Float[Array, "d d"] | Float[Array, " d"], *, kind: str = "participation", threshold: float = 1e-3
) -> Scalar:
    """Representation efficiency eta = d_eff / d, in [1/d, 1], or 0 for a zero matrix; 1 for a multiple of the identity.

    eta does not change with scale but does with coordinates: z -> A z turns a Fisher information G into A^-T G A^-1. Say which
    standardisation of the embeddings a number was measured in (Barlow Twins supplies one: mean 0 and variance 1 per feature).

    Three traps. (1) The Fisher information of isotropic noise is I / sigma^2 for every representation, so its eta is 1 and says nothing.
    (2) eta of an inverse covariance does not see dimensional collapse: for S = diag(1, 1e-6, ... x 15) eta(S) = 1/16 but
    eta(S^-1) = 15/16; diagnose with S. (3) eta of n independent samples is biased down to about 1 / (1 + d/n): use n >= 10 d or
    `corrected_participation_ratio`. And eta = 1 holds for pure noise too: necessary for a useful representation, not sufficient.

    Args:
        matrix_or_eigenvalues: symmetric positive semi-definite [d, d] (its eigenvalues are taken; participation needs its traces only), or
            eigenvalues [d].
        kind, threshold: as `effective_dimension`.

    Returns:
        eta, [], in at least float32.

    Raises:
        ValueError: for another kind or shape.

    Reference: Zhang (2025), arXiv:2510.10980.
    """
    check_floating("matrix_or_eigenvalues", matrix_or_eigenvalues)
    l = matrix_or_eigenvalues
    if l.ndim != 1:
        check_square("matrix_or_eigenvalues", l)
        matrix = symmetrise(at_least_float32(l))
        if kind == "participation":
            return participation(matrix) / l.shape[0]
        l = jnp.linalg.eigvalsh(matrix)
    return effective_dimension(l, kind=kind, threshold=threshold) / l.shape[0]


def participation(matrix: Matrix) -> Scalar:
    """(tr S)^2 / tr S^2, [], 0 where S is zero."""
    trace_squared, square_trace = trace_moments(matrix)
    return trace_squared / jnp.where(square_trace == 0, 1, square_trace)


def trace_moments(matrix: Matrix) -> tuple[Scalar, Scalar]:
    """((tr S)^2, tr S^2) of a symmetric S over its largest diagonal entry, so that neither overflows."""
    largest = jnp.max(jnp.diagonal(matrix))
    scaled = matrix / jnp.where(largest <= 0, 1, largest)
    return jnp.trace(scaled) ** 2, jnp.sum(scaled**2)


def shannon_entropy(p: Float[Array, " d"]) -> Scalar:
    """-sum p log p in nats with 0 log 0 = 0, [], and gradient 0 (not infinity) at p = 0."""
    zero = p <= 0
    return -jnp.sum(jnp.where(zero, 0, p * jnp.log(jnp.where(zero, 1, p))))
