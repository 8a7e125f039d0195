"""Methods that regress one branch on the other: a learnt predictor (BYOL, SimSiam) or one in closed form (DirectPred, IsoLoss)."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from sslx import losses, predictors
from sslx.methods._method import CENTRED, HeadSize, Loss, Method, MethodLoss, Online, both, cross_views, pair, pick
from sslx.typing import AxisName, Matrix, Scalar, Views

REGRESSION = {"cosine": losses.cosine, "euclidean": losses.euclidean}
ISO_LOSS = {"cosine": losses.iso_cosine, "euclidean": losses.iso_euclidean}


def byol(*, target: str = "ema", ema: float = 0.99, distance: str = "cosine") -> Method:
    """BYOL (Grill et al., 2020, arXiv:2006.07733), heads and momentum as Halvagal et al. use them on CIFAR."""
    return Method(
        cross_views(pick("distance", distance, REGRESSION)), HeadSize(4096, 256), predictor=HeadSize(4096, 256), target=target, ema=ema
    )


def simsiam() -> Method:
    """SimSiam (Chen and He, 2021, arXiv:2011.10566); its loss is 4 + 4 times the published one, the mean of -cos."""
    return Method(cross_views(losses.cosine), CENTRED, predictor=HeadSize(512, 2048))


def directpred(
    *,
    target: str = "ema",
    ema: float = 0.99,
    distance: str = "cosine",
    alpha: float = 0.5,
    eps: float = 0.0,
    decay: float | None = None,
) -> Method:
    """DirectPred (Tian et al., 2021, arXiv:2102.06810) as in Halvagal et al. (2023, arXiv:2212.04858).

    `decay` of the correlation is 0.998 with a moving-average target and 0.5 without, unless given.
    """
    loss = through_predictor(pick("distance", distance, REGRESSION))
    return with_closed_form(loss, alpha, eps, target, ema, decay)


def directcopy(
    *, target: str = "ema", ema: float = 0.99, distance: str = "cosine", eps: float = 0.25, decay: float | None = None
) -> Method:
    """DirectCopy (Wang et al., 2021, arXiv:2110.04947): DirectPred with alpha = 1 and eps = 0.25."""
    return directpred(target=target, ema=ema, distance=distance, alpha=1.0, eps=eps, decay=decay)


def isoloss(
    *,
    target: str = "ema",
    ema: float = 0.99,
    distance: str = "cosine",
    alpha: float = 0.5,
    eps: float = 0.0,
    decay: float | None = None,
) -> Method:
    """IsoLoss (Halvagal, Laborieux, Zenke, 2023, arXiv:2212.04858), cosine or Euclidean; `decay` as in `directpred`."""
    loss = pick("distance", distance, ISO_LOSS)
    return with_closed_form(loss, alpha, eps, target, ema, decay)


def closed_form(loss: Loss, powers: Callable[..., Sequence[Matrix]], decay: float) -> MethodLoss:
    """The sum over both orders of a loss with a predictor that is a function of the embedding correlation.

    The correlation is the method's state. Each view moves it before its own predictor is made, one view after the other, as the
    authors' code does (github.com/fmi-basel/implicit-var-reg).
    """

    def apply(online: Online, target: Views, state: Matrix, key: Array, step: Array, axis_name: AxisName) -> tuple[Scalar, Any, Matrix]:
        update = partial(predictors.correlation_update, decay=decay, axis_name=axis_name)
        (z_a, z_b), (target_a, target_b) = pair(online.z), pair(target)
        corr_a = update(state, z_a).astype(state.dtype)
        corr_b = update(corr_a, z_b).astype(state.dtype)
        w_a, w_b = powers(corr_a, corr_b)
        return *both(loss(z_a, target_b, w_a, axis_name=axis_name), loss(z_b, target_a, w_b, axis_name=axis_name)), corr_b

    return apply


def powers_of_correlations(*corr: Matrix, alpha: float, eps: float) -> Sequence[Matrix]:
    """`directpred` of each by the way that is fast on this device: LAPACK on a CPU, elsewhere products where they can do it.

    LAPACK takes one after the other: several at once wait for each other for ever where a process has several CPU devices (jaxlib 0.10.2).
    """
    if alpha in (0.5, 1.0) and jax.default_backend() != "cpu":
        return tuple(jax.vmap(partial(predictors.directpred_by_products, alpha=alpha, eps=eps))(jnp.stack(corr)))
    return [predictors.directpred(c, alpha=alpha, eps=eps) for c in corr]


def with_closed_form(loss: Loss, alpha: float, eps: float, target: str, ema: float, decay: float | None) -> Method:
    """A method with a closed-form predictor, whose state is the correlation [d, d], zero at the start."""
    powers = partial(powers_of_correlations, alpha=alpha, eps=eps)
    decay = decay if decay is not None else {"ema": 0.998, "self": 0.5}[target]
    return Method(
        closed_form(loss, powers, decay),
        HeadSize(4096, 256),
        target=target,
        ema=ema,
        init_state=lambda width: jnp.zeros((width, width), jnp.float32),
        matrix=lambda corr: powers(corr)[0],
    )


def through_predictor(loss: Loss) -> Loss:
    """`loss(p, z)` as a function of (z, z_target, W_P) with p = z @ W_P."""
    return lambda z, z_target, w_p, *, axis_name: loss(z @ w_p.astype(z.dtype), z_target, axis_name=axis_name)
