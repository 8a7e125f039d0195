"""Accuracy with a few labels per class: the number that tells representations apart when all labels are near the ceiling."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Int, Real

from sslx.checks import check_integer
from sslx.evaluate._arrays import probe_arrays
from sslx.evaluate._linear_probe import linear_accuracy

DRAWS = 10


class FewLabel(NamedTuple):
    """Mean and standard deviation of the probe's accuracy over the draws."""

    mean: float
    std: float


def few_label_accuracy(
    train: Real[np.ndarray, "N d"],
    train_labels: Int[np.ndarray, " N"],
    test: Real[np.ndarray, "T d"],
    test_labels: Int[np.ndarray, " T"],
    *,
    per_class: int,
) -> FewLabel:
    """The linear probe on class-balanced draws (seeds 0..9) of `per_class` labelled training images each.

    Raises:
        ValueError, TypeError: as `linear_accuracy`, or unless per_class is an integer of at least 1.
    """
    check_integer("per_class", per_class)
    train, train_labels, test, test_labels = probe_arrays(train, train_labels, test, test_labels, min_rows=2)
    scores = []
    for seed in range(DRAWS):
        rows = balanced_draw(train_labels, per_class, seed)
        scores.append(linear_accuracy(train[rows], train_labels[rows], test, test_labels, seed=seed))
    return FewLabel(float(np.mean(scores)), float(np.std(scores, ddof=1)))


def balanced_draw(labels: Int[np.ndarray, " N"], per_class: int, seed: int) -> Int[np.ndarray, " n"]:
    """Row numbers of `per_class` random images of each class (all of a class that has fewer)."""
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.permutation(np.flatnonzero(labels == c))[:per_class] for c in np.unique(labels)])
