"""The one evaluation protocol: kNN, linear probe and few labels on standardised frozen features."""

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Real

from sslx.checks import check_choice
from sslx.data import Dataset
from sslx.evaluate._arrays import probe_arrays
from sslx.evaluate._few_label import few_label_accuracy
from sslx.evaluate._knn import knn_accuracy
from sslx.evaluate._linear_probe import fit_scaler, linear_accuracy

PER_CLASS = (2, 5, 10)
PARTS = ("knn", "linear", "few_label")


def evaluate(
    train: Real[np.ndarray, "N d"],
    test: Real[np.ndarray, "T d"],
    dataset: Dataset,
    *,
    parts: tuple[str, ...] = PARTS,
    progress: Callable[[str], None] = lambda part: None,
) -> dict[str, Any]:
    """Accuracies of features of the labelled training and test images, standardised by the statistics of those training features;
    `progress` is called with each of `parts` as it begins.

    Returns:
        `knn_accuracy`, `linear_accuracy`, `few_label_accuracy` and `few_label_std` (by labels per class, over 10 draws), as far
        as `parts` asks for them; fractions in [0, 1], nan where a feature is not finite.

    Raises:
        ValueError, TypeError: for shapes or dtypes that do not fit, another part, fewer than 2 labelled training images or no labelled test
            image.
    """
    for part in parts:
        check_choice("parts", part, PARTS)
    train, train_labels, test, test_labels = probe_arrays(train, dataset.train_labels, test, dataset.test_labels, min_rows=2)
    scale = fit_scaler(train)
    arrays = scale(train), train_labels, scale(test), test_labels
    result: dict[str, Any] = {}
    if "knn" in parts:
        progress("knn")
        result["knn_accuracy"] = knn_accuracy(*arrays)
    if "linear" in parts:
        progress("linear")
        result["linear_accuracy"] = linear_accuracy(*arrays)
    if "few_label" in parts:
        progress("few_label")
        few = {str(n): few_label_accuracy(*arrays, per_class=n) for n in PER_CLASS}
        result["few_label_accuracy"] = {n: score.mean for n, score in few.items()}
        result["few_label_std"] = {n: score.std for n, score in few.items()}
    return result
