"""Weighted nearest neighbours on frozen features, as Wu et al. (2018, arXiv:1805.01978) use them to watch training."""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from jaxtyping import Float, Int

CHUNK = 256  # test images at a time: against 50,000 training images 50 MB of similarities


def knn_accuracy(
    train: Float[np.ndarray, "N d"],
    train_labels: Int[np.ndarray, " N"],
    test: Float[np.ndarray, "T d"],
    test_labels: Int[np.ndarray, " T"],
    *,
    k: int | None = None,
    temperature: float = 0.1,
) -> float:
    """Accuracy of a vote of the k nearest training features by cosine, each with weight exp(cos / temperature).

    Args:
        train: training features, [N, d].
        train_labels: their classes 0..K-1, [N].
        test: test features, [T, d].
        test_labels: their classes, [T].
        k: neighbours; by default 200 from 10,000 training images up and 20 below.
        temperature: of the weights.

    Returns:
        Fraction of test images whose class has the largest vote, in [0, 1].
    """
    k = min(k or default_k(len(train)), len(train))
    train, test = unit_rows(train), unit_rows(test)
    classes = np.arange(train_labels.max() + 1)

    def hits(start: int) -> int:
        rows = slice(start, start + CHUNK)
        similarity = test[rows] @ train.T
        nearest = np.argpartition(similarity, -k, axis=1)[:, -k:]
        weights = np.exp((np.take_along_axis(similarity, nearest, axis=1) - 1) / temperature)
        votes = np.einsum("tk,tkc->tc", weights, train_labels[nearest][..., None] == classes)
        return int(np.sum(votes.argmax(axis=1) == test_labels[rows]))

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:  # a partition runs on one core, outside the interpreter's lock
        return sum(pool.map(hits, range(0, len(test), CHUNK))) / len(test)


def default_k(count: int) -> int:
    """200 neighbours from 10,000 training images up, else 20."""
    return 200 if count >= 10_000 else 20


def unit_rows(x: Float[np.ndarray, "N d"]) -> Float[np.ndarray, "N d"]:
    """Rows of length 1; rows of zeros stay."""
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
