"""The computable terms of a generalisation bound for self-supervised learning with a linear head.

n labelled samples z [n, d] with labels y [n, r]; m unlabelled pairs [m, d]. Rows are samples, so that P = I - Z (Z^T Z)^+ Z^T.
"""

import contextlib
import warnings
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike
from jaxtyping import Bool, Float, Num, PRNGKeyArray

from sslx.checks import check_integer, check_matrix, check_pair
from sslx.linalg import product, rounding_share, safe_norm
from sslx.moments import at_least_float32
from sslx.typing import Embedding, Scalar


class GeneralizationTerms(NamedTuple):
    """The empirical surrogate and its summands.

    invariance: mean ||a - b|| over the pairs (not squared).
    labelled_residual: ||P_Z Y||_F / sqrt(n), the training RMSE of the least-squares head.
    unlabelled_residual: 2 ||P_A Y_A||_F / sqrt(m) with the labels of the pairs, an oracle; nan without them.
    label_free_residual: 2 ||P_A||_F rms(||y||), which is above the oracle; rms over the labelled set, 1 for one-hot labels.
    surrogate: invariance + labelled_residual + unlabelled_residual (label_free_residual where there are no pair labels).
    vacuous: label_free_residual exceeds rms(||y||), the error of the head W = 0. Since ||P_A||_F^2 = m - rank(A), this is so
    as soon as the pairs outnumber the rank of their embeddings: correlate with the oracle then, not with this term.
    """

    invariance: Scalar
    labelled_residual: Scalar
    unlabelled_residual: Scalar
    label_free_residual: Scalar
    surrogate: Scalar
    vacuous: Bool[Array, ""]


def generalization_surrogate(
    pairs_a: Float[Array, "m d"],
    pairs_b: Float[Array, "m d"],
    z: Float[Array, "n d"],
    labels: Num[Array, " n"] | Float[Array, "n r"],
    *,
    pair_labels: Num[Array, " m"] | Float[Array, "m r"] | None = None,
    num_classes: int | None = None,
) -> GeneralizationTerms:
    """The terms of the bound that data determine; an empirical surrogate, not a bound.

    E ||W_S f(x) - y|| <= 1/m sum_i ||a_i - b_i|| + 2/sqrt(m) ||P_A Y_A||_F + 1/sqrt(n) ||P_Z Y||_F + 2 R_m(F)/sqrt(m) + Q_{m,n}.

    Not computable, and left out: the Rademacher complexity R_m(F), whose supremum runs over all networks (see `rademacher_draws` and
    `rademacher_massart` for a finite set of checkpoints); Q_{m,n} with its constants, which depend on the unknown probabilities of
    the labels given the pairs and on the loss's bounds; and the label residual of the pairs unless their labels are given.

    Args:
        pairs_a, pairs_b: embeddings of the two views of m unlabelled images, [m, d].
        z: embeddings of n labelled images, [n, d].
        labels: classes [n] or targets [n, r].
        pair_labels: labels of the unlabelled images, for the oracle term.
        num_classes: number of classes where labels are classes, by default one more than the largest of both label sets; under `jit`
            it is needed.

    Returns:
        `GeneralizationTerms`. The gradient is that at the fitted head (envelope theorem). Outside `jit` a warning says where the
        label-free term, which stands in for the pairs' missing labels, is vacuous.

    Raises:
        TypeError, ValueError: the shapes do not fit, num_classes is not a positive integer, or (outside `jit`) a class is not in
            [0, num_classes).

    Reference: Shwartz-Ziv, Balestriero, Kawaguchi, Rudner, LeCun, 2023, arXiv 2303.00633, the generalisation bound for VICReg.
    """
    check_pair("pairs_a", pairs_a, "pairs_b", pairs_b)
    check_matrix("z", z)
    _check_labels("labels", labels, z)
    if pair_labels is not None:
        _check_labels("pair_labels", pair_labels, pairs_a)
        if labels.ndim == pair_labels.ndim == 2 and labels.shape[1] != pair_labels.shape[1]:
            raise ValueError(f"labels and pair_labels must be as wide, got {labels.shape} and {pair_labels.shape}; give both all targets")
    if num_classes is not None:
        check_integer("num_classes", num_classes)
    classes = _class_count(labels, pair_labels) if num_classes is None else num_classes
    y = _targets("labels", labels, z, classes)
    m = len(pairs_a)
    invariance = jnp.mean(safe_norm(at_least_float32(pairs_a) - at_least_float32(pairs_b)))
    labelled = projection_residual(z, y) / jnp.sqrt(len(z))
    label_size = jnp.sqrt(jnp.mean(jnp.sum(y**2, axis=1)))
    left_out = m - _rank(at_least_float32(pairs_a))  # ||P_A||_F^2
    label_free = 2 * jnp.sqrt(left_out) * label_size
    oracle = jnp.asarray(jnp.nan, label_free.dtype)
    if pair_labels is not None:
        oracle = 2 * projection_residual(pairs_a, _targets("pair_labels", pair_labels, pairs_a, classes)) / jnp.sqrt(m)
    surrogate = invariance + labelled + (label_free if pair_labels is None else oracle)
    if pair_labels is None:
        _warn_if_vacuous(label_free > label_size, m, left_out)
    return GeneralizationTerms(invariance, labelled, oracle, label_free, surrogate, label_free > label_size)


