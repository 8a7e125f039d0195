"""The strengths that the probe chooses from, and the scaler before it."""

import numpy as np

from sslx.evaluate import linear_accuracy
from sslx.evaluate._linear_probe import STRENGTHS, fit, fit_scaler

RNG = np.random.default_rng(0)


def test_the_scaler_knows_large_half_precision_and_constant_features():
    large = fit_scaler((RNG.normal(size=(500, 2)) * 3000).astype(np.float16))
    np.testing.assert_allclose(large.std, 3000, rtol=0.1)
    constant = np.full((5000, 1), 1000.1, np.float32)
    np.testing.assert_array_equal(fit_scaler(constant)(constant), 0)


def test_rounding_of_a_large_mean_is_no_feature():
    x = np.hstack([RNG.normal(size=(500, 1)), 1000 + np.float32(2**-14) * RNG.integers(0, 2, (500, 3))]).astype(np.float32)
    np.testing.assert_allclose(np.abs(fit_scaler(x)(x)).max(axis=0)[1:], 0, atol=1e-4)


def test_many_noisy_features_take_a_stronger_penalty():
    """The best of all strengths, on data where it is not one that few images are offered."""
    train, test = (RNG.normal(size=(count, 300)) for count in (1_500, 20_000))
    labels, test_labels = ((x[:, 0] + 2 * RNG.normal(size=len(x)) > 0).astype(int) for x in (train, test))
    train[:, 0], test[:, 0] = 4 * train[:, 0], 4 * test[:, 0]  # the features that count vary most, as those of images do
    best = max(score(test, test_labels) for score in fit(train, labels, STRENGTHS))
    assert linear_accuracy(train, labels, test, test_labels) > best + 0.01
