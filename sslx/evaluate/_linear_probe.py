"""The linear probe: L2-regularised logistic regression on frozen, standardised features."""

import warnings
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Real

from sslx.evaluate._arrays import constant, probe_arrays
from sslx.evaluate._logistic import logistic
from sslx.threads import thread_pools

STRENGTHS = (1.0, 0.1, 10.0, 0.01)  # in the order in which a tie is decided
WEAKER = (0.001, 0.0003)  # what raw pixels of 50,000 images want
FEW = 1_000  # up to as many rows scikit-learn fits: within milliseconds, and few-label accuracies stay what they were
ROWS = 4_096  # of a block
Score = Callable[[np.ndarray, np.ndarray], float]


class Scaler(NamedTuple):
    """Mean and standard deviation of the training features (1 where a feature is constant up to rounding)."""

    mean: Float[np.ndarray, " d"]
    std: Float[np.ndarray, " d"]

    def __call__(self, x: Float[np.ndarray, "N d"]) -> Float[np.ndarray, "N d"]:
        """(x - mean) / std, with room for the result alone."""
        y = x - self.mean
        y /= self.std
        return y


def fit_scaler(train: Float[np.ndarray, "N d"]) -> Scaler:
    """The statistics of the training features, in float64, block by block: there may be as many gigabytes of them as the host holds."""
    blocks = [train[start : start + ROWS] for start in range(0, len(train), ROWS)]
    mean = np.sum([block.sum(axis=0, dtype=np.float64) for block in blocks], axis=0) / len(train)
    std = np.sqrt(np.sum([np.square(block - mean).sum(axis=0) for block in blocks], axis=0) / len(train))
    std = np.where(constant(mean, std) | (std <= 1e-6 * max(std.max(), 1e-30)), 1.0, std)
    dtype = np.promote_types(train.dtype, np.float32)
    return Scaler(mean.astype(dtype), std.astype(dtype))


def linear_accuracy(
    train: Real[np.ndarray, "N d"],
    train_labels: Int[np.ndarray, " N"],
    test: Real[np.ndarray, "T d"],
    test_labels: Int[np.ndarray, " T"],
    *,
    seed: int = 0,
) -> float:
    """Test accuracy of the probe whose strength was best on a validation fifth of the labelled training data.

    After the choice the probe is fitted again on all of it. The inverse strength is one of `STRENGTHS`, with more than 1,000 images of
    `WEAKER` too; from 10,000 images up it is chosen on 10,000 of them. Where a feature is not finite the accuracy is nan. Rows with a
    label below 0 are left out.

    Raises:
        ValueError, TypeError: for shapes or dtypes that do not fit, fewer than 2 labelled training rows or no labelled test row.
    """
    train, train_labels, test, test_labels = probe_arrays(train, train_labels, test, test_labels, min_rows=2)
    if not (np.isfinite(train).all() and np.isfinite(test).all()):
        return float("nan")
    with thread_pools().limit(limits=1 if train.size < 1_000_000 else None):  # with small matrices threads would wait for each other
        train, test = in_span(train, test)
        order = np.random.default_rng(seed).permutation(len(train))[:10_000]
        held, kept = np.split(order, [max(1, len(order) // 5)])
        strengths = STRENGTHS + WEAKER if len(train) > FEW else STRENGTHS
        scores = [score(train[held], train_labels[held]) for score in fit(train[kept], train_labels[kept], strengths)]
        [score] = fit(train, train_labels, [strengths[np.argmax(scores)]])
        return score(test, test_labels)


def in_span(train: Float[np.ndarray, "N d"], test: Float[np.ndarray, "T d"]) -> tuple[Float[np.ndarray, "N n"], Float[np.ndarray, "T n"]]:
    """Coordinates in an orthonormal basis of the training rows where there are fewer of them than features, else both as they are.

    The weights of a probe with an L2 penalty lie in that span, so that it is the same probe with N columns.
    """
    if len(train) >= train.shape[1]:
        return train, test
    basis, coordinates = np.linalg.qr(train.T)
    return coordinates.T, test @ basis


def fit(x: Float[np.ndarray, "N d"], labels: Int[np.ndarray, " N"], strengths: Sequence[float]) -> list[Score]:
    """For each strength a logistic regression as a function `(features, labels) -> accuracy`; a set with one class predicts that class.

    Both solvers minimise the same function; scikit-learn's stops at a gradient of 1e-3 or after 300 steps.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    if len(np.unique(labels)) == 1:
        return [lambda _, y: float(np.mean(y == labels[0]))] * len(strengths)
    if len(x) > FEW:
        return [found.score for found in logistic(x, labels, strengths)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return [LogisticRegression(C=c, max_iter=300, tol=1e-3).fit(x, labels).score for c in strengths]
