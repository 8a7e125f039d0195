"""Modes of an embedding whose views and predictor are known, and the threshold against the flow that it belongs to."""

import numpy as np
import pytest

from sslx import diagnosis, dynamics
from sslx.evaluate import eigenmodes


def _views(signal, noise, n=4000, seed=0):
    """Two views with E[z z^T] = U diag(signal + noise) U^T, exact to rounding, and U."""
    d = len(signal)
    rng = np.random.default_rng(seed)
    q = np.linalg.qr(rng.normal(size=(n, 3 * d)))[0] * np.sqrt(n)
    u = np.linalg.qr(rng.normal(size=(d, d)))[0]
    common, e_a, e_b = (part * np.sqrt(s) for part, s in zip(np.split(q, 3, axis=1), (signal, noise, noise), strict=True))
    return (common + e_a) @ u.T, (common + e_b) @ u.T, u


SIGNAL, NOISE = np.array([4.0, 2.0, 1.0, 0.5]), np.array([1.0, 1.0, 0.25, 0.0])


def test_strength_agreement_and_gain_are_those_of_the_construction():
    z_a, z_b, u = _views(SIGNAL, NOISE)
    found = eigenmodes(z_a, z_b, predictor=u * [0.8, 0.4, 0.2, -0.1] @ u.T, weight_decay=0.01)
    np.testing.assert_allclose(found.strength, SIGNAL + NOISE, rtol=1e-9)
    np.testing.assert_allclose(found.agreement, SIGNAL / (SIGNAL + NOISE), rtol=1e-9)
    np.testing.assert_allclose(found.gain, [1, 0.5, 0.25, -0.125], rtol=1e-9)


@pytest.mark.parametrize(("predictor", "gain"), [((-0.2, -0.4, 0, 0), (-0.5, -1, 0, 0)), ((0, 0, 0, 0), (0, 0, 0, 0))])
def test_gains_none_of_which_is_positive_are_shares_of_the_largest_in_size(predictor, gain):
    z_a, z_b, u = _views(SIGNAL, NOISE)
    np.testing.assert_allclose(eigenmodes(z_a, z_b, predictor=u * predictor @ u.T).gain, gain, atol=1e-9)


@pytest.mark.parametrize("weight_decay", [0.0, 0.01, 0.1])
def test_the_threshold_is_the_unstable_fixed_point_of_the_predictors_flow(weight_decay):
    """On the parabola s = p^2 a gain just below decays and one just above grows."""
    found = eigenmodes(*_views(SIGNAL, NOISE)[:2], predictor=np.eye(4), weight_decay=weight_decay)
    for threshold, agreement in zip(found.threshold, found.agreement, strict=True):
        flow = dynamics.directpred(noise=max(1 / agreement - 1, 0) ** 0.5, weight_decay=weight_decay)
        for step, direction in ((-1e-3, -1), (1e-3, 1)):
            p = threshold + step
            if p > 0:
                assert np.sign(flow.velocity(np.array([[p], [p**2]]))[0, 0]) == direction


def test_above_the_limit_of_weight_decay_every_gain_is_below():
    found = eigenmodes(*_views(SIGNAL, NOISE)[:2], predictor=np.eye(4), weight_decay=0.26)
    assert np.all(found.threshold == np.inf)


def test_an_embedding_of_zeros_has_modes_without_strength():
    zeros = np.zeros((30, 3))
    found = eigenmodes(zeros, zeros, predictor=np.eye(3), weight_decay=0.01)
    assert not found.strength.any()
    assert not found.agreement.any()
    assert eigenmodes(zeros, zeros).gain is None


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_has_no_modes(bad):
    """And `sslx.diagnosis`, which asks for them first, says which view it is."""
    z = np.random.default_rng(0).normal(size=(30, 3))
    broken = np.where(np.arange(30)[:, None] == 3, bad, z)
    assert np.isnan(np.stack(eigenmodes(z, broken, predictor=np.eye(3), weight_decay=0.01))).all()
    with pytest.raises(ValueError, match="features_b must be finite, got NaN or infinity"):
        diagnosis.judge(diagnosis.Material(z, broken))


def test_bad_input(without_typing_hook):
    z = np.ones((30, 3))
    with pytest.raises(ValueError, match=r"z_a and z_b must have one shape \[N, d\], got \(30, 3\) and \(29, 3\)"):
        eigenmodes(z, z[1:])
    with pytest.raises(ValueError, match=r"predictor must have shape \[3, 3\], got \(4, 4\)"):
        eigenmodes(z, z, predictor=np.eye(4))
    with pytest.raises(ValueError, match="weight_decay must be finite and at least 0, got -1"):
        eigenmodes(z, z, weight_decay=-1.0)
