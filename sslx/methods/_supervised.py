"""The yardstick that sees the labels."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import optax
from jax import Array

from sslx.collectives import pmean_if
from sslx.methods._method import HeadSize, Method, Online
from sslx.moments import at_least_float32
from sslx.typing import AxisName, Scalar, Views


class SupervisedTerms(NamedTuple):
    """The summand of the supervised yardstick, and the accuracy on the augmented training images."""

    cross_entropy: Scalar
    accuracy: Scalar


def cross_entropy(online: Online, target: Views, state: Any, key: Array, step: Array, axis_name: AxisName) -> tuple[Scalar, Any, Any]:
    """Softmax cross entropy of the projections with one-hot targets, mean over views and labelled images (those with a target)."""
    logits, labelled = at_least_float32(online.z), jnp.sum(target, -1) > 0
    hits = jnp.mean(labelled & (jnp.argmax(logits, -1) == jnp.argmax(target, -1)), dtype=logits.dtype)
    value = jnp.mean(optax.softmax_cross_entropy(logits, target))
    value, hits, share = pmean_if((value, hits, jnp.mean(labelled, dtype=logits.dtype)), axis_name)
    share = jnp.where(share == 0, 1.0, share)
    return value / share, SupervisedTerms(value / share, hits / share), state


def supervised() -> Method:
    """The yardstick: cross entropy on the labels through a linear classifier, on the same views."""
    return Method(cross_entropy, HeadSize(1, 10, layers=1), target="labels")
