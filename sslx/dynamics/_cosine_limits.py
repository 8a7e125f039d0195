"""Cosine flows in closed or cheaper form: many modes (mean field), nearly equal modes (linearised), and exactly two modes.

Setting and symbols as for the cosine flows; the state is s [..., M].
"""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike

from sslx.dynamics._cosine import check_parameters, conserving_flow, live_mean, rescaled
from sslx.dynamics._flow import EigenFlow, bounded, grown, with_modes
from sslx.dynamics._laws import by_bisection, infinite
from sslx.dynamics._modes import Law, solution_of
from sslx.typing import Number

_POINTS, _WEIGHTS = np.polynomial.legendre.leggauss(12)


def cosine_mean_field(*, alpha: Number = 0.5, weight_decay: Number = 0.0) -> EigenFlow:
    """The cosine flow for many modes of comparable size, whose norms average out:

    ds_m/dt = 2 lam_m s_m (A_2 - lam_m A_1)/(A_2^{3/2} A_0^{1/2}) - 2 eta s_m,  A_j = sum_k lam_k^j s_k,

    the Euclidean flow with the adaptive set point A_2/A_1. It has the invariant and the fixed point of `cosine`; its rates are
    right to O(1/M).

    Args and errors: see `cosine`.
    """
    check_parameters(alpha, weight_decay)

    def drift(s):
        unit, lam, _ = rescaled(s, alpha)
        return 2 * lam * _mean_force(unit, lam)

    return conserving_flow(drift, 1.0, weight_decay)


def iso_cosine_mean_field(*, alpha: Number = 0.5, weight_decay: Number = 0.0) -> EigenFlow:
    """The cosine IsoLoss for many modes of comparable size: `cosine_mean_field` without the factor lam_m.

    Args and errors: see `cosine`.
    """
    check_parameters(alpha, weight_decay)

    def drift(s):
        unit, lam, scale = rescaled(s, alpha)
        return 2 / scale * _mean_force(unit, lam)

    return conserving_flow(drift, 1 + alpha, weight_decay)


def cosine_linearised(*, alpha: Number = 0.5) -> EigenFlow:
    """The cosine flow of nearly equal modes:  ds_m/dt = -r (s_m - sbar),  r = 2 alpha/(sbar (M + 2)),  sbar = mean s constant.

    Solved by s_m = sbar + (s_m(0) - sbar) e^{-rt}. The linearised IsoLoss is the same in the time t/sbar^alpha. Modes at 0 stay there
    and are not among the M.

    Args and errors: see `cosine`.
    """
    check_parameters(alpha, 0.0)

    def rate(s):
        mean, live = live_mean(s), s > 0
        r = 2 * alpha / (mean * (jnp.sum(live, axis=-1, keepdims=True) + 2))
        return jnp.where(live, mean, 0.0), jnp.where(live, r, 0.0)

    def drift(s):
        mean, r = rate(s)
        return r * (mean - s)

    def solution(t: ArrayLike, s0: ArrayLike) -> Array:
        t, s0 = with_modes(t, s0)
        mean, r = rate(s0)
        return mean + grown(s0 - mean, -r * t[..., None])

    return conserving_flow(drift, 1.0, 0.0)._replace(solution=solution)


def cosine_pair(*, alpha: Number = 0.5) -> EigenFlow:
    """The cosine flow of two modes, solved by quadrature: with S = s_1 + s_2 constant it is one equation for l = ln(s_1/s_2).

    dl/dt = 2 lam_1 lam_2 (lam_2 - lam_1) S I,
    I = (2/pi) Int_0^inf x^2 dx/((1 + x^2) (lam_1^2 s_1 + lam_2^2 s_2 x^2)^{3/2} (s_1 + s_2 x^2)^{1/2}).

    Right to 1e-10 for any ratio of the modes up to 1e8 (alpha <= 1).

    Args and errors: see `cosine`. The state has M = 2, without zeros; `solution` raises ValueError for another shape.

    Reference: Halvagal, Laborieux, Zenke (2023), arXiv 2212.04858, the cosine dynamics of two neurons.
    """
    return _pair_flow(alpha, iso=False)


def iso_cosine_pair(*, alpha: Number = 0.5) -> EigenFlow:
    """The cosine IsoLoss of two modes, solved by quadrature as `cosine_pair`, with s_1^{1+alpha} + s_2^{1+alpha} constant.

    Args and errors: see `cosine_pair`.
    """
    return _pair_flow(alpha, iso=True)


