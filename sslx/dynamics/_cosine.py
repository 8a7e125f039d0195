"""Eigenmode flows of the cosine losses: the modes couple through the norms, and pull one another to one common size.

Setting and symbols as for the Euclidean flows (isotropic Gaussian input, W_P = F^alpha, lam = s^alpha), but the state is s [..., M],
the eigenvalues of F = W W^T, and there is no augmentation noise. With z_m = sqrt(s_m) y_m, y ~ N(0, I), and D = diag(lam) the flows are
averages of z_k^2 z_m^2 / (||D z||^p ||z||^q), here by quadrature, exact for any M. Time is that of gradient flow at unit rate on
-cos(W_P z_1, z_2): gradient descent on 2 - 2 cos advances t by 2 learning_rate per step.

Accuracy of `nodes` = 40 / 60: the largest relative error of any average over spectra of 2, 5 and 12 modes (spread evenly in ln s; one
large mode over equal small ones; equal large modes over a small one), by the ratio of the largest to the smallest s:

  ratio           3            20            100           10^4
  alpha = 1/2   1e-12/1e-12  1e-11/1e-12   5e-8/1e-12    5e-4/5e-7
  alpha = 1     1e-12/1e-12  5e-8/1e-12    2e-5/5e-10    1e-2/1e-4
"""

from collections.abc import Callable

import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from sslx.dynamics._expectation import norm_expectation, pair_expectation
from sslx.dynamics._flow import EigenFlow, floating

Drift = Callable[[Array], Array]


def cosine(*, alpha: float = 0.5, weight_decay: float = 0.0, nodes: int = 40) -> EigenFlow:
    """Cosine loss with stop-gradient on the target.

    ds_m/dt = 2 lam_m sum_k lam_k (lam_k - lam_m) E[z_k^2 z_m^2/(||D z||^3 ||z||)] - 2 eta s_m.  The loss does not see the scale of
    z_1, so e^{2 eta t} sum_m s_m is constant, and without weight decay all modes that are not 0 end at the mean of s. With it the
    scale decays but no mode collapses: s/sum(s) follows the flow without decay in the time (e^{2 eta t} - 1)/(2 eta sum_m s_m(0)),
    if that flow starts from s(0)/sum_m s_m(0).

    Args:
        alpha: exponent of the predictor, lam = s^alpha.
        weight_decay: eta in dW/dt = -grad - eta W.
        nodes: quadrature points per dimension; see the table of the module for what they buy.

    Raises:
        ValueError: unless alpha > 0, weight_decay >= 0 and nodes >= 2.

    Reference: Halvagal, Laborieux, Zenke (2023), arXiv 2212.04858, the cosine eigenspace dynamics.
    """
    check_parameters(alpha, weight_decay, nodes)

    def drift(s):
        unit, lam, _ = _rescaled(s, alpha)
        return 2 * _exchange(lam[:, None] * lam * pair_expectation(unit, lam, 3, 1, nodes), lam)

    return conserving_flow(drift, 1.0, weight_decay)


def iso_cosine(*, alpha: float = 0.5, weight_decay: float = 0.0, nodes: int = 40) -> EigenFlow:
    """Cosine IsoLoss: the cosine flow with the factor lam_m taken out, so that small modes are recruited as fast as large ones.

    ds_m/dt = 2 sum_k lam_k (lam_k - lam_m) E[z_k^2 z_m^2/(||D z||^3 ||z||)] - 2 eta s_m.
    e^{2 eta (1+alpha) t} sum_m s_m^{1+alpha} is constant, and without weight decay all modes end equal.

    Args and errors: see `cosine`.

    Reference: Halvagal, Laborieux, Zenke (2023), arXiv 2212.04858, the isotropic loss.
    """
    check_parameters(alpha, weight_decay, nodes)

    def drift(s):
        unit, lam, scale = _rescaled(s, alpha)
        return 2 / scale * _exchange(lam * pair_expectation(unit, lam, 3, 1, nodes), lam)

    return conserving_flow(drift, 1 + alpha, weight_decay)


def cosine_no_stop_gradient(*, alpha: float = 0.5, nodes: int = 40) -> EigenFlow:
    """Cosine loss with gradients through both branches (the predictor constant): dimensional collapse.

    ds_m/dt = 2 sum_k (lam_k - lam_m) (lam_m lam_k E[z_k^2 z_m^2/(||D z||^3 ||z||)] - E[z_k^2 z_m^2/(||D z|| ||z||^3)]).  sum_m s_m is
    constant; the fixed point that is given, all modes equal, is unstable: larger modes grow at the expense of smaller ones.

    Args and errors: see `cosine`.

    Reference: the gradient of the loss of Halvagal, Laborieux, Zenke (2023), arXiv 2212.04858.
    """
    check_parameters(alpha, 0.0, nodes)

    def drift(s):
        unit, lam, _ = _rescaled(s, alpha)
        pull = lam[:, None] * lam * pair_expectation(unit, lam, 3, 1, nodes)
        return 2 * _exchange(pull - pair_expectation(unit, lam, 1, 3, nodes), lam)

    return conserving_flow(drift, 1.0, 0.0)


