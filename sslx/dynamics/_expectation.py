"""The Gaussian expectations that the cosine flows average over, by quadrature instead of sampling.

Writing the two norms as gamma integrals lets the Gaussian expectation factorise over modes, whatever their number:

  E[f_k(z) g_m(z) / (||D z_1||^p ||z_2||^q)]  =  1/(Gamma(p/2) Gamma(q/2)) Int Int u^{p/2-1} v^{q/2-1} prod_j d_j^{-1/2} <f_k> <g_m> du dv

for k != m,  D = diag(lam).  The views of mode j have variances kappa_1 s_j and kappa_2 s_j and covariance s_j;  with U_j = u lam_j^2,

  <z_1^2> = (kappa_1 + 2 v e s_j) s_j/d_j,  <z_1 z_2> = s_j/d_j,  <z_2^2> = (kappa_2 + 2 U_j e s_j) s_j/d_j,
  d_j = 1 + 2 s_j (kappa_1 U_j + kappa_2 v) + 4 e U_j v s_j^2,  e = kappa_1 kappa_2 - 1.

With u = r x, v = r (1 - x) both integrands are smooth bumps of ln r and logit x, of a width that grows with ln(s_max/s_min): the
trapezoidal rule follows them by a linear stretch, and covers the exponential tails by a sinh.

Shapes: s, lam [M] (of order 1: divide s by its mean and lam by its maximum first); the result is [M, M], its diagonal unused.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike
from jaxtyping import Float

from sslx.typing import Number

_TAIL = 30.0  # e-folds of each tail that are kept: e^-30 = 1e-13
_CORE_R, _CORE_X = 1.9, 1.5  # half-widths, in units of tau, of the part that the linear stretch serves: found by trial


class Views(NamedTuple):
    """<z_1^2>, <z_1 z_2>, <z_2^2> at the points of the quadrature [a, b, M], each times the root of its weight there."""

    online: Array
    cross: Array
    target: Array


def tilted_views(s: Float[Array, " M"], lam: Float[Array, " M"], p: int, q: int, nodes: int, noise: tuple[Number, Number]) -> Views:
    """What every E[f_k g_m / (||D z_1||^p ||z_2||^q)], k != m and p + q = 4, is made of, at `nodes`^2 points."""
    (low, high), slope = _log_range(s), -2 * _log_range(lam)[0]  # the latter is the range of ln lam^2
    centre = -(high + low) / 2 + slope / 2 - math.log(2)
    stretch = (high - low + slope) / (2 * _CORE_R)
    rho, d_rho = _stretched(centre, stretch, 1.0, _TAIL / 2, 2 * _TAIL / jnp.maximum(jnp.sum(s > 0), 2), nodes)
    xi, d_xi = _stretched(slope / 2, slope / (2 * _CORE_X), 2.0, 2 * _TAIL / p, 2 * _TAIL / q, nodes)
    rho, d_rho = rho[:, None], d_rho[:, None]
    log_x, log_y = jax.nn.log_sigmoid(xi), jax.nn.log_sigmoid(-xi)
    u, v = jnp.exp(rho + log_x)[..., None] * lam**2, jnp.exp(rho + log_y)[..., None]
    kappa_1, kappa_2 = 1 + noise[0] ** 2, 1 + noise[1] ** 2
    excess = (kappa_1 * kappa_2 - 1) * s
    d_1 = 1 + 2 * kappa_1 * s * u
    tilt = (kappa_1 * kappa_2 - 1 + 1 / d_1) / kappa_1  # (kappa_2 + 2 excess u)/d_1 with no large numbers in it, and no product of u and v
    log_d = jnp.log(d_1) + jnp.log1p(2 * s * v * tilt)
    log_weight = 2 * rho + p / 2 * log_x + q / 2 * log_y - jnp.sum(log_d, axis=-1) / 2
    root = jnp.sqrt(d_rho * d_xi / (math.gamma(p / 2) * math.gamma(q / 2)))[..., None]
    h = s * root * jnp.exp(log_weight[..., None] / 2 - log_d)  # in one exponential: the factors alone leave the range of float32
    return Views(kappa_1 * h + 2 * excess * (v * h), h, kappa_2 * h + 2 * excess * (u * h))


def paired(f: Float[Array, "a b M"], g: Float[Array, "a b M"]) -> Float[Array, "M M"]:
    """The integral over the quadrature of f_k g_m: [k, m], its diagonal unused."""
    return jnp.einsum("abk,abm->km", f, g, precision=lax.Precision.HIGHEST)


def norm_expectation(s: Float[Array, " M"], nodes: int) -> Float[Array, "M M"]:
    """E[z_k^2 z_m^2 / ||z||^6] for k != m and M > 2: the one-dimensional case, 1/Gamma(3) Int v^2 prod_j d_j^{-1/2} h_k h_m dv."""
    low, high = _log_range(s)
    centre, stretch = -(high + low) / 2 - math.log(2), (high - low) / (2 * _CORE_R)
    rho, d_rho = _stretched(centre, stretch, 1.0, _TAIL / 3, 2 * _TAIL / jnp.maximum(jnp.sum(s > 0) - 2, 1), nodes)
    log_d = jnp.log(1 + 2 * s * jnp.exp(rho)[:, None])
    log_weight = 3 * rho - jnp.sum(log_d, axis=-1) / 2
    h = s * jnp.sqrt(d_rho / 2)[:, None] * jnp.exp(log_weight[:, None] / 2 - log_d)
    return jnp.einsum("ak,am->km", h, h, precision=lax.Precision.HIGHEST)


def _log_range(x: Float[Array, " M"]) -> tuple[Array, Array]:
    """The smallest and the largest ln x, [] each, 0 among them, down to the level of rounding; a dead mode, x = 0, asks for no points."""
    log_x = lax.stop_gradient(jnp.log(jnp.maximum(x, float(jnp.finfo(x.dtype).eps) ** 0.75)))
    return jnp.min(log_x, where=x > 0, initial=0.0), jnp.max(log_x, initial=0.0)


def _stretched(centre: Array, stretch: Array, steepness: float, left: float, right: ArrayLike, nodes: int) -> tuple[Array, Array]:
    """Points centre + stretch tau + steepness sinh tau that reach `left` and `right` e-folds out, and their weights."""
    first, last = -math.asinh(left / steepness), jnp.asinh(jnp.asarray(right / steepness, centre.dtype))
    tau = jnp.linspace(first, last, nodes, dtype=centre.dtype)
    weights = (last - first) / (nodes - 1) * (stretch + steepness * jnp.cosh(tau))
    return centre + stretch * tau + steepness * jnp.sinh(tau), weights
