"""The two integrals that times are made of, with derivatives that keep their digits where two roots come together."""

import jax
import jax.numpy as jnp
from jax import Array

from sslx.typing import Number

CLOSE = 0.05  # below this the power series of derivatives have their digits within TERMS, and the closed forms lose more than two
TERMS = 14


@jax.custom_jvp
def log_ratio(shift: Number, x: Array, shifted: Array) -> Array:
    """ln|shifted/x| / shift for shifted = x + shift, which is Int_x^inf dy/(y (y + shift)); 1/x for shift = 0."""
    small = jnp.abs(shift) < 0.5 * jnp.abs(x)
    whole = jnp.where(shift == 0, 1.0, shift)
    near = jnp.log1p(jnp.where(small, shift / jnp.where(small, x, 1.0), 0.0))
    far = jnp.log(jnp.abs(jnp.where(small, 1.0, shifted / jnp.where(small, 1.0, x))))
    return jnp.where(shift == 0, 1 / x, jnp.where(small, near, far) / whole)


@log_ratio.defjvp
def _(primals, tangents):
    """By the shift alone -Int_x^inf dy/(y (y + shift)^2), by x alone -1/(x (x + shift))."""
    (shift, x, shifted), (shift_dot, x_dot, shifted_dot) = primals, tangents
    value = log_ratio(*primals)
    u = shift / x
    small = jnp.abs(u) < CLOSE
    series = _horner([-((-1.0) ** k) * (k + 1) / (k + 2) for k in range(TERMS)], jnp.where(small, u, 0.0)) / x / x
    apart = (shifted_dot / shifted - x_dot / x - value * shift_dot) / jnp.where(small, 1.0, shift)
    return value, jnp.where(small, series * shift_dot - x_dot / x / shifted, apart)


@jax.custom_jvp
def turn(offset: Number, x0: Array, x: Array) -> Array:
    """Int_x0^x du/(u^2 + offset) for offset >= 0; at 0 both ends lie on one side of it."""
    depth = jnp.sqrt(offset)
    whole = jnp.where(depth > 0, depth, 1.0)
    apart = jnp.where(depth > 0, 1.0, x * x0)
    return jnp.where(depth > 0, jnp.arctan2(depth * (x - x0), offset + x * x0) / whole, (x - x0) / apart)


@turn.defjvp
def _(primals, tangents):
    """By the offset: -Int_x0^x du/(u^2 + offset)^2."""
    (offset, x0, x), (offset_dot, x0_dot, x_dot) = primals, tangents
    value = turn(*primals)
    small = (offset < CLOSE * jnp.minimum(x**2, x0**2)) & (x * x0 > 0)
    ends = [jnp.where(small, end, 1.0) for end in (x, x0)]
    powers = [_horner([(k + 1) * (-1.0) ** k / (3 + 2 * k) for k in range(TERMS)], offset / end**2) / end**3 for end in ends]
    ratios = [end / (end**2 + offset) for end in (x, x0)]
    whole = jnp.where(small, 1.0, offset)
    by_offset = jnp.where(small, powers[0] - powers[1], -(ratios[0] - ratios[1] + value) / (2 * whole))
    return value, by_offset * offset_dot + x_dot / (x**2 + offset) - x0_dot / (x0**2 + offset)


def _horner(coefficients: list[float], u: Array) -> Array:
    """sum_k coefficients[k] u^k."""
    total = jnp.zeros_like(u)
    for coefficient in reversed(coefficients):
        total = total * u + coefficient
    return total
