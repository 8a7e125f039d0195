"""The one evaluation protocol: kNN, linear probe and few labels on standardised frozen features."""

from typing import Any

import numpy as np
from jaxtyping import Float

from sslx.data import Dataset
from sslx.evaluate._few_label import few_label_accuracy
from sslx.evaluate._knn import knn_accuracy
from sslx.evaluate._linear_probe import fit_scaler, linear_accuracy

PER_CLASS = (2, 5, 10)
PARTS = ("knn", "linear", "few_label")


def evaluate(
    train: Float[np.ndarray, "N d"], test: Float[np.ndarray, "T d"], dataset: Dataset, *, parts: tuple[str, ...] = PARTS
) -> dict[str, Any]:
    """Accuracies of features of the labelled training and test images, standardised by the statistics of those training features.

    Returns:
        `knn_accuracy`, `linear_accuracy`, `few_label_accuracy` and `few_label_std` (by labels per class, over 10 draws), as far
        as `parts` asks for them; fractions in [0, 1], nan where a feature is not finite.
    """
    labelled, asked = dataset.train_labels >= 0, dataset.test_labels >= 0
    scale = fit_scaler(train[labelled])
    arrays = scale(train[labelled]), dataset.train_labels[labelled], scale(test[asked]), dataset.test_labels[asked]
    result: dict[str, Any] = {}
    if "knn" in parts:
        result["knn_accuracy"] = knn_accuracy(*arrays)
    if "linear" in parts:
        result["linear_accuracy"] = linear_accuracy(*arrays)
    if "few_label" in parts:
        few = {str(n): few_label_accuracy(*arrays, per_class=n) for n in PER_CLASS}
        result["few_label_accuracy"] = {n: score.mean for n, score in few.items()}
        result["few_label_std"] = {n: score.std for n, score in few.items()}
    return result
