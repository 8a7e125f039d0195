"""Spectral functionals of a symmetric positive semi-definite operator known only through its products v -> G v.

`like` is an array or pytree with the shapes and dtypes of v; n numbers in it. Every estimate is a mean over independent random probes, or a
smooth function of such means, and comes with a standard error; both are found by leaving out one probe at a time (jackknife), which
also removes the O(1/probes) bias of ratios.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.flatten_util import ravel_pytree
from jaxtyping import Float, PyTree

from sslx.checks import check_floating, check_integer
from sslx.geometry._unit import unit_of
from sslx.linalg import product
from sslx.moments import at_least_float32
from sslx.typing import Scalar


class Estimate(NamedTuple):
    """A value and its standard error over the draw of the probes, [] each."""

    value: Scalar
    error: Scalar


class HutchinsonParticipation(NamedTuple):
    """Estimates of tr G, tr G^2 and the participation ratio (tr G)^2 / tr G^2."""

    trace: Estimate
    trace_square: Estimate
    participation: Estimate


class LanczosSpectrum(NamedTuple):
    """Estimates of tr G, tr G^2 and the entropy dimension exp H(l / sum l); the largest eigenvalues [top], each within its error of one."""

    trace: Estimate
    trace_square: Estimate
    entropy_dimension: Estimate
    top: Float[Array, " top"]
    top_error: Float[Array, " top"]


def hutchinson_participation(
    operator: Callable[[PyTree], PyTree], key: Array, like: PyTree, *, probes: int = 64
) -> HutchinsonParticipation:
    """Trace, tr G^2 and participation ratio of an operator, from one product per probe.

    For probes v of independent signs E v.Gv = tr G and E ||G v||^2 = tr G^2; the variance of v.Gv is 2 (||G||_F^2 - sum G_ii^2).

    Args:
        operator: v -> G v, such as the `fisher_..._operator` functions return.
        key: PRNG key.
        like: array or pytree shaped like v, floating-point.
        probes: number of products, at least 2; from about 64 up an error is a normal one (2 errors cover 90 to 99 %).

    Returns:
        `HutchinsonParticipation`.

    Raises:
        ValueError: unless probes is an integer of at least 2.
        TypeError: unless every array in `like` is floating-point.

    Reference: Hutchinson (1989), A stochastic estimator of the trace of the influence matrix for Laplacian smoothing splines.
    """
    vectors, matvec = _flat_probes(operator, key, like, probes)

    def one(v: Array) -> tuple[Array, Array]:
        image = matvec(v)
        unit = unit_of(image)
        return jnp.stack([product(v, image / unit), jnp.sum((image / unit) ** 2)]), unit

    samples, units = lax.map(one, vectors)
    units = jnp.where(samples[:, 1] == 0, 0, units)  # those of the products that are not zero
    unit = unit_of(units)
    share = units / unit
    samples = samples * jnp.stack([share, share**2], axis=1)
    return HutchinsonParticipation(
        trace=_times(_jackknife(lambda m: m[0], samples), unit),
        trace_square=_times(_jackknife(lambda m: m[1], samples), unit, unit),
        participation=_jackknife(lambda m: m[0] ** 2 / jnp.where(m[1] > 0, m[1], 1), samples),
    )


def lanczos_spectrum(
    operator: Callable[[PyTree], PyTree], key: Array, like: PyTree, *, steps: int = 20, probes: int = 16, top: int = 1
) -> LanczosSpectrum:
    """Trace, tr G^2, entropy dimension and largest eigenvalues by stochastic Lanczos quadrature, from steps x probes products.

    Each probe v starts a Lanczos recurrence with full re-orthogonalisation; its tridiagonal matrix has eigenvalues t_j with first
    components y_j1, and n sum_j y_j1^2 h(t_j) estimates tr h(G). With S = tr G and T = tr G log G the entropy dimension is
    exp(log S - T / S). The largest t_j are Ritz values: each lies within its residual beta_steps |y_j,steps| of an eigenvalue, a bound
    that holds for certain up to rounding, and not above the largest eigenvalue.

    Args:
        operator, key, like: as `hutchinson_participation`.
        steps: length of each recurrence; cut at n, where it is exact.
        probes: number of recurrences, at least 2.
        top: number of largest eigenvalues wanted, at most steps. A degenerate eigenvalue appears once; where the recurrence
            breaks down before it has found `top` distinct ones, the rest is NaN with an infinite error.

    Returns:
        `LanczosSpectrum`.

    Raises:
        ValueError: unless all are integers, probes at least 2, steps at least 1 and top from 1 to steps.
        TypeError: unless every array in `like` is floating-point.

    Reference: Ubaru, Chen, Saad (2017), Fast estimation of tr(f(A)) via stochastic Lanczos quadrature.
    """
    check_integer("steps", steps)
    check_integer("top", top)
    vectors, matvec = _flat_probes(operator, key, like, probes)
    n = vectors.shape[1]
    steps = min(steps, n)
    if top > steps:
        raise ValueError(f"top must lie in 1..steps, got {top} with steps {steps}; ask for fewer or take more steps")
    ritz, first, residual = lax.map(lambda v: _lanczos(matvec, v, steps), vectors)
    unit = unit_of(ritz)
    positive = jnp.maximum(ritz / unit, 0)
    log = jnp.log(jnp.where(positive > 0, positive, 1))
    samples = n * jnp.stack([jnp.sum(first**2 * h, axis=1) for h in (positive, positive**2, positive * log)], axis=1)
    best = jnp.argmin(jnp.sum(jnp.minimum(residual[:, -top:] / unit, 1e30), axis=1))  # the fewest missing values before the least error
    top_error = residual[best, -top:][::-1]
    return LanczosSpectrum(
        trace=_times(_jackknife(lambda m: m[0], samples), unit),
        trace_square=_times(_jackknife(lambda m: m[1], samples), unit, unit),
        entropy_dimension=_jackknife(_entropy_dimension, samples),
        top=jnp.where(jnp.isinf(top_error), jnp.nan, ritz[best, -top:][::-1]),
        top_error=top_error,
    )


def _entropy_dimension(moments: Array) -> Scalar:
    total, _, total_log = moments
    zero = total <= 0
    safe = jnp.where(zero, 1, total)
    return jnp.where(zero, 0, safe * jnp.exp(-total_log / safe))


def _lanczos(matvec: Callable[[Array], Array], v: Array, steps: int) -> tuple[Array, Array, Array]:
    """Ritz values in rising order, first components of their vectors, and residuals, [steps] each.

    Each step after a breakdown leaves a 0, first in order because no Ritz value is below it, with component 0 and an infinite residual.
    """
    start = v / jnp.linalg.norm(v)

    def step(carry: tuple[Array, Array, Array], k: Array) -> tuple[tuple[Array, Array, Array], tuple[Array, Array]]:
        basis, q, scale = carry
        basis = basis.at[k].set(q)
        w = matvec(q)
        scale = jnp.maximum(scale, _length(w))
        alpha = product(q, w)
        for _ in range(2):  # once is not enough to stay orthogonal to rounding
            w = w - product(basis.T, product(basis, w))
        beta = _length(w)
        beta = jnp.where(beta <= 32 * jnp.finfo(w.dtype).eps * scale, 0, beta)
        return (basis, jnp.where(beta == 0, 0, w / jnp.where(beta == 0, 1, beta)), scale), (alpha, beta)

    empty = jnp.zeros((steps, v.size), v.dtype)
    _, (alphas, betas) = lax.scan(step, (empty, start, jnp.zeros((), v.dtype)), jnp.arange(steps))
    tridiagonal = jnp.diag(alphas) + jnp.diag(betas[:-1], 1) + jnp.diag(betas[:-1], -1)
    ritz, vectors = jnp.linalg.eigh(tridiagonal)
    missing = jnp.sum(betas[:-1] == 0)
    return ritz, vectors[0], jnp.where(jnp.arange(steps) < missing, jnp.inf, betas[-1] * jnp.abs(vectors[-1]))


def _length(w: Array) -> Scalar:
    """||w||, where float32 holds it."""
    unit = unit_of(w)
    return unit * jnp.linalg.norm(w / unit)


def _times(estimate: Estimate, *units: Scalar) -> Estimate:
    """The estimate of something as many times as large."""
    for unit in units:
        estimate = Estimate(estimate.value * unit, estimate.error * unit)
    return estimate


def _flat_probes(operator: Callable[[PyTree], PyTree], key: Array, like: PyTree, probes: int) -> tuple[Array, Callable[[Array], Array]]:
    """Independent signs [probes, n], and the operator on flat vectors."""
    check_integer("probes", probes, minimum=2)
    for leaf in jax.tree.leaves(like):
        check_floating("like", leaf)
    flat, unravel = ravel_pytree(like)
    dtype = jnp.promote_types(flat.dtype, jnp.float32)
    vectors = jax.random.rademacher(key, (probes, flat.size), dtype)
    return vectors, lambda v: at_least_float32(ravel_pytree(operator(unravel(v.astype(flat.dtype))))[0]).astype(dtype)


def _jackknife(statistic: Callable[[Array], Scalar], samples: Float[Array, "m k"]) -> Estimate:
    """`statistic` of the mean of independent samples, its O(1/m) bias removed, with its standard error."""
    m = samples.shape[0]
    total = jnp.sum(samples, axis=0)
    left_out = jax.vmap(lambda sample: statistic((total - sample) / (m - 1)))(samples)
    value = m * statistic(total / m) - (m - 1) * jnp.mean(left_out)
    return Estimate(value, jnp.sqrt((m - 1) * jnp.mean((left_out - jnp.mean(left_out)) ** 2)))
