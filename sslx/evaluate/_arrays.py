"""What is asked of features and labels handed over directly: each failure is one line that says what came, what was wanted and the remedy.

N rows (one per image), d features. A label below 0 is none, as in data sets: such a row is neither a class nor a neighbour nor a question.
"""

from typing import TypeAlias

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int, Real

Labelled: TypeAlias = tuple[Float[np.ndarray, "n d"], Int[np.ndarray, " n"]]  # those of N rows that have a label


def as_floats(name: str, x: Real[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """Real numbers in at least float32.

    Raises:
        TypeError: for anything else.
    """
    x = np.asarray(x)
    if not (jnp.issubdtype(x.dtype, jnp.floating) or jnp.issubdtype(x.dtype, jnp.integer) or x.dtype == bool):
        raise TypeError(f"{name} must be real numbers, got dtype {x.dtype}; convert them to float32")
    wide = np.issubdtype(x.dtype, np.floating)
    return x.astype(np.promote_types(x.dtype, np.float32) if wide else np.float32, copy=False)


def as_labels(name: str, labels: Int[np.ndarray, " N"], count: int) -> Int[np.ndarray, " N"]:
    """Whole numbers, one for each of `count` rows.

    Raises:
        ValueError, TypeError: for another shape or dtype.
    """
    labels = np.asarray(labels)
    if labels.shape != (count,):
        raise ValueError(f"{name} must have shape {(count,)}, got {labels.shape}; one class per row of features")
    whole = labels.astype(np.int64) if labels.dtype.kind in "biu" or (labels.dtype.kind == "f" and np.isfinite(labels).all()) else None
    if whole is None or not np.array_equal(whole, labels):
        raise TypeError(f"{name} must be whole numbers, got dtype {labels.dtype}; number the classes from 0")
    return whole


def labelled(name: str, x: Real[np.ndarray, "N d"], labels: Int[np.ndarray, " N"], *, min_rows: int = 1) -> Labelled:
    """The rows that have a label, in at least float32, and their labels.

    Raises:
        ValueError, TypeError: unless x [N, d] and labels [N] are numbers, and at least `min_rows` rows have a label.
    """
    x = as_floats(name, x)
    if x.ndim != 2 or x.shape[1] < 1:
        raise ValueError(f"{name} must have shape [N, d], got {x.shape}; flatten each image's features to one row")
    labels = as_labels(f"{name}_labels", labels, len(x))
    known = labels >= 0
    if known.sum() < min_rows:
        raise ValueError(f"{name} must have {min_rows} or more rows with a label, got {known.sum()} of {len(x)}; labels below 0 are none")
    return (x, labels) if known.all() else (x[known], labels[known])


def probe_arrays(
    train: Real[np.ndarray, "N d"],
    train_labels: Int[np.ndarray, " N"],
    test: Real[np.ndarray, "T d"],
    test_labels: Int[np.ndarray, " T"],
    *,
    min_rows: int = 1,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The labelled rows of both sets, as the arguments are ordered.

    Raises:
        ValueError, TypeError: as `labelled`, with `min_rows` for training, or unless both sets have one width.
    """
    train, train_labels = labelled("train", train, train_labels, min_rows=min_rows)
    test, test_labels = labelled("test", test, test_labels)
    if test.shape[1] != train.shape[1]:
        raise ValueError(f"test must have {train.shape[1]} columns, as train, got {test.shape[1]}; encode both with one network")
    return train, train_labels, test, test_labels


def constant(mean: Float[np.ndarray, " d"], std: Float[np.ndarray, " d"]) -> Bool[np.ndarray, " d"]:
    """Which features have a standard deviation that is float32's rounding beside their mean."""
    return std <= 16 * np.finfo(np.float32).eps * np.abs(mean)


def random_rows(count: int, most: int) -> Int[np.ndarray, " n"]:
    """At most `most` of `count` row numbers, rising; at random, for classes may follow one another, and always the same."""
    return np.sort(np.random.default_rng(0).permutation(count)[:most])
