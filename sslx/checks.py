"""Checks at the public boundary: each failure is one line that says what came, what was wanted and the remedy.

They look at shapes, dtypes and plain numbers only, so they cost nothing after tracing; a hyper-parameter that is an array passes unseen.
"""

import math
from collections.abc import Collection
from numbers import Integral, Real

import jax.numpy as jnp
from jax.dtypes import prng_key

from sslx.hints import near
from sslx.typing import AnyArray


def check_floating(name: str, x: AnyArray) -> None:
    """Raise TypeError unless `x` is an array of a real floating dtype."""
    if not hasattr(x, "dtype") or not hasattr(x, "shape"):
        raise TypeError(f"{name} must be a floating-point array, got {type(x).__name__}; pass jnp.asarray({name}, jnp.float32)")
    if not jnp.issubdtype(x.dtype, jnp.floating):
        is_key = jnp.issubdtype(x.dtype, prng_key)
        remedy = "are the arguments in the wrong order?" if is_key else f"convert it with {name}.astype(jnp.float32)"
        raise TypeError(f"{name} must be floating-point, got dtype {x.dtype}; {remedy}")


def check_matrix(name: str, x: AnyArray, *, min_rows: int = 1) -> None:
    """Raise unless `x` is floating-point with shape [N, d], N >= min_rows and d >= 1."""
    check_floating(name, x)
    if x.ndim != 2:
        raise ValueError(f"{name} must have shape [N, d], got {x.shape}; flatten each embedding to one row")
    if x.shape[0] < min_rows or x.shape[1] < 1:
        raise ValueError(f"{name} must have at least {min_rows} rows and 1 column, got shape {x.shape}; pass a larger batch")


def check_pair(name_a: str, a: AnyArray, name_b: str, b: AnyArray, *, min_rows: int = 1) -> None:
    """Raise unless `a` and `b` are two floating-point matrices of one shape [N, d], N >= min_rows."""
    check_matrix(name_a, a, min_rows=min_rows)
    check_matrix(name_b, b, min_rows=min_rows)
    if a.shape != b.shape:
        raise ValueError(f"{name_a} and {name_b} must have one shape [N, d], got {a.shape} and {b.shape}; row i of both is one image")


def check_count(name: str, count: int, *, minimum: int = 2) -> None:
    """Raise ValueError unless the batch over all devices has at least `minimum` rows."""
    if count < minimum:
        raise ValueError(f"{name} must have at least {minimum} rows over all devices, got {count}; pass a larger batch")


def check_views(name: str, z: AnyArray, *, min_views: int = 1) -> None:
    """Raise unless `z` is floating-point with shape [V, N, d], V >= min_views and N >= 1."""
    check_floating(name, z)
    if z.ndim != 3:
        raise ValueError(f"{name} must have shape [views, N, d], got {z.shape}; stack the views with jnp.stack")
    if z.shape[0] < min_views or z.size == 0:
        raise ValueError(f"{name} must have at least {min_views} views and 1 row, got shape {z.shape}; pass more of them")


def check_square(name: str, x: AnyArray, width: int | None = None) -> None:
    """Raise unless `x` is a floating-point [d, d] matrix, d >= 1 (of the given width where one is named)."""
    check_floating(name, x)
    wanted = "[d, d]" if width is None else f"[{width}, {width}]"
    if x.ndim != 2 or x.shape[0] != x.shape[1] or x.size == 0 or width not in (None, x.shape[0]):
        raise ValueError(f"{name} must have shape {wanted}, got {x.shape}; pass a square matrix as wide as the embeddings")


def check_choice(name: str, value: object, choices: Collection[object]) -> None:
    """Raise ValueError unless `value` is one of `choices`."""
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(str, choices))}, got {value!r}{near(value, choices)}")


def check_integer(name: str, value: int, *, minimum: int = 1) -> None:
    """Raise ValueError unless `value` is an integer of at least `minimum`."""
    if not isinstance(value, Integral) or value < minimum:
        raise ValueError(f"{name} must be an integer of at least {minimum}, got {value!r}")


def check_range(name: str, value: object, high: float = math.inf) -> None:
    """Raise ValueError unless a number lies in [0, high]."""
    if isinstance(value, Real) and not 0 <= float(value) <= high:
        raise ValueError(f"{name} must be {f'between 0 and {high:g}' if high < math.inf else 'at least 0'}, got {value}")


def check_positive(name: str, value: object) -> None:
    """Raise ValueError unless a number is above 0."""
    if isinstance(value, Real) and not float(value) > 0:
        raise ValueError(f"{name} must be above 0, got {value}")
