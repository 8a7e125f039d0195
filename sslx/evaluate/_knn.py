"""Weighted nearest neighbours on frozen features, the vote of Wu et al. (2018, arXiv:1805.01978); their temperature is 0.07."""

import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jaxtyping import Float, Int, Real

from sslx.checks import check_integer, check_positive
from sslx.evaluate._arrays import as_floats, probe_arrays
from sslx.linalg import product
from sslx.threads import thread_pools
from sslx.typing import AnyArray, Number

CHUNK = 256  # test images at a time
SIMILARITIES = 12_800_000  # at most of a chunk, 50 MB: those of 256 images and 50,000 training images


def knn_accuracy(
    train: Real[np.ndarray, "N d"],
    train_labels: Int[np.ndarray, " N"],
    test: Real[np.ndarray, "T d"],
    test_labels: Int[np.ndarray, " T"],
    *,
    k: int | None = None,
    temperature: float = 0.1,
) -> float:
    """Accuracy of a vote of the k nearest training features by cosine, each with weight exp(cos / temperature).

    Args:
        train: training features, [N, d], used in at least float32.
        train_labels: their classes, [N]; rows of either set with a label below 0 are left out.
        test: test features, [T, d].
        test_labels: their classes, [T].
        k: neighbours; by default 200 from 10,000 training images up and 20 below.
        temperature: of the weights.

    Returns:
        Fraction of test images whose class has the largest vote, in [0, 1]; nan where a feature is not finite.

    Raises:
        ValueError, TypeError: for shapes or dtypes that do not fit, sets without a label, k < 1 or a temperature that is not positive.
    """
    train, train_labels, test, test_labels = probe_arrays(train, train_labels, test, test_labels)
    if k is not None:
        check_integer("k", k)
    check_positive("temperature", temperature)
    if not (np.isfinite(train).all() and np.isfinite(test).all()):
        return float("nan")
    k = min(default_k(len(train)) if k is None else k, len(train))
    train, test = unit_rows(train), unit_rows(test)
    classes, train_labels = np.unique(train_labels, return_inverse=True)
    on_cpu = jax.default_backend() == "cpu"
    neighbours = (train, train_labels) if on_cpu else tuple(jax.device_put((train, train_labels)))
    vote = partial(_vote_on_host if on_cpu else _vote_on_device, *neighbours, k=k, temperature=temperature, classes=len(classes))
    chunk = min(CHUNK, max(1, SIMILARITIES // len(train)))

    def hits(start: int) -> int:
        rows = slice(start, start + chunk)
        return int(np.sum(classes[np.asarray(vote(test[rows]))] == test_labels[rows]))

    cores = os.cpu_count() or 1
    workers = min(8, cores)  # of whom each holds the similarities of a chunk
    with ThreadPoolExecutor(workers) as pool, thread_pools().limit(limits=cores // workers):
        return sum(pool.map(hits, range(0, len(test), chunk))) / len(test)


def _vote_on_host(train: AnyArray, labels: AnyArray, test: AnyArray, *, k: int, temperature: float, classes: int) -> np.ndarray:
    """The predicted classes; a partition runs on one core, outside the interpreter's lock, and is faster than XLA's top_k on a CPU."""
    similarity = test @ train.T
    nearest = np.argpartition(similarity, -k, axis=1)[:, -k:]
    near = np.take_along_axis(similarity, nearest, axis=1)
    weights = np.exp((near - near.max(axis=1, keepdims=True)) / temperature)
    return np.einsum("tk,tkc->tc", weights, labels[nearest][..., None] == np.arange(classes)).argmax(axis=1)


@partial(jax.jit, static_argnames=("k", "classes"))
def _vote_on_device(train: AnyArray, labels: AnyArray, test: AnyArray, *, k: int, temperature: Number, classes: int) -> Array:
    """The same in one program."""
    similarity, nearest = lax.top_k(product(test, train.T), k)
    weights = jnp.exp((similarity - similarity[:, :1]) / temperature)
    votes = jax.nn.one_hot(labels[nearest], classes, dtype=weights.dtype)
    return jnp.argmax(jnp.einsum("tk,tkc->tc", weights, votes, precision=lax.Precision.HIGHEST), axis=1)


def default_k(count: int) -> int:
    """200 neighbours from 10,000 training images up, else 20."""
    return 200 if count >= 10_000 else 20


def unit_rows(x: Real[np.ndarray, "N d"]) -> Float[np.ndarray, "N d"]:
    """Rows of length 1, in at least float32; rows of zeros stay; each over a power of two first, lest squares overflow."""
    x = as_floats("x", x)
    exponent = np.frexp(np.maximum(x.max(axis=1, keepdims=True), -x.min(axis=1, keepdims=True)))[1]
    y = x * np.ldexp(x.dtype.type(1), -np.maximum(exponent, -100))
    length = np.sqrt(np.einsum("nd,nd->n", y, y))[:, None]
    y /= np.where(length > 0, length, 1)
    return y