def projection_residual(z: Embedding, y: Float[Array, "N r"]) -> Scalar:
    """||P_Z Y||_F = min_W ||Z W - Y||_F, by least squares on the data themselves.

    Raises:
        TypeError, ValueError: z and y are not floating-point [N, d] and [N, r].
    """
    check_matrix("z", z)
    check_matrix("y", y)
    if len(z) != len(y):
        raise ValueError(f"z and y must have one row per sample, got {z.shape} and {y.shape}; row i of both is one sample")
    z, y = at_least_float32(z), at_least_float32(y)
    head = lax.stop_gradient(jnp.linalg.lstsq(z, y, rcond=rounding_share(z.dtype))[0])
    return safe_norm(jnp.ravel(y - product(z, head)))


class ProjectionMoments(NamedTuple):
    """Sums over samples that fix ||P_Z Y||_F: Z^T Z, Z^T Y and ||Y||^2. Add those of two chunks with `jax.tree.map(np.add, a, b)`."""

    gram: np.ndarray
    cross: np.ndarray
    label_square: np.ndarray


def projection_moments(z: ArrayLike, y: ArrayLike) -> ProjectionMoments:
    """Moments of one chunk, z [N, d] and y [N, r], on the host in NumPy's float64 whatever precision jax runs in.

    The residual is a small difference of large sums, so float32 moments would lose it.
    """
    z, y = np.asarray(z, np.float64), np.asarray(y, np.float64)
    return ProjectionMoments(z.T @ z, z.T @ y, np.sum(y**2))


def residual_from_moments(moments: ProjectionMoments) -> float:
    """||P_Z Y||_F = sqrt(||Y||^2 - tr(B^T G^+ B)) of a stream, with G = Z^T Z and B = Z^T Y."""
    explained = np.sum(moments.cross * (np.linalg.pinv(moments.gram, hermitian=True) @ moments.cross))
    return float(np.sqrt(np.maximum(0.0, moments.label_square - explained)))


def rademacher_draws(key: PRNGKeyArray, distances: Float[Array, "k m"], *, draws: int = 1000) -> Float[Array, " draws"]:
    """Draws of 1/sqrt(m) max_f sum_i xi_i delta_fi, xi_i = +-1; their mean estimates the Rademacher term over k checkpoints.

    Args:
        key: for the signs.
        distances: delta_fi = ||f(x_i^+) - f(x_i^++)|| of m pairs under each of k checkpoints, [k, m].
        draws: number of sign vectors.

    Raises:
        TypeError, ValueError: distances are not a floating-point [k, m], or draws is not a positive integer.

    Reference: the normalised complexity of Shwartz-Ziv et al., 2023, arXiv 2303.00633, for a finite family instead of all networks.
    """
    check_matrix("distances", distances)
    check_integer("draws", draws)
    distances = at_least_float32(distances)
    signs = jax.random.rademacher(key, (draws, distances.shape[1]), distances.dtype)
    return jnp.max(product(signs, distances.T), axis=1) / distances.shape[1] ** 0.5


def rademacher_massart(distances: Float[Array, "k m"]) -> Scalar:
    """Massart's bound on the mean of `rademacher_draws`: max_f sqrt(mean_i delta_fi^2) sqrt(2 ln k)."""
    check_matrix("distances", distances)
    distances = at_least_float32(distances)
    return jnp.max(jnp.sqrt(jnp.mean(distances**2, axis=1))) * (2 * np.log(len(distances))) ** 0.5


def _check_labels(name: str, labels: Array, z: Array) -> None:
    """Raise unless these are classes [N] or targets [N, r] of the N rows of `z`."""
    if not hasattr(labels, "dtype") or not hasattr(labels, "shape"):
        raise TypeError(f"{name} must be an array of classes [N] or targets [N, r], got {type(labels).__name__}; pass jnp.asarray({name})")
    if labels.shape[:1] != z.shape[:1] or labels.ndim > 2:
        raise ValueError(f"{name} must be classes [N] or targets [N, r] with N = {len(z)}, got shape {labels.shape}")


def _targets(name: str, labels: Array, z: Array, num_classes: int) -> Float[Array, "N r"]:
    if labels.ndim == 2:
        return at_least_float32(labels)
    with contextlib.suppress(jax.errors.ConcretizationTypeError):
        if not jnp.all((labels >= 0) & (labels < num_classes)):
            raise ValueError(
                f"{name} must be classes in [0, {num_classes}), got {jnp.min(labels)} to {jnp.max(labels)}; "
                "raise num_classes or leave out the rows without a class"
            )
    return jax.nn.one_hot(labels, num_classes, dtype=at_least_float32(z).dtype)


def _class_count(labels: Array, pair_labels: Array | None) -> int:
    """The width of targets, or one more than the largest class of both label sets."""
    if labels.ndim == 2:
        return labels.shape[1]
    try:
        return max(int(jnp.max(y)) + 1 for y in (labels, pair_labels) if y is not None and y.ndim == 1)
    except jax.errors.ConcretizationTypeError:
        raise ValueError("num_classes must be given where labels are classes under jit; or pass one-hot labels") from None


def _rank(z: Embedding) -> Scalar:
    """Number of singular values above rounding, [], without gradient; nan for nan."""
    values = jnp.linalg.svd(lax.stop_gradient(z), compute_uv=False)
    return jnp.sum(jnp.where(jnp.isnan(values), values, values > rounding_share(z.dtype) * values[0]))


def _warn_if_vacuous(vacuous: Array, m: int, left_out: Array) -> None:
    """Say so outside `jit`, where the value is known."""
    with contextlib.suppress(jax.errors.ConcretizationTypeError):
        if vacuous:
            warnings.warn(
                f"the label-free residual is vacuous, above the error of a head of zeros: {m} pairs outnumber the rank {m - int(left_out)} "
                "of their embeddings; pass pair_labels, or compare the other terms only",
                stacklevel=3,
            )