def cosine_no_predictor(*, noise: tuple[float, float] = (0.0, 0.0), stop_gradient: bool = True, nodes: int = 40) -> EigenFlow:
    """Cosine loss without a predictor (W_P = I): static without noise, slow equalisation at fixed sum_m s_m with it.

    To leading order in noise^2:  ds_m/dt = 2 (kappa_1 kappa_2 - 1) E[sum_k (s_k - s_m) z_k^2 z_m^2/||z||^6],  kappa_i = 1 + noise[i]^2, and
    twice that without stop-gradient. The next order makes it 7 % too fast at noise (0.1, 0.1) with 6 modes, more with fewer; with
    2 the leading order diverges.

    Args:
        noise: standard deviations of the augmentation noise, (online, target).
        stop_gradient: whether the target branch is constant.
        nodes: quadrature points.

    Raises:
        ValueError: for negative noise, and from `velocity` for fewer than 3 modes.

    Reference: Halvagal, Laborieux, Zenke (2023), arXiv 2212.04858, the ablation of the predictor.
    """
    check_parameters(1.0, 0.0, nodes)
    if len(noise) != 2 or min(noise) < 0:
        raise ValueError(f"noise must be two standard deviations >= 0, (online, target), got {noise}")
    rate = (2 if stop_gradient else 4) * ((1 + noise[0] ** 2) * (1 + noise[1] ** 2) - 1)

    def drift(s):
        if s.shape[0] < 3:
            raise ValueError(f"s must have at least 3 modes here, got {s.shape[0]}; the leading order in the noise diverges for fewer")
        unit, _, _ = _rescaled(s, 1.0)
        return rate * _exchange(norm_expectation(unit, nodes), unit)

    return conserving_flow(drift, 1.0, 0.0)


def conserving_flow(drift: Drift, power: float, weight_decay: float) -> EigenFlow:
    """ds/dt = drift(s) - 2 eta s, where drift(s[M]) conserves sum_m s_m^power and vanishes where all modes are equal."""

    def velocity(s: ArrayLike) -> Array:
        (s,) = floating(s)
        return jnp.vectorize(drift, signature="(m)->(m)")(s) - 2 * weight_decay * s

    def invariant(t: ArrayLike, s: ArrayLike) -> Array:
        t, s = floating(t, s)
        return jnp.exp(2 * weight_decay * power * t) * jnp.sum(s**power, axis=-1)

    def fixed_points(s0: ArrayLike) -> Array:
        (s0,) = floating(s0)
        equal = jnp.mean(s0**power, axis=-1, keepdims=True) ** (1 / power)
        return jnp.zeros_like(s0)[None] if weight_decay else jnp.broadcast_to(equal, s0.shape)[None]

    return EigenFlow(velocity, None, invariant, fixed_points)


def _exchange(rate: Array, lam: Array) -> Array:
    """sum_k rate_mk (lam_k - lam_m): with a symmetric rate its sum over m is 0 to rounding."""
    return jnp.sum(rate * (lam - lam[:, None]), axis=-1)


def _rescaled(s: Array, alpha: float) -> tuple[Array, Array, Array]:
    """s over its mean, lam = s^alpha over its maximum, and that maximum: the averages are homogeneous, the quadrature is not.

    The scales are constants under differentiation, which is exact because the flow does not depend on them.
    """
    mean = lax.stop_gradient(jnp.mean(s))
    unit = s / jnp.where(mean > 0, mean, 1.0)
    power = jnp.where(s > 0, jnp.where(s > 0, s, 1.0) ** alpha, 0.0)
    largest = lax.stop_gradient(jnp.max(power))
    largest = jnp.where(largest > 0, largest, 1.0)
    return unit, power / largest, largest


def check_parameters(alpha: float, weight_decay: float, nodes: int = 40) -> None:
    """Raise ValueError unless alpha > 0, weight_decay >= 0 and nodes >= 2."""
    if not alpha > 0:
        raise ValueError(f"alpha must be positive, got {alpha}; 0.5 is DirectPred, 1.0 is DirectCopy")
    if not weight_decay >= 0:
        raise ValueError(f"weight_decay must be >= 0, got {weight_decay}")
    if nodes < 2:
        raise ValueError(f"nodes must be at least 2, got {nodes}; 40 is the default")
