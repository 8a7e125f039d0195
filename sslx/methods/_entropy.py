"""Methods whose term against collapse is an entropy or a coding length of the embedding."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax.numpy as jnp
from jax import Array

from sslx import losses
from sslx.checks import check_positive
from sslx.linalg import l2_normalise
from sslx.methods._method import CENTRED, HeadSize, Loss, Method, MethodLoss, Online, both, cross_views, pair, two_views
from sslx.moments import at_least_float32
from sslx.typing import AxisName, Embedding, Scalar, Views


def vicreg_logdet(*, sim_coeff: float = 1.0, entropy_coeff: float = 1.0, beta: float = 1.0) -> Method:
    """VICReg with the LogDet entropy in place of variance and covariance (Shwartz-Ziv et al., 2023, arXiv:2303.00633)."""
    loss = partial(losses.vicreg_logdet, sim_coeff=sim_coeff, entropy_coeff=entropy_coeff, beta=beta)
    return Method(two_views(loss), HeadSize(2048, 2048, layers=3, bias=False))


def vicreg_pairdist(*, sim_coeff: float = 1.0, entropy_coeff: float = 1.0, variance: float | None = None) -> Method:
    """VICReg with the pairwise-distance entropy in place of variance and covariance (Shwartz-Ziv et al., 2023, arXiv:2303.00633)."""
    loss = partial(losses.vicreg_pairdist, sim_coeff=sim_coeff, entropy_coeff=entropy_coeff, variance=variance)
    return Method(two_views(loss), HeadSize(2048, 2048, layers=3, bias=False))


def byol_logdet(*, ema: float = 0.99, sim_coeff: float = 1.0, entropy_coeff: float = 1.0, beta: float = 1.0) -> Method:
    """BYOL with the LogDet entropy of the online projections (Shwartz-Ziv et al., 2023, arXiv:2303.00633)."""
    loss = partial(losses.byol_logdet, sim_coeff=sim_coeff, entropy_coeff=entropy_coeff, beta=beta)
    return Method(cross_views_with_entropy(loss), HeadSize(4096, 256), predictor=HeadSize(4096, 256), target="ema", ema=ema)


def byol_pairdist(*, ema: float = 0.99, sim_coeff: float = 1.0, entropy_coeff: float = 1.0) -> Method:
    """BYOL with the pairwise-distance entropy of the online projections (Shwartz-Ziv et al., 2023, arXiv:2303.00633)."""
    loss = partial(losses.byol_pairdist, sim_coeff=sim_coeff, entropy_coeff=entropy_coeff)
    return Method(cross_views_with_entropy(loss), HeadSize(4096, 256), predictor=HeadSize(4096, 256), target="ema", ema=ema)


def mec(*, ema: float = 0.996, eps_squared: float = 64.0, order: int = 4, rise_steps: int = 1) -> Method:
    """Maximum entropy coding (Liu et al., 2022, arXiv:2210.11464); the sum over both orders, twice the published mean.

    `eps_squared` falls linearly to its value from eight times that over the first `rise_steps`, so that lam rises, as in its code: where
    lam ||z_a^T z_b|| is far above 1 the series is no logarithm and does not spread the embeddings.
    """
    loss = with_rising_lam(eps_squared, order, rise_steps)
    return Method(loss, CENTRED, predictor=HeadSize(512, 2048), target="ema", ema=ema)


def total_coding_rate(*, similarity_coeff: float = 100.0, eps_squared: float = 0.5) -> Method:
    """Total coding rate with the cosine of the two views, the self-supervised loss of NMCE (Li et al., 2022, arXiv:2201.10000)."""
    loss = partial(rate_and_similarity, similarity_coeff=similarity_coeff, eps_squared=eps_squared)
    return Method(two_views(loss), HeadSize(4096, 64))


def matrix_ssl(*, ema: float = 0.996, gamma: float = 1.0, mu: float = 1.0, lam: float = 1.0, order: int = 4) -> Method:
    """Matrix-SSL (Zhang et al., 2023, arXiv:2305.17326) on rows of unit length, with the branches of maximum entropy coding."""
    loss = partial(losses.matrix_ssl, gamma=gamma, mu=mu, lam=lam, order=order)
    return Method(cross_views(target_first(of_unit_rows(loss))), CENTRED, predictor=HeadSize(512, 2048), target="ema", ema=ema)


def corinfomax(*, sim_coeff: float = 250.0, eps: float = 1e-8, forgetting: float = 0.01) -> Method:
    """CorInfoMax (Ozsoy et al., 2022, arXiv:2209.07999) on rows of unit length, with its CIFAR-10 settings; its projector has no batch
    norm, ours has."""
    loss = partial(losses.corinfomax, sim_coeff=sim_coeff, eps=eps, forgetting=forgetting)
    return Method(with_running_moments(of_unit_rows(loss)), HeadSize(2048, 64, layers=3), init_state=losses.corinfomax_init)


def cross_views_with_entropy(loss: Loss) -> MethodLoss:
    """The sum over both orders of `loss(p, z_target, z_online)`."""

    def apply(online: Online, target: Views, state: Any, key: Array, step: Array, axis_name: AxisName) -> tuple[Scalar, Any, Any]:
        (p_a, p_b), (target_a, target_b), (z_a, z_b) = pair(online.p), pair(target), pair(online.z)
        return *both(loss(p_a, target_b, z_a, axis_name=axis_name), loss(p_b, target_a, z_b, axis_name=axis_name)), state

    return apply


def with_rising_lam(eps_squared: float, order: int, rise_steps: int) -> MethodLoss:
    """Both orders of maximum entropy coding, with lam at an eighth of its value at first."""
    check_positive("eps_squared", eps_squared)

    def apply(online: Online, target: Views, state: Any, key: Array, step: Array, axis_name: AxisName) -> tuple[Scalar, Any, Any]:
        risen = jnp.minimum((step + 1) / rise_steps, 1.0)
        loss = partial(losses.mec, eps_squared=eps_squared * (8 - 7 * risen), order=order)
        return cross_views(loss)(online, target, state, key, step, axis_name)

    return apply


def with_running_moments(loss: Callable[..., tuple[Scalar, Any, Any]]) -> MethodLoss:
    """A loss of two views that carries moments from step to step."""

    def apply(online: Online, target: Views, state: Any, key: Array, step: Array, axis_name: AxisName) -> tuple[Scalar, Any, Any]:
        z_a, z_b = pair(online.z)
        return loss(z_a, z_b, state, axis_name=axis_name)

    return apply


def rate_and_similarity(
    z_a: Embedding, z_b: Embedding, *, similarity_coeff: float, eps_squared: float, axis_name: AxisName
) -> tuple[Scalar, losses.EmpSslTerms]:
    """-similarity_coeff mean_n cos(z_a, z_b) - mean over views of the coding rate of the rows divided by their length."""
    unit = l2_normalise(at_least_float32(jnp.stack([z_a, z_b])))
    minus_rate, terms = losses.total_coding_rate(unit, eps_squared=eps_squared, axis_name=axis_name)
    distance, _ = losses.cosine(z_a, z_b, stop_gradient="none", axis_name=axis_name)
    similarity = 1 - distance / 2
    return minus_rate - similarity_coeff * similarity, losses.EmpSslTerms(similarity, terms.coding_rate)


def target_first(loss: Loss) -> Loss:
    """A loss of target and prediction, called with the prediction first."""

    def apply(p: Embedding, z: Embedding, *, axis_name: AxisName) -> tuple[Scalar, Any]:
        return loss(z, p, axis_name=axis_name)

    return apply


def of_unit_rows(loss: Callable[..., Any]) -> Callable[..., Any]:
    """The loss of embeddings whose rows have been divided by their length."""

    def apply(z_a: Array, z_b: Array, *state: Any, axis_name: AxisName) -> Any:
        z_a, z_b = (l2_normalise(at_least_float32(z)) for z in (z_a, z_b))
        return loss(z_a, z_b, *state, axis_name=axis_name)

    return apply
