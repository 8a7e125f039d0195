"""Logistic regression on many rows: L-BFGS in coordinates in which the problem is well conditioned."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.linalg import cholesky, solve_triangular
from scipy.optimize import minimize

from sslx.threads import thread_pools

TOLERANCE = 1e-5  # of each entry of the gradient in v; at 1e-4 one image in a hundred of a small set may still change its class
BLOCK = 2**20  # entries of the features at a time, so that both products with them find them in the cache
PRODUCTS = 10**11  # multiplications at most for the second moment: all rows of 128 features, every fifth of 50,000 with 3072


class Logistic(NamedTuple):
    """A softmax over classes, linear in the features."""

    classes: Int[np.ndarray, " K"]
    weights: Float[np.ndarray, "d K"]
    bias: Float[np.ndarray, " K"]

    def score(self, x: Float[np.ndarray, "N d"], labels: Int[np.ndarray, " N"]) -> float:
        """Accuracy in [0, 1]."""
        logits = x @ self.weights.astype(x.dtype) + self.bias.astype(x.dtype)
        return float(np.mean(self.classes[logits.argmax(axis=1)] == labels))


def logistic(x: Float[np.ndarray, "N d"], labels: Int[np.ndarray, " N"], strengths: Sequence[float]) -> list[Logistic]:
    """The optimum of scikit-learn's `LogisticRegression(C=strength)` for each strength: weights w [d, K] and a bias b [K] of

        min  -1/N sum_i log softmax(w^T x_i + b)[y_i] + r/2 |w|^2,   r = 1 / (strength N).

    Where all classes are as likely, the Hessian in a column of w is H = sum_i x_i x_i^T / (N K) + r up to the factor 1 - 1/K. Spectra of
    features span many decades, and so would the steps; in v = L^T w, with H = L L^T, the Hessian is near the identity.
    """
    classes, targets = np.unique(labels, return_inverse=True)
    moment = second_moment(x) / len(classes)
    once = 2 if len(classes) == 2 else 1  # of two classes scikit-learn penalises w_1 - w_0, once
    ridges = [once / (strength * len(x)) for strength in strengths]
    return [Logistic(classes, *minimum(x, targets, len(classes), ridge, hessian_factor(moment, ridge))) for ridge in ridges]


def second_moment(x: Float[np.ndarray, "N d"]) -> Float[np.ndarray, "d d"]:
    """The mean of x x^T over the rows, evenly spaced ones where there are many; what is below the rounding of x counts as if at it."""
    n, d = x.shape
    sample = x[:: -(-n * d * d // PRODUCTS)].astype(np.float64)
    moment = sample.T @ sample / len(sample)
    return moment + np.finfo(x.dtype).eps * np.trace(moment) * np.eye(d)


def hessian_factor(moment: Float[np.ndarray, "d d"], ridge: float) -> Float[np.ndarray, "d d"]:
    """The Cholesky factor L of moment + ridge."""
    return cholesky(moment + ridge * np.eye(len(moment)), lower=True, check_finite=False)


def minimum(
    x: Float[np.ndarray, "N d"], targets: Int[np.ndarray, " N"], k: int, ridge: float, factor: Float[np.ndarray, "d d"]
) -> tuple[Float[np.ndarray, "d {k}"], Float[np.ndarray, " {k}"]]:
    """Weights and bias for k classes, from zero on in the coordinates of the factor."""

    def parameters(v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        v = v.reshape(-1, k)
        return solve_triangular(factor, v[:-1], trans=1, lower=True, check_finite=False), k**0.5 * v[-1]

    def objective(v: np.ndarray) -> tuple[float, np.ndarray]:
        w, b = parameters(v)
        loss, slope_w, slope_b = cross_entropy(x, targets, w, b, pool)
        slope = solve_triangular(factor, slope_w + ridge * w, lower=True, check_finite=False)
        return loss + ridge / 2 * np.sum(w**2), np.append(slope, k**0.5 * slope_b)

    start = np.zeros((len(factor) + 1) * k)
    rounding = np.finfo(x.dtype).eps / 100  # of the mean over many rows; beyond it line searches find nothing and go on for long
    options = {"gtol": TOLERANCE, "ftol": max(TOLERANCE**2 / 10, rounding), "maxiter": 1000, "maxls": 5}
    with ThreadPoolExecutor(os.cpu_count()) as pool, thread_pools().limit(limits=1):  # a core for each block of rows
        return parameters(minimize(objective, start, jac=True, method="L-BFGS-B", options=options).x)


def cross_entropy(
    x: Float[np.ndarray, "N d"],
    targets: Int[np.ndarray, " N"],
    w: Float[np.ndarray, "d K"],
    b: Float[np.ndarray, " K"],
    pool: ThreadPoolExecutor,
) -> tuple[float, Float[np.ndarray, "d K"], Float[np.ndarray, " K"]]:
    """Mean cross-entropy and its gradients in w and b, summed in float64 over blocks of rows, each in the precision of the features."""
    rows = max(1, BLOCK // x.shape[1])
    terms = partial(block_terms, x, targets, w.astype(x.dtype), b.astype(x.dtype))
    loss, slope_w, slope_b = 0.0, np.zeros(w.T.shape), np.zeros(b.shape)
    for block in pool.map(terms, [slice(start, start + rows) for start in range(0, len(x), rows)]):
        loss += block[0]
        slope_w += block[1]
        slope_b += block[2]
    return loss / len(x), slope_w.T / len(x), slope_b / len(x)


def block_terms(
    x: Float[np.ndarray, "N d"], targets: Int[np.ndarray, " N"], w: Float[np.ndarray, "d K"], b: Float[np.ndarray, " K"], rows: slice
) -> tuple[float, Float[np.ndarray, "K d"], Float[np.ndarray, " K"]]:
    """The cross-entropy of some rows and its gradients in w^T and b; classes come first, since NumPy reduces fast along rows."""
    x, chosen = x[rows], (targets[rows], np.arange(len(x[rows])))
    p = np.ascontiguousarray((x @ w + b).T)
    p -= p.max(axis=0)
    loss = -p[chosen].sum(dtype=np.float64)
    np.exp(p, out=p)
    total = p.sum(axis=0)
    p /= total
    p[chosen] -= 1
    return loss + np.log(total).sum(dtype=np.float64), p @ x, p.sum(axis=1, dtype=np.float64)
