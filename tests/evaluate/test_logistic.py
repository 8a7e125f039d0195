from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from scipy.special import log_softmax, softmax
from sklearn.linear_model import LogisticRegression

from sslx.evaluate import _logistic
from sslx.evaluate._linear_probe import FEW, fit
from sslx.evaluate._logistic import TOLERANCE, cross_entropy, hessian_factor, logistic, second_moment

STRENGTHS = (0.01, 10.0)


def blobs(count=300, d=6, classes=3, seed=0):
    """Overlapping classes and their labels."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, count)
    return rng.normal(size=(count, d)) + np.eye(classes, d)[labels], labels


X, Y = blobs()
CASES = {
    "float32": (X.astype(np.float32), Y),
    "labels with gaps": (X, np.array([40, -5, 3])[Y]),
    "two classes": blobs(classes=2),
    "constant feature": (np.hstack([X, np.zeros((300, 1))]), Y),
    "repeated features": (np.hstack([X, X, X]).astype(np.float32), Y),
    "fewer rows than features": blobs(40, 60),
}


def twin(x, labels, strength, found):
    """Objective and its gradients in weights and bias, written out in float64."""
    x, (w, b) = x.astype(np.float64), found[1:]
    hot = (labels[:, None] == found.classes).astype(np.float64)
    ridge = (2 if len(found.classes) == 2 else 1) / (strength * len(x))
    residual = (softmax(x @ w + b, axis=1) - hot) / len(x)
    value = -np.sum(hot * log_softmax(x @ w + b, axis=1)) / len(x) + ridge / 2 * np.sum(w**2)
    return value, x.T @ residual + ridge * w, residual.sum(axis=0)


@pytest.mark.parametrize("case", CASES)
def test_equals_scikit_learn_where_both_run_to_the_end(case, monkeypatch):
    monkeypatch.setattr(_logistic, "TOLERANCE", 1e-6)
    x, labels = CASES[case]
    for strength, found in zip(STRENGTHS, logistic(x, labels, STRENGTHS), strict=True):
        want = LogisticRegression(C=strength, tol=1e-6, max_iter=2_000).fit(x.astype(np.float64), labels)
        np.testing.assert_array_equal(found.classes, want.classes_)
        np.testing.assert_allclose(softmax(x @ found.weights + found.bias, axis=1), want.predict_proba(x), atol=1e-4)
        weights = found.weights.T if len(found.classes) > 2 else np.diff(found.weights.T, axis=0)
        np.testing.assert_allclose(weights, want.coef_, atol=3e-4)
        assert found.score(x, labels) == want.score(x, labels)


@pytest.mark.parametrize("case", CASES)
def test_at_its_tolerance_the_gradient_is_small_and_the_objective_that_of_the_optimum(case, monkeypatch):
    x, labels = CASES[case]
    usual = logistic(x, labels, STRENGTHS)
    monkeypatch.setattr(_logistic, "TOLERANCE", 1e-6)
    for strength, found, best in zip(STRENGTHS, usual, logistic(x, labels, STRENGTHS), strict=True):
        value, *slopes = twin(x, labels, strength, found)
        assert max(np.abs(slope).max() for slope in slopes) < 5 * TOLERANCE
        assert 0 <= value - twin(x, labels, strength, best)[0] + 1e-9 < 2e-7


def test_features_in_very_different_units_and_strongly_correlated_take_few_steps(monkeypatch):
    solved = []
    minimize = _logistic.minimize
    monkeypatch.setattr(_logistic, "minimize", lambda *args, **kwargs: solved.append(minimize(*args, **kwargs)) or solved[-1])
    x, labels = blobs(500, 8)
    x = x @ (1 + 0.01 * np.eye(8)) * np.logspace(-3, 3, 8)
    logistic(x, labels, STRENGTHS)
    assert all(result.success and result.nit < 50 for result in solved)
    assert all(np.abs(result.jac).max() < 10 * TOLERANCE for result in solved)


def test_the_slope_handed_to_the_solver_is_that_of_its_objective(monkeypatch):
    checked = []

    def check(objective, start, **kwargs):
        v, way = np.random.default_rng(2).normal(size=(2, len(start)))
        (after, _), (before, _) = objective(v + 1e-6 * way), objective(v - 1e-6 * way)
        checked.append(objective(v)[1] @ way == pytest.approx((after - before) / 2e-6, rel=1e-6))
        return minimize(objective, start, **kwargs)

    minimize = _logistic.minimize
    monkeypatch.setattr(_logistic, "minimize", check)
    logistic(X, Y, STRENGTHS)
    assert checked == [True, True]


def test_the_cross_entropy_is_summed_over_all_rows_in_blocks(monkeypatch):
    monkeypatch.setattr(_logistic, "BLOCK", 7 * X.shape[1])
    rng = np.random.default_rng(1)
    found = _logistic.Logistic(np.arange(3), rng.normal(size=(6, 3)), rng.normal(size=3))
    with ThreadPoolExecutor(2) as pool:
        value, *slopes = cross_entropy(X, Y, found.weights, found.bias, pool)
        large = cross_entropy(1e4 * X.astype(np.float32), Y, found.weights, found.bias, pool)
    want, *slopes_want = twin(X, Y, np.inf, found)
    assert value == pytest.approx(want, rel=1e-12)
    for got, expected in zip(slopes, slopes_want, strict=True):
        np.testing.assert_allclose(got, expected, atol=1e-14)
    assert all(np.isfinite(part).all() for part in large)


def test_a_sample_of_the_rows_changes_the_coordinates_not_the_optimum(monkeypatch):
    [whole] = logistic(X, Y, [1.0])
    monkeypatch.setattr(_logistic, "PRODUCTS", 30 * X.shape[1] ** 2)
    np.testing.assert_allclose(second_moment(X), X[::10].T @ X[::10] / 30, atol=1e-12)
    [sampled] = logistic(X, Y, [1.0])
    np.testing.assert_allclose(sampled.weights, whole.weights, atol=5e-3)
    assert not np.array_equal(sampled.weights, whole.weights)


def test_the_factor_is_that_of_the_moment_and_the_ridge_and_exists_where_features_repeat():
    repeated = CASES["repeated features"][0]
    factor = hessian_factor(second_moment(repeated), 0.5)
    np.testing.assert_allclose(factor @ factor.T, repeated.T @ repeated / 300 + 0.5 * np.eye(18), atol=1e-4)
    assert np.isfinite(hessian_factor(second_moment(repeated), 0.0)).all()


def test_few_rows_are_left_to_scikit_learn():
    x, labels = blobs(FEW + 1)
    [few], [many] = fit(x[:-1], labels[:-1], [1.0]), fit(x, labels, [1.0])
    assert isinstance(few.__self__, LogisticRegression)
    assert isinstance(many.__self__, _logistic.Logistic)
    [alone] = fit(x, np.full_like(labels, 4), [1.0])
    assert (alone(x, np.full_like(labels, 4)), alone(x, labels)) == (1.0, 0.0)
