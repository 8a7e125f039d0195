"""Which way, if any, features have collapsed: from their spectrum and neighbourhoods to a verdict in plain words. NumPy on the host.

N rows (one per image), d features. The order of the questions matters: features that are one point have no spectrum, and features
that are K points have a low rank too, for another reason and with another remedy.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Real

from sslx import geometry
from sslx.evaluate._arrays import as_floats, as_labels, random_rows
from sslx.evaluate._knn import unit_rows

COMPLETE, DIMENSIONAL, CLUSTER, NOISE, HEALTHY = "complete collapse", "dimensional collapse", "cluster collapse", "noise", "healthy"
FEWEST = 20  # rows

REMEDIES = {
    COMPLETE: "Stop the gradient of the target branch and keep a predictor on the online branch, or add a term that holds the variance up "
    "or raise its weight; with a predictor, lower the weight decay or start from larger weights.",
    DIMENSIONAL: "Add a term that decorrelates (covariance, cross-correlation, log-determinant), equalise the rates of the eigenmodes "
    "(IsoLoss), weaken the augmentation or lower the weight decay.",
    CLUSTER: "Weaken what pulls rows of one cluster together: raise the temperature, use more prototypes, add a uniformity or entropy "
    "term, or stop earlier.",
    NOISE: "Raise the weight of the invariance term, weaken the augmentation or train longer; make sure that row i of both views is one "
    "image. Where the views did agree before training, this is complete collapse: see to the predictor and the stopped gradient, or add a "
    "term that holds the variance up.",
    HEALTHY: "None needed.",
}


class Evidence(NamedTuple):
    """What the verdict rests on; None where the data for it were not given."""

    spread: float  # variance over mean square, in [0, 1]
    effective_dimension: float  # exponential entropy of the covariance spectrum
    rank: int  # eigenvalues above the widest gap, if there is one; else all that n rows can show
    clusters: int
    within_clusters: float  # share of the variance, 1 where there are no clusters
    agreement: float | None  # correlation of the two views of an image
    neighbour_accuracy: float | None  # leave-one-out, 5 neighbours
    modes_below_threshold: int | None
    signal_left: float | None  # covariance of the two views, summed over features, over that before training
    variance_hinge: float | None  # VICReg's variance term, mean_k max(0, 1 - std_k)


class Diagnosis(NamedTuple):
    """The verdict (one of the five names above), a sentence, the remedy theory suggests, the evidence, and the spectrum [d], falling."""

    verdict: str
    sentence: str
    remedy: str
    evidence: Evidence
    spectrum: Float[np.ndarray, " d"]


def diagnose(
    features: Real[np.ndarray, "N d"],
    *,
    features_b: Real[np.ndarray, "N d"] | None = None,
    labels: Int[np.ndarray, " N"] | None = None,
    terms: Mapping[str, float] | None = None,
    predictor_eigenvalues: Float[np.ndarray, " M"] | None = None,
    mode_threshold: float | Float[np.ndarray, " M"] = 0.0,
    signal_before: float | None = None,
) -> Diagnosis:
    """Say whether features are healthy, noise, or collapsed: completely, to a few dimensions or to a few clusters.

    Complete collapse is to a point, or to noise that no longer depends on the image.

    In this order. Complete: variance below 1e-3 of the mean square; or VICReg's variance term, which is 1 where no feature varies,
    above 0.95; or two views of an image correlate by less than 0.1, and what they share is below 1 % of that before training. Cluster:
    dense clusters cover 90 % of the rows and hold less than a tenth of the variance within. Dimensional: a gap of a factor 1,000 in the
    spectrum with a tenth of the dimensions behind it, or an effective dimension (entropy) below 5.5 (d/3 for narrow features), just
    above the 5.1 of variances k^-2 of any width; a network that has not yet learnt more is told so too. Noise: two views correlate by
    less than 0.1, labels are not predicted by neighbours or, where neither was given, a spectrum as flat as that of independent noise.
    Healthy: the rest.

    Args:
        features: [N, d], N >= 20: the representation or the embedding, of any library.
        features_b: the same images in another view, [N, d].
        labels: classes, [N]; below 0 for rows without one, which ask no neighbours. Fewer than 20 classes known count as no labels.
        terms: last values of the loss terms. `variance` is VICReg's hinge with gamma = 1; any that is not finite is remarked on.
        predictor_eigenvalues: eigenvalues [M] of the predictor, for methods that have one.
        mode_threshold: the eigenvalue, one for all modes or one each, below which theory sends a mode to zero; see `eigenmodes`.
        signal_before: covariance of the two views, summed over features, in the untrained network.

    Returns:
        `Diagnosis`. Flat spectra without a second view or labels are called noise: perfectly whitened features look the same.

    Raises:
        ValueError: for shapes that do not fit, fewer than 20 rows, or features that are not finite.

    Reference: Jing et al. (2022), arXiv:2110.09348 (dimensional collapse); Tian et al. (2021), arXiv:2102.06810 (threshold of a mode).
    """
    features, features_b = as_floats("features", features), None if features_b is None else as_floats("features_b", features_b)
    _check(features, features_b)
    known = None if labels is None else _known(features, as_labels("labels", labels, len(features)))
    moments = geometry.update_moments(geometry.init_host_moments(features.shape[1]), features)
    covariance = np.asarray(moments.scatter) / (len(features) - 1)
    spectrum = np.maximum(np.linalg.eigvalsh(covariance)[::-1], 0)
    clusters, within = _clusters(features)
    below = None if predictor_eigenvalues is None else int(np.sum(np.asarray(predictor_eigenvalues) < mode_threshold))
    evidence = Evidence(
        spread=_spread(np.asarray(moments.mean), spectrum),
        effective_dimension=_entropy_dimension(spectrum),
        rank=_rank(spectrum, len(features)),
        clusters=clusters,
        within_clusters=within,
        agreement=None if features_b is None else _agreement(features, features_b),
        neighbour_accuracy=None if known is None else _neighbour_accuracy(*known),
        modes_below_threshold=below,
        signal_left=None if features_b is None or not signal_before else signal(features, features_b) / signal_before,
        variance_hinge=(terms or {}).get("variance"),
    )
    verdict, sentence = _verdict(evidence, spectrum, len(features), None if known is None else known[1])
    remarks = _remarks(evidence, predictor_eigenvalues, terms)
    return Diagnosis(verdict, sentence + remarks, REMEDIES[verdict], evidence, spectrum)


def _verdict(evidence: Evidence, spectrum: np.ndarray, n: int, labels: np.ndarray | None) -> tuple[str, str]:
    """The verdict, and in a sentence what it rests on."""
    d, hinge = len(spectrum), evidence.variance_hinge
    if evidence.spread < 1e-3:
        return COMPLETE, f"All rows are nearly one point: their variance is {evidence.spread:.1e} of their mean square."
    if hinge is not None and hinge > 0.95:
        return COMPLETE, f"The features hardly vary: VICReg's variance term is {hinge:.2f}, and 1 where nothing varies."
    unrelated = evidence.agreement is not None and evidence.agreement < 0.1
    if unrelated and evidence.signal_left is not None and evidence.signal_left < 0.01:
        left = f"{evidence.signal_left:.1e}"
        return COMPLETE, f"Training erased what two views of one image share: {left} of it is left, the rest is noise."
    if evidence.clusters >= 2 and evidence.within_clusters < 0.1:
        share = f"{evidence.within_clusters:.1%}"
        return CLUSTER, f"The rows sit on {evidence.clusters} points: {share} of the variance is within clusters."
    if evidence.effective_dimension < min(5.5, d / 3) or evidence.rank < min(d, n - 1):
        return DIMENSIONAL, f"The features fill about {min(evidence.rank, evidence.effective_dimension):.1f} of {d} dimensions."
    if unrelated:
        return NOISE, f"Two views of one image have nothing in common: they correlate by {evidence.agreement:.2f}."
    accuracy = evidence.neighbour_accuracy
    if accuracy is not None and labels is not None and accuracy < _chance(labels):
        return NOISE, f"Neighbours do not share labels: leave-one-out accuracy is {accuracy:.2f}, that of chance."
    if evidence.agreement is None and accuracy is None and _as_flat_as_noise(spectrum, n):
        return NOISE, "The spectrum is as flat as that of independent noise; a second view or labels would tell it from perfect whitening."
    return HEALTHY, f"The features spread over an effective {evidence.effective_dimension:.1f} of {d} dimensions."


def signal(a: Float[np.ndarray, "N d"], b: Float[np.ndarray, "N d"]) -> float:
    """Covariance of two views, summed over the features."""
    a, b = (x.astype(np.float64) - x.mean(axis=0, dtype=np.float64) for x in (a, b))
    return float(np.sum(a * b) / len(a))


def _spread(mean: np.ndarray, spectrum: np.ndarray) -> float:
    """Variance over mean square, 0 for zeros."""
    variance = float(spectrum.sum())
    total = variance + float(np.sum(np.square(mean)))
    return variance / total if total > 0 else 0.0


def _entropy_dimension(spectrum: np.ndarray) -> float:
    p = spectrum[spectrum > 0] / max(spectrum.sum(), 1e-300)
    return float(np.exp(-np.sum(p * np.log(p)))) if len(p) else 0.0


def _rank(spectrum: np.ndarray, n: int) -> int:
    """Eigenvalues in front of the widest gap (ratio 1,000 or more) with a tenth of them behind it; min(d, n - 1) where there is none."""
    seen = spectrum[: min(len(spectrum), n - 1)]
    l = np.maximum(seen, 1e-12 * max(seen[0], 1e-300))
    ratios = (l[:-1] / l[1:])[: len(l) - math.ceil(0.1 * len(l))]
    return int(np.argmax(ratios)) + 1 if ratios.max(initial=0) >= 1000 else len(l)


def _as_flat_as_noise(spectrum: np.ndarray, n: int) -> bool:
    """Whether the participation ratio is that of n rows of independent noise: above 95 % of 1 / (1/d + 1/n)."""
    d = len(spectrum)
    return bool(spectrum.sum() ** 2 / np.sum(spectrum**2) > 0.95 / (1 / d + 1 / (n - 1)))


def _clusters(features: np.ndarray) -> tuple[int, float]:
    """(number of dense clusters, share of the variance within them) on at most 400 rows; (0, 1) unless they cover 90 % of those."""
    from sklearn.cluster import DBSCAN

    rows = features[random_rows(len(features), 400)].astype(np.float64)
    deviations = rows - rows.mean(axis=0)
    variance = np.mean(np.sum(deviations**2, axis=1))
    if not variance > 0:
        return 0, 1.0
    found = DBSCAN(eps=0.4, min_samples=5).fit_predict(deviations / np.sqrt(2 * variance))
    if np.mean(found >= 0) < 0.9:
        return 0, 1.0
    members = [deviations[found == c] for c in range(found.max() + 1)]
    within = sum(np.sum((m - m.mean(axis=0)) ** 2) for m in members) / (sum(map(len, members)) * variance)
    return len(members), float(within)


def _agreement(a: np.ndarray, b: np.ndarray) -> float:
    """Correlation of the centred views over all features together, in [-1, 1]."""
    a, b = (x.astype(np.float64) - x.mean(axis=0, dtype=np.float64) for x in (a, b))
    scale = np.linalg.norm(a) * np.linalg.norm(b)
    return float(np.sum(a * b) / scale) if scale > 0 else 0.0


def _neighbour_accuracy(features: np.ndarray, labels: np.ndarray) -> float:
    """Leave-one-out vote of 5 neighbours by cosine of centred features, on at most 2,000 rows."""
    chosen = random_rows(len(features), 2000)
    rows, labels = features[chosen].astype(np.float64), labels[chosen]
    unit = unit_rows(rows - rows.mean(axis=0))
    similarity = unit @ unit.T
    np.fill_diagonal(similarity, -np.inf)
    nearest = np.argpartition(similarity, -5, axis=1)[:, -5:]
    votes = (labels[nearest][..., None] == np.unique(labels)).sum(axis=1)
    return float(np.mean(np.unique(labels)[votes.argmax(axis=1)] == labels))


def _chance(labels: np.ndarray) -> float:
    """Accuracy of the largest class and three standard deviations of luck, at most half of the way to 1."""
    share = np.unique(labels, return_counts=True)[1].max() / len(labels)
    return min(share + 3 * np.sqrt(share * (1 - share) / min(len(labels), 2000)), (1 + share) / 2)


def _remarks(evidence: Evidence, predictor_eigenvalues: np.ndarray | None, terms: Mapping[str, float] | None) -> str:
    """What the predictor and the loss terms add, each a sentence."""
    text = ""
    if predictor_eigenvalues is not None and evidence.modes_below_threshold:
        below, modes = evidence.modes_below_threshold, len(predictor_eigenvalues)
        text += f" {below} of {modes} modes of the predictor lie below the threshold under which theory lets weight decay erase them."
    if lost := sorted(name for name, value in (terms or {}).items() if not np.isfinite(value)):
        text += f" Training diverged: {', '.join(lost)} not finite."
    return text


def _known(features: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """The rows that have a label, and their labels; None where those are too few to judge."""
    rows = labels >= 0
    return (features[rows], labels[rows]) if rows.sum() >= FEWEST else None


def _check(features: np.ndarray, features_b: np.ndarray | None) -> None:
    if features.ndim != 2 or len(features) < FEWEST or features.shape[1] < 2:
        few = f"take at least {FEWEST} images, and features of two numbers"
        remedy = few if features.ndim == 2 else "flatten each image's features to one row"
        raise ValueError(f"features must have shape [N >= {FEWEST}, d >= 2], got {features.shape}; {remedy}")
    if features_b is not None and features_b.shape != features.shape:
        raise ValueError(f"features_b must have shape {features.shape}, as features, got {features_b.shape}; row i of both is one image")
    for name, x in (("features", features), ("features_b", features_b)):
        if x is not None and not np.all(np.isfinite(x)):
            raise ValueError(f"{name} must be finite, got NaN or infinity: the network diverged; use an earlier checkpoint")
