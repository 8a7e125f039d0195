"""What a row of the table is, and how a loss of embeddings becomes the loss of a method.

V views, N batch, d embedding width.
"""

import operator
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from jax import Array

from sslx.checks import check_choice
from sslx.typing import AxisName, Embedding, Matrix, Scalar, Views

Loss = Callable[..., tuple[Scalar, Any]]


class HeadSize(NamedTuple):
    """A multilayer head: widths of its hidden layers and output, number of linear layers, and how it ends."""

    hidden: int
    out: int
    layers: int = 2
    bias: bool = True
    final_norm: bool = False


CENTRED = HeadSize(2048, 2048, layers=3, final_norm=True)
"""SimSiam's projector, which maximum entropy coding and Matrix-SSL take too."""


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
    `matrix` gives a predictor in closed form, W_P [d, d], from the method's state.
    """

    loss: MethodLoss
    projector: HeadSize
    predictor: HeadSize | None = None
    target: str = "self"
    ema: float = 0.99
    init_state: Callable[[int], Any] = lambda width: {}
    matrix: Callable[[Any], Matrix] | None = None


def pair(views: Views) -> tuple[Embedding, Embedding]:
    """The two views of a loss that compares two.

    Raises:
        ValueError: there are fewer or more.
    """
    if len(views) != 2:
        raise ValueError(f"the loss compares two views, got {len(views)}; take a recipe of two, or a method for any number of views")
    return views[0], views[1]


def given(result: Any) -> tuple[Scalar, Any]:
    """What a loss returned.

    Raises:
        TypeError: it is not a value and terms.
    """
    if not isinstance(result, tuple) or len(result) != 2:
        raise TypeError(f"a loss must return its value and a NamedTuple of its terms, got {type(result).__name__}")
    return result


def two_views(loss: Loss) -> MethodLoss:
    """A symmetric loss of the projections of two views."""

    def apply(online: Online, target: Views, state: Any, key: Array, step: Array, axis_name: AxisName) -> tuple[Scalar, Any, Any]:
        z_a, z_b = pair(online.z)
        return *given(loss(z_a, z_b, axis_name=axis_name)), state

    return apply


def all_views(loss: Loss) -> MethodLoss:
    """A loss of the projections of any number of views, [V, N, d]."""

    def apply(online: Online, target: Views, state: Any, key: Array, step: Array, axis_name: AxisName) -> tuple[Scalar, Any, Any]:
        return *given(loss(online.z, axis_name=axis_name)), state

    return apply


def random_views(loss: Loss) -> MethodLoss:
    """A loss of the projections of any number of views that draws something: `loss(key, z)`."""

    def apply(online: Online, target: Views, state: Any, key: Array, step: Array, axis_name: AxisName) -> tuple[Scalar, Any, Any]:
        return *given(loss(key, online.z, axis_name=axis_name)), state

    return apply


def cross_views(loss: Loss) -> MethodLoss:
    """The sum of a regression loss over both orders of the views: prediction of one on the target of the other."""

    def apply(online: Online, target: Views, state: Any, key: Array, step: Array, axis_name: AxisName) -> tuple[Scalar, Any, Any]:
        (p_a, p_b), (z_a, z_b) = pair(online.p), pair(target)
        return *both(given(loss(p_a, z_b, axis_name=axis_name)), given(loss(p_b, z_a, axis_name=axis_name))), state

    return apply


def both(ab: tuple[Scalar, Any], ba: tuple[Scalar, Any]) -> tuple[Scalar, Any]:
    """The sum of a loss over both orders of the views: of the values, and of the terms field by field."""
    return jax.tree.map(operator.add, ab, ba)


def pick(name: str, value: str, table: dict[str, Any]) -> Any:
    """The entry of `table` called `value`, or a ValueError that lists them."""
    check_choice(name, value, table)
    return table[value]
