"""The one table of methods: a name -> the heads, the loss, the target network and the state of a method.

A row is a function of the method's hyper-parameters with the published values as defaults; `METHODS["vicreg"]()` is the method.
V views, N batch, d embedding width.
"""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax.numpy as jnp
import optax
from jax import Array

from sslx import losses, predictors
from sslx.collectives import pmean_if
from sslx.moments import at_least_float32
from sslx.typing import AxisName, Scalar, Views


class HeadSize(NamedTuple):
    """A multilayer head: widths of its hidden layers and output, number of linear layers, and how it ends."""

    hidden: int
    out: int
    layers: int = 2
    bias: bool = True
    final_norm: bool = False


class Online(NamedTuple):
    """Embeddings of the network that learns: projections z and predictions p (z itself without a predictor head)."""

    z: Views
    p: Views


MethodLoss = Callable[[Online, Views, Any, Array, Array, AxisName], tuple[Scalar, Any, Any]]
"""`(online, target, state, key, step, axis_name) -> (loss, terms, state)`: one signature for two-view, many-view, stateful,
random and scheduled losses; terms is a NamedTuple of scalars."""


class Method(NamedTuple):
    """A row of the table.

    `target` says what the loss compares with: "self" (the online projections), "ema" (those of a moving average of the network,
    with momentum from `ema` to 1) or "labels" (one-hot, for the supervised yardstick).
    """

    loss: MethodLoss
    projector: HeadSize
    predictor: HeadSize | None = None
    target: str = "self"
    ema: float = 0.99
    init_state: Callable[[int], Any] = lambda width: {}


class SupervisedTerms(NamedTuple):
    """The summand of the supervised yardstick, and the accuracy on the augmented training images."""

    cross_entropy: Scalar
    accuracy: Scalar


def two_views(loss: Callable[..., tuple[Scalar, Any]]) -> MethodLoss:
    """A symmetric loss of the projections of two views."""

    def apply(online: Online, target: Views, state: Any, key: Array, step: Array, axis_name: AxisName) -> tuple[Scalar, Any, Any]:
        z_a, z_b = online.z
        value, terms = loss(z_a, z_b, axis_name=axis_name)
        return value, terms, state

    return apply


def cross_views(loss: Callable[..., tuple[Scalar, Any]]) -> MethodLoss:
    """The sum of a regression loss over both orders of the views: prediction of one on the target of the other."""

    def apply(online: Online, target: Views, state: Any, key: Array, step: Array, axis_name: AxisName) -> tuple[Scalar, Any, Any]:
        value_ab, terms_ab = loss(online.p[0], target[1], axis_name=axis_name)
        value_ba, terms_ba = loss(online.p[1], target[0], axis_name=axis_name)
        return value_ab + value_ba, add(terms_ab, terms_ba), state

    return apply


def closed_form(loss: Callable[..., tuple[Scalar, Any]], predictor: Callable[[Array], Array], decay: float) -> MethodLoss:
    """The sum over both orders of a loss with a predictor that is a function of the embedding correlation.

    The correlation is the method's state. Each view moves it before its own predictor is made, one view after the other, as the
    authors' code does (github.com/fmi-basel/implicit-var-reg).
    """

    def apply(online: Online, target: Views, state: Array, key: Array, step: Array, axis_name: AxisName) -> tuple[Scalar, Any, Array]:
        corr, parts = state, []
        for z, other in ((online.z[0], target[1]), (online.z[1], target[0])):
            corr = predictors.correlation_update(corr, z, decay=decay, axis_name=axis_name).astype(corr.dtype)
            parts.append(loss(z, other, predictor(corr), axis_name=axis_name))
        (value_ab, terms_ab), (value_ba, terms_ba) = parts
        return value_ab + value_ba, add(terms_ab, terms_ba), corr

    return apply


def add(terms_a: Any, terms_b: Any) -> Any:
    """Sum of two NamedTuples of terms, field by field."""
    return type(terms_a)(*(a + b for a, b in zip(terms_a, terms_b, strict=True)))


def cross_entropy(online: Online, target: Views, state: Any, key: Array, step: Array, axis_name: AxisName) -> tuple[Scalar, Any, Any]:
    """Softmax cross entropy of the projections with one-hot targets, mean over views and batch."""
    logits = at_least_float32(online.z)
    hits = jnp.mean(jnp.argmax(logits, -1) == jnp.argmax(target, -1), dtype=logits.dtype)
    value = jnp.mean(optax.softmax_cross_entropy(logits, target))
    value, hits = pmean_if((value, hits), axis_name)
    return value, SupervisedTerms(value, hits), state


