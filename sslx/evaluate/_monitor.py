"""What is watched while a run trains: nearest neighbours on validation data and the spectrum of the embedding."""

from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Int

from sslx import geometry
from sslx.checks import check_matrix
from sslx.evaluate._arrays import constant
from sslx.evaluate._knn import knn_accuracy
from sslx.evaluate._linear_probe import fit_scaler

NEIGHBOURS = 4_000
efficiency = jax.jit(geometry.efficiency)


class ValidationSplit(NamedTuple):
    """Rows of the training split: a stratified fifth for validation (none where no class has two images), the rest for the neighbours."""

    kept: Int[np.ndarray, " n"]
    held: Int[np.ndarray, " m"]


def validation_split(labels: Int[np.ndarray, " N"]) -> ValidationSplit:
    """A fifth of every class, the same for every run on these labels; of more than 10,000 labelled images less, 2,000 of all.

    At least one image of every class is kept and, of those with two or more, at least one is held out.

    Raises:
        ValueError: when no image has a label.
    """
    if not np.any(labels >= 0):
        raise ValueError(f"labels must name the class of some image, got none among {len(labels)}; labels below 0 are none")
    rng = np.random.default_rng(0)
    share = min(0.2, 2000 / np.sum(labels >= 0))
    held = [rng.permutation(np.flatnonzero(labels == c)) for c in np.unique(labels[labels >= 0])]
    rows = np.sort(np.concatenate([part[: min(max(1, round(share * len(part))), len(part) - 1)] for part in held]))
    kept = np.setdiff1d(np.flatnonzero(labels >= 0), rows)
    return ValidationSplit(kept, rows)


def monitored(split: ValidationSplit) -> Int[np.ndarray, " r"]:
    """Rows to encode for `monitor`: the validation images, then at most NEIGHBOURS random ones of the others."""
    return np.concatenate([split.held, np.random.default_rng(1).permutation(split.kept)[:NEIGHBOURS]])


def monitor(
    features: Float[np.ndarray, "r d"], embeddings: Float[np.ndarray, "r e"], labels: Int[np.ndarray, " r"], held: int
) -> dict[str, Any]:
    """`validation_accuracy` of kNN on standardised features (where images are held), `embedding_scores`, and `spectrum`, the eigenvalues
    of the embedding covariance, falling; nan where an embedding is not finite.

    Args:
        features: of the images `monitored`.
        embeddings: of the same images.
        labels: of the same images.
        held: how many of them, the first ones, are for validation.
    """
    accuracy = {}
    if held:
        scaled = fit_scaler(features[held:])(features)
        accuracy["validation_accuracy"] = knn_accuracy(scaled[held:], labels[held:], scaled[:held], labels[:held])
    moments = host_moments(embeddings)
    covariance = np.asarray(moments.scatter) / (len(embeddings) - 1)
    spectrum = np.linalg.eigvalsh(covariance)[::-1] if np.isfinite(covariance).all() else np.full(len(covariance), np.nan)
    return {**accuracy, **moment_scores(moments), "spectrum": np.maximum(spectrum, 0).tolist()}


def embedding_scores(z: Float[np.ndarray, "N e"]) -> dict[str, float]:
    """`rankme` and `efficiency` (of the correlation matrix, where a constant feature has zeros) of embeddings."""
    return moment_scores(host_moments(z))


def host_moments(z: Float[np.ndarray, "N e"]) -> geometry.Moments:
    """Moments in float64."""
    check_matrix("z", z)
    return geometry.update_moments(geometry.init_host_moments(z.shape[1]), z)


def moment_scores(moments: geometry.Moments) -> dict[str, float]:
    """`embedding_scores` from moments."""
    return {"rankme": float(geometry.rankme_from_moments(moments)), "efficiency": correlation_efficiency(moments)}


def correlation_efficiency(moments: geometry.Moments) -> float:
    """Efficiency of the correlation matrix; a feature whose standard deviation is rounding beside its mean has zeros in it."""
    covariance = np.asarray(moments.scatter) / moments.count
    std = np.sqrt(np.diagonal(covariance))
    std = np.where(constant(np.asarray(moments.mean), std), np.inf, std)
    return float(efficiency(covariance / (std[:, None] * std)))
