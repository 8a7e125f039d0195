"""What is watched while a run trains: nearest neighbours on validation data and the spectrum of the embedding."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, Int

from sslx import geometry
from sslx.evaluate._knn import knn_accuracy
from sslx.evaluate._linear_probe import fit_scaler

NEIGHBOURS = 8_000


class ValidationSplit(NamedTuple):
    """Rows of the training split: a stratified fifth for validation, the rest for the neighbours."""

    kept: Int[np.ndarray, " n"]
    held: Int[np.ndarray, " m"]


def validation_split(labels: Int[np.ndarray, " N"]) -> ValidationSplit:
    """A fifth of every class (at least one image of it, at most 2,000 in all), the same for every run on these labels."""
    rng = np.random.default_rng(0)
    share = min(0.2, 2000 / len(labels))
    held = [rng.permutation(np.flatnonzero(labels == c)) for c in np.unique(labels[labels >= 0])]
    rows = np.sort(np.concatenate([part[: max(1, round(share * len(part)))] for part in held]))
    kept = np.setdiff1d(np.flatnonzero(labels >= 0), rows)
    return ValidationSplit(kept, rows)


def monitored(split: ValidationSplit) -> Int[np.ndarray, " r"]:
    """Rows to encode for `monitor`: the validation images, then at most NEIGHBOURS random ones of the others."""
    return np.concatenate([split.held, np.random.default_rng(1).permutation(split.kept)[:NEIGHBOURS]])


def monitor(
    features: Float[np.ndarray, "r d"], embeddings: Float[np.ndarray, "r e"], labels: Int[np.ndarray, " r"], held: int
) -> dict[str, Any]:
    """`validation_accuracy` of kNN on standardised features, `embedding_scores`, and `spectrum`, the eigenvalues of the embedding
    covariance, falling.

    Args:
        features: of the images `monitored`.
        embeddings: of the same images.
        labels: of the same images.
        held: how many of them, the first ones, are for validation.
    """
    scaled = fit_scaler(features[held:])(features)
    accuracy = knn_accuracy(scaled[held:], labels[held:], scaled[:held], labels[:held])
    spectrum = np.linalg.eigvalsh(np.cov(embeddings.astype(np.float64), rowvar=False))[::-1]
    return {"validation_accuracy": accuracy, **embedding_scores(embeddings), "spectrum": np.maximum(spectrum, 0).tolist()}


def embedding_scores(z: Float[np.ndarray, "N e"]) -> dict[str, float]:
    """`rankme` and `efficiency` (of the correlation matrix, 0 where a feature is constant) of embeddings."""
    constant = np.any(z.std(axis=0) == 0)
    correlation = np.zeros((z.shape[1],) * 2) if constant else np.corrcoef(z, rowvar=False)
    rankme, efficiency = _scores(jnp.asarray(z), jnp.asarray(correlation))
    return {"rankme": float(rankme), "efficiency": float(efficiency)}


@jax.jit
def _scores(z: Array, correlation: Array) -> tuple[Array, Array]:
    return geometry.rankme(z), geometry.efficiency(correlation)
