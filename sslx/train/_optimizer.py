"""Optimisers with warm-up and cosine decay. Biases and norm parameters (fewer than two axes) are never decayed."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from sslx.checks import check_choice
from sslx.moments import at_least_float32

OPTIMIZERS = ("sgd", "lars", "larc", "adamw")


def warmup_cosine(learning_rate: float, *, steps: int, warmup_steps: int) -> optax.Schedule:
    """Linear from 0 to `learning_rate` over `warmup_steps`, then a half cosine to 0 at `steps`."""
    return optax.warmup_cosine_decay_schedule(0.0 if warmup_steps else learning_rate, learning_rate, warmup_steps, steps)


def decayed(params: Any) -> Any:
    """True for weights, False for biases and norm parameters, leaf by leaf."""
    return jax.tree.map(lambda p: p.ndim > 1, params)


def optimizer(
    name: str, schedule: optax.Schedule | float, *, weight_decay: float = 0.0, trust_coefficient: float = 0.02
) -> optax.GradientTransformation:
    """The optimiser of that name.

    "sgd": momentum 0.9, decay added to the gradient. "lars": momentum 0.9, biases and norm parameters
    with neither decay nor trust ratio (You et al., 2017, arXiv:1708.03888, with the exclusions of BYOL and Barlow Twins).
    "larc": the same, but the trust ratio limits the step of SGD in place of scaling it, min(trust_coefficient |w|/|g|, learning rate) g
    (`clip_lr` in solo-learn and the code of Halvagal et al., LARC in NVIDIA's apex). "adamw": decoupled decay.

    Raises:
        ValueError: unknown name.
    """
    decay = optax.add_decayed_weights(weight_decay, decayed)
    table: dict[str, Callable[[], optax.GradientTransformation]] = {
        "sgd": lambda: optax.chain(decay, optax.sgd(schedule, momentum=0.9)),
        "lars": lambda: optax.lars(
            schedule,
            weight_decay=weight_decay,
            weight_decay_mask=decayed,
            trust_coefficient=trust_coefficient,
            trust_ratio_mask=decayed,
            momentum=0.9,
        ),
        "larc": lambda: optax.chain(
            decay, optax.scale_by_learning_rate(schedule), optax.masked(limit_by_trust(trust_coefficient), decayed), optax.trace(0.9)
        ),
        "adamw": lambda: optax.adamw(schedule, weight_decay=weight_decay, mask=decayed),
    }
    check_choice("optimizer", name, OPTIMIZERS)
    return table[name]()


def limit_by_trust(coefficient: float) -> optax.GradientTransformation:
    """Shorten the step of a weight w to |step| <= coefficient |w|; what starts at 0 may go anywhere."""

    def norm(x: jax.Array) -> jax.Array:
        return jnp.linalg.norm(at_least_float32(x))

    def limit(step: jax.Array, w: jax.Array) -> jax.Array:
        longest, length = coefficient * norm(w), norm(step)
        return (step * jnp.where((longest > 0) & (length > longest), longest / length, 1.0)).astype(step.dtype)

    return optax.stateless(lambda steps, params: jax.tree.map(limit, steps, params))
