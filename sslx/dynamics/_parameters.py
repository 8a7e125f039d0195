"""Hyper-parameters: numbers, or what jax makes of them while it differentiates, maps or compiles a function of them."""

from typing import Any

import numpy as np
from jax.core import Tracer

from sslx.typing import Number

Noise = tuple[Number, Number]


def transformed(x: object) -> bool:
    """Whether the value is known to jax alone."""
    return isinstance(x, Tracer)


def number(name: str, x: Number) -> Any:
    """A hyper-parameter as a float, or as it is where jax transforms it.

    Raises:
        ValueError: unless it is one number.
    """
    if isinstance(x, str):
        raise ValueError(f"{name} must be one number, got the text {x!r}; leave the quotation marks out")
    if np.shape(x) != ():
        raise ValueError(f"{name} must be one number, got an array of shape {np.shape(x)}; jax.vmap makes the flows of many")
    return x if transformed(x) else float(x)


def deviations(noise: Noise) -> list[Any]:
    """The standard deviations of the noise of two views, (online, target).

    Raises:
        ValueError: unless they are two numbers >= 0.
    """
    found = [number("noise", deviation) for deviation in noise] if np.iterable(noise) else []
    if len(found) != 2 or any(known_negative(deviation) for deviation in found):
        raise ValueError(f"noise must be two standard deviations >= 0, (online, target), got {noise}")
    return found


def vanishes(x: Number) -> bool:
    """Whether it is known to be 0."""
    return not transformed(x) and bool(x == 0)


def known_nonpositive(x: Number) -> bool:
    """Whether it is known not to be above 0."""
    return not transformed(x) and not bool(x > 0)


def known_negative(x: Number) -> bool:
    """Whether it is known to be below 0, or no number."""
    return not transformed(x) and not bool(x >= 0)
