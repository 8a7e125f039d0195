"""Eigenmode flows of the cosine losses: the modes couple through the norms, and pull one another to one common size.

Setting and symbols as for the Euclidean flows (isotropic Gaussian input and augmentation noise, W_P = F^alpha, lam = s^alpha), but
the state is s [..., M], the eigenvalues of F = W W^T. The views z_1 (online) and z_2 (target) of mode m have covariance s_m and
variances (1 + noise_i^2) s_m; with D = diag(lam) the flows are averages of products of four of them over ||D z_1||^p ||z_2||^q, here by
quadrature, exact for any M. Without noise z_1 = z_2 = z, which is how the equations are written below. Time is that of gradient flow
at unit rate on -cos(W_P z_1, z_2): gradient descent on 2 - 2 cos advances t by 2 learning_rate per step.

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

from sslx.checks import check_integer
from sslx.dynamics._euclidean import view_variances
from sslx.dynamics._expectation import norm_expectation, paired, tilted_views
from sslx.dynamics._flow import EigenFlow, positive_power, with_modes
from sslx.dynamics._parameters import Noise, vanishes
from sslx.typing import Number

Drift = Callable[[Array], Array]


def cosine(*, alpha: Number = 0.5, noise: Noise = (0.0, 0.0), weight_decay: Number = 0.0, nodes: int = 40) -> EigenFlow:
    """Cosine loss with stop-gradient on the target.

    ds_m/dt = 2 lam_m sum_k lam_k (lam_k - lam_m) E[z_k^2 z_m^2/(||D z||^3 ||z||)] - 2 eta s_m.  The loss does not see the scale of
    z_1, so e^{2 eta t} sum_m s_m is constant. Without weight decay a mode at 0 stays there and all others end at their mean. With it the
    scale decays but no mode collapses: s/sum(s) follows the flow without decay in the time (e^{2 eta t} - 1)/(2 eta sum_m s_m(0)),
    if that flow starts from s(0)/sum_m s_m(0).

    Args:
        alpha: exponent of the predictor, lam = s^alpha.
        noise: standard deviations of the augmentation noise, (online, target).
        weight_decay: eta in dW/dt = -grad - eta W.
        nodes: quadrature points per dimension: 40 are right to 1e-8 or better up to a ratio of 20 between the largest and the smallest s,
            and to 1e-2 up to 10^4 (1e-4 with 60); more in the table at the head of the module, sslx/dynamics/_cosine.py.

    Raises:
        ValueError: unless alpha > 0, noise and weight_decay >= 0 and nodes is an integer >= 2.

    Reference: Halvagal, Laborieux, Zenke (2023), arXiv 2212.04858, the cosine eigenspace dynamics.
    """
    check_parameters(alpha, weight_decay, nodes, noise)

    def drift(s):
        unit, lam, _ = rescaled(s, alpha)
        return 2 * lam * _online_force(unit, lam, noise, nodes)

    return conserving_flow(drift, 1.0, weight_decay)


def iso_cosine(*, alpha: Number = 0.5, noise: Noise = (0.0, 0.0), weight_decay: Number = 0.0, nodes: int = 40) -> EigenFlow:
    """Cosine IsoLoss: the cosine flow with the factor lam_m taken out, so that small modes are recruited as fast as large ones.

    ds_m/dt = 2 sum_k lam_k (lam_k - lam_m) E[z_k^2 z_m^2/(||D z||^3 ||z||)] - 2 eta s_m.
    e^{2 eta (1+alpha) t} sum_m s_m^{1+alpha} is constant, and without weight decay all modes that are not 0 end equal.

    Args and errors: see `cosine`.

    Reference: Halvagal, Laborieux, Zenke (2023), arXiv 2212.04858, the isotropic loss.
    """
    check_parameters(alpha, weight_decay, nodes, noise)

    def drift(s):
        unit, lam, scale = rescaled(s, alpha)
        return 2 / scale * _online_force(unit, lam, noise, nodes)

    return conserving_flow(drift, 1 + alpha, weight_decay)


def cosine_no_stop_gradient(*, alpha: Number = 0.5, noise: Noise = (0.0, 0.0), nodes: int = 40) -> EigenFlow:
    """Cosine loss with gradients through both branches (the predictor constant): dimensional collapse.

    ds_m/dt = 2 sum_k (lam_k - lam_m) (lam_m lam_k E[z_k^2 z_m^2/(||D z||^3 ||z||)] - E[z_k^2 z_m^2/(||D z|| ||z||^3)]).  sum_m s_m is
    constant. Without noise the fixed point that is given, all modes but those at 0 equal, is unstable: larger modes grow at the expense of
    smaller ones. Noise of order sigma equalises modes that differ by less than order sigma^2, so that some survive. Modes that die, until
    they are 0, leave the table of the module behind them: beside three that live, 40 nodes end 50 % off at t = 150 and 100 nodes within
    1.4 % of a trained network.

    Args and errors: see `cosine`.

    Reference: the gradient of the loss of Halvagal, Laborieux, Zenke (2023), arXiv 2212.04858.
    """
    check_parameters(alpha, 0.0, nodes, noise)

    def drift(s):
        unit, lam, _ = rescaled(s, alpha)
        return 2 * (lam * _online_force(unit, lam, noise, nodes) + _target_force(unit, lam, noise, nodes))

    return conserving_flow(drift, 1.0, 0.0)


def cosine_no_predictor(*, noise: Noise = (0.0, 0.0), stop_gradient: bool = True, nodes: int = 40) -> EigenFlow:
    """Cosine loss without a predictor (W_P = I): static without noise, slow equalisation at fixed sum_m s_m with it.

    To leading order in noise^2:  ds_m/dt = 2 (kappa_1 kappa_2 - 1) E[sum_k (s_k - s_m) z_k^2 z_m^2/||z||^6],  kappa_i = 1 + noise[i]^2, and
    twice that without stop-gradient. The next order makes it 7 % too fast at noise (0.1, 0.1) with 6 modes, more with fewer; with
    2 the leading order diverges, and of a state with all modes but 2 at 0 the velocity is NaN.

    Args:
        noise: standard deviations of the augmentation noise, (online, target).
        stop_gradient: whether the target branch is constant.
        nodes: quadrature points.

    Raises:
        ValueError: for negative noise, and from `velocity` for fewer than 3 modes.

    Reference: Halvagal, Laborieux, Zenke (2023), arXiv 2212.04858, the ablation of the predictor.
    """
    check_parameters(1.0, 0.0, nodes)
    kappa_1, kappa_2 = view_variances(1.0, noise, 0.0)
    rate = (2 if stop_gradient else 4) * (kappa_1 * kappa_2 - 1)

    def drift(s):
        if s.shape[0] < 3:
            raise ValueError(f"s must have at least 3 modes here, got {s.shape[0]}; the leading order in the noise diverges for fewer")
        unit, _, _ = rescaled(s, 1.0)
        unit = jnp.where(jnp.sum(s > 0) == 2, jnp.nan, unit)
        return rate * jnp.sum(norm_expectation(unit, nodes) * (unit - unit[:, None]), axis=-1)

    return conserving_flow(drift, 1.0, 0.0)


def conserving_flow(drift: Drift, power: Number, weight_decay: Number) -> EigenFlow:
    """ds/dt = drift(s) - 2 eta s, where drift(s[M]) conserves sum_m s_m^power and vanishes where all modes but those at 0 are equal."""

    def velocity(s: ArrayLike) -> Array:
        (s,) = with_modes(s)
        return jnp.vectorize(drift, signature="(m)->(m)")(s) - 2 * weight_decay * s

    def invariant(t: ArrayLike, s: ArrayLike) -> Array:
        t, s = with_modes(t, s)
        return jnp.exp(2 * weight_decay * power * t) * jnp.sum(s**power, axis=-1)

    def fixed_points(s0: ArrayLike) -> Array:
        (s0,) = with_modes(s0)
        equal = positive_power(live_mean(s0**power), 1 / power)
        return jnp.where(s0 > 0, equal, 0.0)[None] if vanishes(weight_decay) else jnp.zeros_like(s0)[None]

    return EigenFlow(velocity, None, invariant, fixed_points)


def live_mean(s: Array) -> Array:
    """The mean of the modes that are not 0, [..., 1]; 0 where all are."""
    return jnp.sum(s, axis=-1, keepdims=True) / jnp.maximum(jnp.sum(s > 0, axis=-1, keepdims=True), 1)


def _online_force(unit: Array, lam: Array, noise: Noise, nodes: int) -> Array:
    """sum_k lam_k E[z_1m (lam_k z_2m z_1k^2 - lam_m z_1m z_1k z_2k)/(||D z_1||^3 ||z_2||)]."""
    views = tilted_views(unit, lam, 3, 1, nodes, noise)
    gain = lam[:, None] * paired(views.online, views.cross)
    return jnp.sum(lam[:, None] * (gain - gain.T), axis=0)


def _target_force(unit: Array, lam: Array, noise: Noise, nodes: int) -> Array:
    """sum_k E[z_2m (lam_m z_1m z_2k^2 - lam_k z_2m z_1k z_2k)/(||D z_1|| ||z_2||^3)]."""
    views = tilted_views(unit, lam, 1, 3, nodes, noise)
    gain = lam * paired(views.target, views.cross)
    return jnp.sum(gain - gain.T, axis=0)


def rescaled(s: Array, alpha: Number) -> tuple[Array, Array, Array]:
    """s over its mean, lam = s^alpha over its maximum, and that maximum: the averages are homogeneous, the quadrature is not.

    The scales are constants under differentiation, which is exact because the flow does not depend on them.
    """
    mean = lax.stop_gradient(jnp.mean(s))
    unit = s / jnp.where(mean > 0, mean, 1.0)
    lam = positive_power(s, alpha)
    largest = lax.stop_gradient(jnp.max(lam))
    largest = jnp.where(largest > 0, largest, 1.0)
    return unit, lam / largest, largest


def check_parameters(alpha: Number, weight_decay: Number, nodes: int = 40, noise: Noise = (0.0, 0.0)) -> None:
    """Raise ValueError unless alpha > 0, weight_decay and noise >= 0 and nodes is an integer >= 2."""
    view_variances(alpha, noise, weight_decay)
    check_integer("nodes", nodes, minimum=2)
