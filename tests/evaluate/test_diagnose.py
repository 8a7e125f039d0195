"""The bench: synthetic features of known fate, at least 95 % of the draws of each told right."""

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from sslx.evaluate import _diagnose as d

N, WIDTH, DRAWS = 300, 64, 40


def _rotation(rng):
    return np.linalg.qr(rng.normal(size=(WIDTH, WIDTH)))[0]


def _power(exponent):
    def draw(rng):
        return rng.normal(size=(N, WIDTH)) * np.arange(1, WIDTH + 1) ** (-exponent / 2) @ _rotation(rng) + rng.normal(size=WIDTH), {}

    return draw


def _rank(rank, floor=0.0):
    def draw(rng):
        z = rng.normal(size=(N, rank)) @ rng.normal(size=(rank, WIDTH)) + floor * rng.normal(size=(N, WIDTH))
        return z, {}

    return draw


def _clusters(count, within):
    def draw(rng):
        centres = rng.normal(size=(count, WIDTH))
        labels = rng.integers(count, size=N)
        return centres[labels] + within * rng.normal(size=(N, WIDTH)), {"labels": labels}

    return draw


def _complete(jitter):
    return lambda rng: (rng.normal(size=WIDTH) + jitter * rng.normal(size=(N, WIDTH)), {})


def _noise(rng):
    return rng.normal(size=(N, WIDTH)), {}


def _noise_pair(rng):
    z, _ = _power(0.5)(rng)
    return z, {"features_b": _power(0.5)(rng)[0]}


def _unrelated_labels(rng):
    return _power(1.0)(rng)[0], {"labels": rng.integers(10, size=N)}


def _whitened_pair(rng):
    z = rng.normal(size=(N, WIDTH))
    return z, {"features_b": z + 0.5 * rng.normal(size=z.shape)}


def _classes(rng):
    """Ten broad classes: half of the variance within them."""
    z = rng.normal(size=(10, WIDTH))[labels := rng.integers(10, size=N)] + rng.normal(size=(N, WIDTH)) * rng.uniform(0.3, 1.5, size=WIDTH)
    return z, {"labels": labels}


BENCH = {
    "one point": (_complete(0.0), d.COMPLETE),
    "nearly one point": (_complete(1e-3), d.COMPLETE),
    "rank 1": (_rank(1), d.DIMENSIONAL),
    "rank 4": (_rank(4), d.DIMENSIONAL),
    "rank 16": (_rank(16), d.DIMENSIONAL),
    "rank 48": (_rank(48), d.DIMENSIONAL),
    "rank 8 over a floor": (_rank(8, 1e-2), d.DIMENSIONAL),
    "2 clusters": (_clusters(2, 0.1), d.CLUSTER),
    "10 clusters": (_clusters(10, 0.05), d.CLUSTER),
    "30 points": (_clusters(30, 0.0), d.CLUSTER),
    "independent noise": (_noise, d.NOISE),
    "views without relation": (_noise_pair, d.NOISE),
    "labels without relation": (_unrelated_labels, d.NOISE),
    "power law 0.5": (_power(0.5), d.HEALTHY),
    "power law 0.75": (_power(0.75), d.HEALTHY),
    "power law 1": (_power(1.0), d.HEALTHY),
    "power law 2": (_power(2.0), d.DIMENSIONAL),
    "power law 2.5": (_power(2.5), d.DIMENSIONAL),
    "power law 3": (_power(3.0), d.DIMENSIONAL),
    "white, and views agree": (_whitened_pair, d.HEALTHY),
    "broad classes": (_classes, d.HEALTHY),
}


@pytest.fixture(autouse=True)
def _one_thread():
    """Matrices this small only wait for threads."""
    with threadpool_limits(1):
        yield


@pytest.mark.parametrize("case", BENCH)
def test_bench(case):
    draw, expected = BENCH[case]
    found = []
    for seed in range(DRAWS):
        features, others = draw(np.random.default_rng(seed))
        found.append(d.diagnose(features, **others).verdict)
    assert found.count(expected) >= 0.95 * DRAWS, {verdict: found.count(verdict) for verdict in set(found)}


def test_more_columns_than_rows_is_no_collapse():
    rng = np.random.default_rng(0)
    wide = rng.normal(size=(40, 200)) * np.arange(1, 201) ** -0.25
    assert d.diagnose(wide).verdict == d.HEALTHY


def test_the_verdict_does_not_depend_on_unit_or_precision():
    features, _ = _power(1.0)(np.random.default_rng(0))
    for scale, dtype in ((1e-6, np.float64), (1e3, np.float32), (1.0, np.float16)):
        assert d.diagnose((features * scale).astype(dtype)).verdict == d.HEALTHY


def test_words():
    """The sentence counts what was found; the remedy fits; modes and diverged terms are remarked on."""
    features, _ = _rank(4)(np.random.default_rng(0))
    predictor = np.array([0.8, 0.3, 0.05, 0.01])
    found = d.diagnose(features, predictor_eigenvalues=predictor, mode_threshold=0.1, terms={"loss": np.nan, "covariance": 1.0})
    assert found.evidence.rank == 4
    assert "of 64 dimensions" in found.sentence
    assert "2 of 4 modes of the predictor lie below the threshold" in found.sentence
    assert found.sentence.endswith("Training diverged: loss not finite.")
    assert "decorrelates" in found.remedy
    np.testing.assert_allclose(found.spectrum[:4], np.linalg.eigvalsh(np.cov(features.T))[::-1][:4], rtol=1e-9)
    assert "10 points" in d.diagnose(_clusters(10, 0.05)(np.random.default_rng(0))[0]).sentence


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
