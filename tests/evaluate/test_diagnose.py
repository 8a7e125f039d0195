"""Synthetic features of known fate, at least 95 % of the draws of each told right; the bench itself makes 100 draws."""

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from barlow_efficiency import diagnosis_bench as bench
from sslx.evaluate import _diagnose as d

DRAWS = 20


@pytest.fixture(autouse=True)
def _one_thread():
    """Matrices this small only wait for threads."""
    with threadpool_limits(1):
        yield


@pytest.mark.parametrize("case", bench.BENCH)
def test_bench(case):
    found = bench.count_verdicts(case, DRAWS, seed=1)
    assert found[bench.BENCH[case][1]] >= 0.95 * DRAWS, found


def test_more_columns_than_rows_is_no_collapse():
    rng = np.random.default_rng(0)
    wide = rng.normal(size=(40, 200)) * np.arange(1, 201) ** -0.25
    found = d.diagnose(wide)
    assert (found.verdict, found.evidence.rank) == (d.HEALTHY, 39)


def test_a_dead_feature_hides_no_collapse():
    """Its exact zero makes the last gap of the spectrum the widest."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(500, 64)) * np.where(np.arange(64) < 8, 1, 1e-2)
    second = features + 1e-3 * rng.normal(size=features.shape)
    for dead in (0, 1, 6):
        features[:, 64 - dead :] = second[:, 64 - dead :] = 0
        found = d.diagnose(features, features_b=second)
        assert (found.verdict, found.evidence.rank) == (d.DIMENSIONAL, 8)


def test_features_that_tell_a_rare_class_apart_are_no_noise():
    rng = np.random.default_rng(0)
    labels = (np.arange(60) < 6).astype(int)
    features = rng.normal(size=(60, 5)) + 6 * labels[:, None]
    assert d.diagnose(features, labels=labels).verdict == d.HEALTHY
    assert d.diagnose(rng.normal(size=(60, 5)), labels=labels).verdict == d.NOISE


def test_the_verdict_does_not_depend_on_unit_or_precision():
    features, _ = bench.power_law(1.0)(np.random.default_rng(0))
    for scale, dtype in ((1e-6, np.float64), (1e3, np.float32), (1.0, np.float16)):
        assert d.diagnose((features * scale).astype(dtype)).verdict == d.HEALTHY


def test_noise_that_training_left_of_a_signal_is_complete_collapse():
    """What remains of a Euclidean loss without a predictor: views without relation, where there was a signal before."""
    features, others = bench.unrelated_views(np.random.default_rng(0))
    before = d.signal(features, features)
    assert d.diagnose(features, **others).verdict == d.NOISE
    found = d.diagnose(1e-3 * features, features_b=1e-3 * others["features_b"], signal_before=before)
    assert found.verdict == d.COMPLETE
    assert "Training erased what two views of one image share" in found.sentence
    assert d.diagnose(features, features_b=features, signal_before=before).evidence.signal_left == pytest.approx(1)


def test_an_open_variance_hinge_is_complete_collapse():
    """Features that shrink to zero about zero keep their shape; VICReg's own term knows their scale."""
    features, _ = bench.power_law(1.0)(np.random.default_rng(0))
    assert d.diagnose(features, terms={"variance": 0.4}).verdict == d.HEALTHY
    found = d.diagnose(features, terms={"variance": 0.97})
    assert found.verdict == d.COMPLETE
    assert "variance term is 0.97" in found.sentence


def test_words():
    """The sentence counts what was found; the remedy fits; modes and diverged terms are remarked on."""
    features, _ = bench.low_rank(4)(np.random.default_rng(0))
    predictor = np.array([0.8, 0.3, 0.05, 0.01])
    found = d.diagnose(features, predictor_eigenvalues=predictor, mode_threshold=0.1, terms={"loss": np.nan, "covariance": 1.0})
    assert found.evidence.rank == 4
    assert "of 64 dimensions" in found.sentence
    assert "2 of 4 modes of the predictor lie below the threshold" in found.sentence
    assert found.sentence.endswith("Training diverged: loss not finite.")
    assert "decorrelates" in found.remedy
    np.testing.assert_allclose(found.spectrum[:4], np.linalg.eigvalsh(np.cov(features.T))[::-1][:4], rtol=1e-9)
    assert "10 points" in d.diagnose(bench.clusters(10, 0.05)(np.random.default_rng(0))[0]).sentence


def test_rows_without_a_label_ask_no_neighbours():
    """They are not a class; where fewer than 20 rows have a label, it is as if there were no labels."""
    features, _ = bench.power_law(1.0)(np.random.default_rng(0))
    labels = (np.linalg.svd(features - features.mean(0))[0][:, 0] > 0).astype(int)  # by the largest component
    known = np.arange(len(labels)) % 3 == 0
    found = d.diagnose(features, labels=np.where(known, labels, -1))
    assert 0.6 < found.evidence.neighbour_accuracy < 1
    assert found.evidence.neighbour_accuracy == d._neighbour_accuracy(features[known], labels[known])
    assert found.verdict == d.HEALTHY
    for few in (np.full_like(labels, -1), np.where(np.arange(len(labels)) < 19, labels, -1)):
        assert d.diagnose(features, labels=few).evidence == d.diagnose(features).evidence


def test_whole_numbers_are_features():
    features = np.round(40 * bench.power_law(1.0)(np.random.default_rng(0))[0])
    assert d.diagnose(features.astype(int), features_b=features.astype(int)).verdict == d.diagnose(features).verdict


def test_bad_input(without_typing_hook):
    z = np.zeros((30, 4))
    with pytest.raises(ValueError, match=r"features must have shape \[N >= 20, d >= 2\], got \(30, 2, 2\)"):
        d.diagnose(z.reshape(30, 2, 2))
    with pytest.raises(ValueError, match=r"features_b must have shape \(30, 4\), as features, got \(29, 4\)"):
        d.diagnose(z, features_b=z[1:])
    with pytest.raises(ValueError, match=r"labels must have shape \(30,\), got \(29,\)"):
        d.diagnose(z, labels=np.zeros(29, int))
    with pytest.raises(ValueError, match="features must be finite, got NaN or infinity"):
        d.diagnose(np.full((30, 4), np.nan))
    with pytest.raises(ValueError, match="features_b must be finite, got NaN or infinity: the network diverged"):
        d.diagnose(z, features_b=np.full((30, 4), np.nan))


def test_the_order_of_the_rows_does_not_matter():
    """Classes that take turns, in a sample of which every so-manieth row is of one class."""
    rng = np.random.default_rng(0)
    labels = np.arange(4000) % 10
    features = np.float32(rng.normal(size=(10, 16))[labels] + 0.05 * rng.normal(size=(4000, 16)))
    assert d.diagnose(features).verdict == "cluster collapse"
    noise = d.diagnose(np.float32(rng.normal(size=(20_000, 8))), labels=np.arange(20_000) % 10)
    assert noise.evidence.neighbour_accuracy < 0.2
