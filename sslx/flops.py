"""Floating-point operations of a function, counted where it is traced, so that they do not depend on device and compiler."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import jax


def count_flops(function: Callable[..., Any], *args: Any) -> float:
    """Operations of all matrix products and convolutions of `function(*args)`, two for a multiplication with its addition.

    Elementwise work is left out, as is usual for a model's operations. A `lax.scan` counts its body as often as it runs, a `cond` its
    dearest branch, a loop of unknown length its body once.

    Args:
        function: a function that jax can trace.
        args: its arguments, of which shapes and types are enough.
    """
    return count(jax.make_jaxpr(function)(*args).jaxpr)


def count(jaxpr: Any) -> float:
    """The operations of a traced program."""
    return sum((operations(equation) for equation in jaxpr.eqns), 0.0)


def operations(equation: Any) -> float:
    """The operations of one line of a traced program."""
    name, params = equation.primitive.name, equation.params
    if name == "dot_general":
        (contracted, _), _ = params["dimension_numbers"]
        shape = equation.invars[0].aval.shape
        return 2.0 * equation.outvars[0].aval.size * math.prod(shape[axis] for axis in contracted)
    if name == "conv_general_dilated":
        kernel, spread = equation.invars[1].aval, params["lhs_dilation"]  # what is spread out has zeros between
        features = kernel.shape[params["dimension_numbers"].rhs_spec[0]]
        return 2.0 * equation.outvars[0].aval.size * (kernel.size // features) / math.prod(spread)
    inner = [count(part) for part in inner_programs(params)]
    if name == "cond":
        return max(inner)
    return sum(inner, 0.0) * (params["length"] if name == "scan" else 1)


def inner_programs(params: dict[str, Any]) -> Iterator[Any]:
    """The programs among the parameters of a line: bodies of loops, branches, called functions."""
    for value in params.values():
        for item in value if isinstance(value, list | tuple) else (value,):
            item = getattr(item, "jaxpr", item)
            if hasattr(item, "eqns"):
                yield item
