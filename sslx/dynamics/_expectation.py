"""The Gaussian expectations that the cosine flows average over, by quadrature instead of sampling.

Writing the two norms as gamma integrals lets the Gaussian expectation factorise over modes, whatever their number:

  E[z_k^2 z_m^2 / (||D z||^p ||z||^q)]  =  1/(Gamma(p/2) Gamma(q/2)) Int Int u^{p/2-1} v^{q/2-1} prod_j d_j^{-1/2} h_k h_m du dv   (k != m),
  d_j = 1 + 2 s_j (u lam_j^2 + v),  h_j = s_j/d_j,  z_j ~ N(0, s_j),  D = diag(lam).

With u = r x, v = r (1 - x) both integrands are smooth bumps of ln r and logit x, of a width that grows with ln(s_max/s_min): the
trapezoidal rule follows them by a linear stretch, and covers the exponential tails by a sinh.

Shapes: s, lam [M] (of order 1: divide s by its mean and lam by its maximum first); the result is [M, M], its diagonal unused.
"""

import math

import jax
import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Float

_TAIL = 30.0  # e-folds of each tail that are kept: e^-30 = 1e-13
_CORE_R, _CORE_X = 1.9, 1.5  # half-widths, in units of tau, of the part that the linear stretch serves: found by trial


def pair_expectation(s: Float[Array, " M"], lam: Float[Array, " M"], p: int, q: int, nodes: int) -> Float[Array, "M M"]:
    """E[z_k^2 z_m^2 / (||D z||^p ||z||^q)] for k != m and p + q = 4, with `nodes`^2 points."""
    floor = float(jnp.finfo(s.dtype).eps) ** 0.75
    log_s = lax.stop_gradient(jnp.log(jnp.maximum(s, floor)))
    slope = lax.stop_gradient(-2 * jnp.log(jnp.maximum(jnp.min(lam), floor)))  # range of ln lam^2
    centre = -(jnp.max(log_s) + jnp.min(log_s)) / 2 + slope / 2 - math.log(2)
    stretch = (jnp.max(log_s) - jnp.min(log_s) + slope) / (2 * _CORE_R)
    modes = max(s.shape[0], 2)
    rho, d_rho = _stretched(centre, stretch, 1.0, _TAIL / 2, 2 * _TAIL / modes, nodes)
    xi, d_xi = _stretched(slope / 2, slope / (2 * _CORE_X), 2.0, 2 * _TAIL / p, 2 * _TAIL / q, nodes)
    rho, d_rho = rho[:, None], d_rho[:, None]
    log_x, log_y = jax.nn.log_sigmoid(xi), jax.nn.log_sigmoid(-xi)
    u, v = jnp.exp(rho + log_x)[..., None], jnp.exp(rho + log_y)[..., None]
    d = 1 + 2 * s * (u * lam**2 + v)
    log_weight = 2 * rho + p / 2 * log_x + q / 2 * log_y - jnp.sum(jnp.log(d), axis=-1) / 2
    weight = d_rho * d_xi * jnp.exp(log_weight) / (math.gamma(p / 2) * math.gamma(q / 2))
    h = s / d
    return jnp.einsum("abk,abm->km", h * weight[..., None], h, precision=lax.Precision.HIGHEST)


def norm_expectation(s: Float[Array, " M"], nodes: int) -> Float[Array, "M M"]:
    """E[z_k^2 z_m^2 / ||z||^6] for k != m and M > 2: the one-dimensional case, 1/Gamma(3) Int v^2 prod_j d_j^{-1/2} h_k h_m dv."""
    floor = float(jnp.finfo(s.dtype).eps) ** 0.75
    log_s = lax.stop_gradient(jnp.log(jnp.maximum(s, floor)))
    centre = -(jnp.max(log_s) + jnp.min(log_s)) / 2 - math.log(2)
    stretch = (jnp.max(log_s) - jnp.min(log_s)) / (2 * _CORE_R)
    rho, d_rho = _stretched(centre, stretch, 1.0, _TAIL / 3, 2 * _TAIL / (s.shape[0] - 2), nodes)
    d = 1 + 2 * s * jnp.exp(rho)[:, None]
    weight = d_rho * jnp.exp(3 * rho - jnp.sum(jnp.log(d), axis=-1) / 2) / 2
    h = s / d
    return jnp.einsum("ak,am->km", h * weight[:, None], h, precision=lax.Precision.HIGHEST)


def _stretched(centre: Array, stretch: Array, steepness: float, left: float, right: float, nodes: int) -> tuple[Array, Array]:
    """Points centre + stretch tau + steepness sinh tau that reach `left` and `right` e-folds out, and their weights."""
    first, last = -math.asinh(left / steepness), math.asinh(right / steepness)
    tau = jnp.linspace(first, last, nodes, dtype=centre.dtype)
    weights = (last - first) / (nodes - 1) * (stretch + steepness * jnp.cosh(tau))
    return centre + stretch * tau + steepness * jnp.sinh(tau), weights