def _pair_flow(alpha: Number, *, iso: bool) -> EigenFlow:
    check_parameters(alpha, 0.0)
    power = 1 + alpha if iso else 1.0

    def drift(s):
        lam = s**alpha
        pull = 2 * (lam[1] - lam[0]) * s[0] * s[1] * _pair_integral(s[0], s[1], alpha)
        taken = lam[::-1] if iso else lam[0] * lam[1] * jnp.ones(2, s.dtype)
        return pull * taken * jnp.asarray([1.0, -1.0], s.dtype)

    def law(alpha):
        """Of the logarithm l of the ratio."""

        def velocity(ratio):
            """dl/dt at unit charge, negative for l > 0."""
            s_1, s_2 = _pair_modes(ratio, 1 + alpha if iso else 1.0)
            lam_1, lam_2 = s_1**alpha, s_2**alpha
            weight = lam_2 * s_2 + lam_1 * s_1 if iso else lam_1 * lam_2 * (s_1 + s_2)
            return 2 * jnp.expm1(-alpha * ratio) * lam_1 * weight * _pair_integral(s_1, s_2, alpha)

        def elapsed(start, ratio):
            """Int dl/velocity: the logarithm near l = 0 in closed form, the smooth rest by Gauss's rule."""
            return jnp.log(start / ratio) / alpha - _gauss(lambda l: 1 / velocity(l) + 1 / (alpha * l), ratio, start)

        def clock(ratio):
            return elapsed(jnp.ones_like(ratio), ratio)

        return Law(velocity, clock, elapsed, by_bisection(velocity, elapsed, jnp.zeros_like, infinite), (0.0,), 1.0)

    closed = solution_of(law, alpha)

    def solution(t: ArrayLike, s0: ArrayLike) -> Array:
        t, s0 = with_modes(t, s0)
        if s0.shape != (2,):
            raise ValueError(f"s0 must have shape [2], two modes, got {s0.shape}; integrate the flow `cosine` or `iso_cosine` for more")
        charge = jnp.sum(s0**power)
        ratio = jnp.log(s0[0] / s0[1])
        sign = jnp.where(ratio < 0, -1.0, 1.0)
        final = sign * closed(bounded(t) / charge, (sign * ratio)[None])[..., 0]
        return charge ** (1 / power) * jnp.stack(_pair_modes(final, power), axis=-1)

    return conserving_flow(drift, power, 0.0)._replace(solution=solution)


def _pair_modes(ratio: Array, power: Number) -> tuple[Array, Array]:
    """The two modes with s_1/s_2 = e^ratio and s_1^power + s_2^power = 1."""
    share = -jnp.logaddexp(0.0, -power * ratio) / power
    return jnp.exp(share), jnp.exp(share - ratio)


def _pair_integral(s_1: Array, s_2: Array, alpha: Number) -> Array:
    """I of `cosine_pair`, elementwise: the trapezoidal rule in tau = ln x, about the middle of the three bends of the integrand."""
    a, b = (s_1 ** (1 + 2 * alpha))[..., None], (s_2 ** (1 + 2 * alpha))[..., None]
    shift = lax.stop_gradient(jnp.log(a / b)) / 4
    half = 12.5 + jnp.abs(shift)
    square = jnp.exp(2 * (shift + half * jnp.linspace(-1, 1, 128, dtype=a.dtype)))
    root = (a + b * square) * jnp.sqrt((a + b * square) * (s_1[..., None] + s_2[..., None] * square))
    return 2 / jnp.pi * 2 / 127 * half[..., 0] * jnp.sum(square**1.5 / ((1 + square) * root), axis=-1)


def _gauss(f: Callable[[Array], Array], low: Array, high: Array) -> Array:
    """Int_low^high f, elementwise, in four panels of twelve points."""
    points = jnp.asarray((np.arange(4)[:, None] + (1 + _POINTS) / 2).ravel() / 4, low.dtype)
    weights = jnp.asarray(np.tile(_WEIGHTS, 4) / 8, low.dtype)
    width = (high - low)[..., None]
    return jnp.sum(width * weights * f(low[..., None] + width * points), axis=-1)


def _mean_force(s: Array, lam: Array) -> Array:
    """s (A_2 - lam A_1)/(A_2^{3/2} A_0^{1/2}); 0 at s = 0, where every mode rests."""
    a_0, a_1, a_2 = jnp.sum(s), jnp.sum(lam * s), jnp.sum(lam**2 * s)
    alive = a_2 > 0
    return s * (a_2 - lam * a_1) / (jnp.where(alive, a_2, 1.0) ** 1.5 * jnp.where(alive, a_0, 1.0) ** 0.5)
