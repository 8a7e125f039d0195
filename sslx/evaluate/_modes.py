"""The eigenmodes of an embedding, and which of them theory sends to zero. NumPy on the host; N rows, d features."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from sslx.checks import check_pair, check_square


class Modes(NamedTuple):
    """One entry per eigenmode of E[z z^T], strongest first, [d] each; None without a predictor."""

    strength: Float[np.ndarray, " d"]
    agreement: Float[np.ndarray, " d"]
    gain: Float[np.ndarray, " d"] | None
    threshold: Float[np.ndarray, " d"] | None


def eigenmodes(
    z_a: Float[np.ndarray, "N d"],
    z_b: Float[np.ndarray, "N d"],
    *,
    predictor: Float[np.ndarray, "d d"] | None = None,
    weight_decay: float = 0.0,
) -> Modes:
    """Strength of every mode, agreement of the views in it, the predictor's gain, and the gain below which weight decay wins.

    With E[z z^T] = U diag(s) U^T over both views: agreement_j = u_j^T E[z_a z_b^T] u_j / s_j, the share of the mode that augmentation
    leaves alone, and gain_j = u_j^T W_P u_j over the largest (in size where none is above 0), as DirectPred scales its predictor. A
    linear network whose predictor is on the parabola s = p^2 lets p_j decay to zero from below

        p_- = (1 - sqrt(1 - 4 h kappa_j)) / (2 kappa_j),     kappa_j = 1 + sigma_j^2 = 1 / agreement_j,

    sigma_j^2 the noise of the mode in units of its signal; from any gain where 4 h kappa_j > 1 (threshold infinite).

    Args:
        z_a, z_b: embeddings of two views, [N, d].
        predictor: W_P with p = z @ W_P, [d, d].
        weight_decay: h of gradient descent on 1/2 ||p - z||^2. AdamW's decay acts otherwise: there p_- is no more than a guide.

    Returns:
        `Modes`; all nan where an embedding is not finite.

    Raises:
        ValueError: for shapes that do not fit, no rows, or a weight_decay that is negative or not finite.

    Reference: Tian, Chen, Ganguli (2021), arXiv:2102.06810 (the flow of p and s, and its fixed points).
    """
    _check(z_a, z_b, predictor, weight_decay)
    a, b = z_a.astype(np.float64), z_b.astype(np.float64)
    moment = (a.T @ a + b.T @ b) / (2 * len(a))
    s, u = np.linalg.eigh(moment) if np.isfinite(moment).all() else (np.full(len(moment), np.nan), np.full_like(moment, np.nan))
    s, u = np.maximum(s[::-1], 0), u[:, ::-1]
    with np.errstate(invalid="ignore"):  # infinity times nan
        shared = np.mean((a @ u) * (b @ u), axis=0)
    agreement = np.divide(shared, s, out=np.zeros_like(s), where=s != 0)
    if predictor is None:
        return Modes(s, agreement, None, None)
    gain = np.einsum("ij,ik,kj->j", u, predictor, u)
    size = np.abs(gain).max()
    largest = gain.max() if gain.max() > 1e-12 * size else size or 1.0  # above 0 by more than rounding
    return Modes(s, agreement, gain / largest, collapse_gain(agreement, weight_decay))


def collapse_gain(agreement: Float[np.ndarray, " d"], weight_decay: float) -> Float[np.ndarray, " d"]:
    """p_- of every mode, [d]: 2 h / (1 + sqrt(1 - 4 h / agreement)), infinite where the root is not real."""
    if weight_decay == 0:
        return np.where(np.isnan(agreement), np.nan, 0.0)
    kappa = 1 / np.maximum(agreement, 1e-300)
    square = 1 - 4 * weight_decay * kappa
    return np.where(square < 0, np.inf, 2 * weight_decay / (1 + np.sqrt(np.maximum(square, 0))))


def _check(z_a: np.ndarray, z_b: np.ndarray, predictor: np.ndarray | None, weight_decay: float) -> None:
    check_pair("z_a", z_a, "z_b", z_b)
    if predictor is not None:
        check_square("predictor", predictor, z_a.shape[1])
    if not 0 <= weight_decay < np.inf:
        raise ValueError(f"weight_decay must be finite and at least 0, got {weight_decay}")