def through_predictor(loss: Callable[..., tuple[Scalar, Any]]) -> Callable[..., tuple[Scalar, Any]]:
    """`loss(p, z)` as a function of (z, z_target, W_P) with p = z @ W_P."""
    return lambda z, z_target, w_p, *, axis_name: loss(z @ w_p.astype(z.dtype), z_target, axis_name=axis_name)


REGRESSION = {"cosine": losses.cosine, "euclidean": losses.euclidean}
ISO_LOSS = {"cosine": losses.iso_cosine, "euclidean": losses.iso_euclidean}


def vicreg(*, sim_coeff: float = 25.0, std_coeff: float = 25.0, cov_coeff: float = 1.0) -> Method:
    """VICReg (Bardes, Ponce, LeCun, 2022, arXiv:2105.04906)."""
    loss = partial(losses.vicreg, sim_coeff=sim_coeff, std_coeff=std_coeff, cov_coeff=cov_coeff)
    return Method(two_views(loss), HeadSize(8192, 8192, layers=3, bias=False))


def barlow_twins(*, lambd: float = 0.0051) -> Method:
    """Barlow Twins (Zbontar et al., 2021, arXiv:2103.03230)."""
    return Method(two_views(partial(losses.barlow_twins, lambd=lambd)), HeadSize(8192, 8192, layers=3, bias=False))


def simclr(*, temperature: float = 0.5) -> Method:
    """SimCLR (Chen et al., 2020, arXiv:2002.05709)."""
    return Method(two_views(partial(losses.nt_xent, temperature=temperature)), HeadSize(2048, 128))


def byol(*, target: str = "ema", ema: float = 0.99, distance: str = "cosine") -> Method:
    """BYOL (Grill et al., 2020, arXiv:2006.07733), heads and momentum as Halvagal et al. use them on CIFAR."""
    return Method(
        cross_views(pick("distance", distance, REGRESSION)), HeadSize(4096, 256), predictor=HeadSize(4096, 256), target=target, ema=ema
    )


def simsiam() -> Method:
    """SimSiam (Chen and He, 2021, arXiv:2011.10566); its loss is twice the published one, which averages the two orders."""
    return Method(cross_views(losses.cosine), HeadSize(2048, 2048, layers=3, final_norm=True), predictor=HeadSize(512, 2048))


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
    return with_closed_form(loss, partial(predictors.directpred, alpha=alpha, eps=eps), target, ema, decay)


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
    return with_closed_form(loss, partial(predictors.directpred, alpha=alpha, eps=eps), target, ema, decay)


def supervised() -> Method:
    """The yardstick: cross entropy on the labels through a linear classifier, on the same views."""
    return Method(cross_entropy, HeadSize(1, 10, layers=1), target="labels")


def with_closed_form(
    loss: Callable[..., tuple[Scalar, Any]], predictor: Callable[[Array], Array], target: str, ema: float, decay: float | None
) -> Method:
    """A method with a closed-form predictor, whose state is the correlation [d, d], zero at the start."""
    decay = decay if decay is not None else {"ema": 0.998, "self": 0.5}[target]
    return Method(
        closed_form(loss, predictor, decay),
        HeadSize(4096, 256),
        target=target,
        ema=ema,
        init_state=lambda width: jnp.zeros((width, width), jnp.float32),
    )


def pick(name: str, value: str, table: dict[str, Any]) -> Any:
    """The entry of `table` called `value`, or a ValueError that lists them."""
    if value not in table:
        raise ValueError(f"{name} must be one of {', '.join(table)}, got {value!r}")
    return table[value]


METHODS: dict[str, Callable[..., Method]] = {
    "vicreg": vicreg,
    "barlow_twins": barlow_twins,
    "simclr": simclr,
    "byol": byol,
    "simsiam": simsiam,
    "directpred": directpred,
    "directcopy": directcopy,
    "isoloss": isoloss,
    "supervised": supervised,
}


def build(name: str, *, target: str | None = None, **hyper: Any) -> Method:
    """The method called `name` with these hyper-parameters.

    Args:
        name: a key of `METHODS`.
        target: "ema" or "none" for methods that come with and without a moving-average target; None leaves the default.
        hyper: the row's keyword arguments.

    Raises:
        ValueError: unknown name or hyper-parameter, or a target that the method does not have.
    """
    row = pick("method", name, METHODS)
    known = inspect.signature(row).parameters
    if target is not None:
        if "target" not in known:
            raise ValueError(f"target {target!r} was asked for, but {name} has no target network; leave the option out")
        hyper["target"] = pick("target", target, {"ema": "ema", "none": "self"})
    unknown = sorted(set(hyper) - set(known))
    if unknown:
        raise ValueError(f"{name} has no hyper-parameter {unknown[0]!r}; it has {', '.join(known) or 'none'}")
    return row(**hyper)
