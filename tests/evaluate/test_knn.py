import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from sslx.evaluate import _knn, knn_accuracy
from sslx.evaluate._knn import _vote_on_device, _vote_on_host, default_k, unit_rows

RNG = np.random.default_rng(0)
TRAIN, TEST = RNG.normal(size=(300, 5)), RNG.normal(size=(80, 5))
LABELS, TEST_LABELS = RNG.integers(0, 3, 300), RNG.integers(0, 3, 80)


def test_equals_a_cosine_vote_by_scikit_learn():
    votes = KNeighborsClassifier(20, metric="cosine", weights=lambda distance: np.exp((1 - distance) / 0.1))
    assert knn_accuracy(TRAIN, LABELS, TEST, TEST_LABELS) == votes.fit(TRAIN, LABELS).score(TEST, TEST_LABELS)


def test_the_vote_on_an_accelerator_is_that_on_the_host():
    rows = [unit_rows(TRAIN), LABELS, unit_rows(TEST)]
    for k in (1, 20, 300):
        device, host = (vote(*rows, k=k, temperature=0.1, classes=3) for vote in (_vote_on_device, _vote_on_host))
        np.testing.assert_array_equal(device, host)


def test_only_directions_count():
    lengths = RNG.uniform(0.1, 10, (300, 1))
    assert knn_accuracy(TRAIN * lengths, LABELS, TEST * 3, TEST_LABELS) == knn_accuracy(TRAIN, LABELS, TEST, TEST_LABELS)


def test_classes_are_told_apart_whatever_their_numbers():
    """A vote for each number up to the largest would want gigabytes here."""
    names = np.array([3, 10**9, 2 * 10**9])
    assert knn_accuracy(TRAIN, names[LABELS], TEST, names[TEST_LABELS]) == knn_accuracy(TRAIN, LABELS, TEST, TEST_LABELS)


def test_many_training_images_are_compared_with_few_at_a_time(monkeypatch):
    asked = []
    monkeypatch.setattr(_knn, "_vote_on_host", lambda *rows, **given: asked.append(len(rows[2])) or _vote_on_host(*rows, **given))
    whole = knn_accuracy(TRAIN, LABELS, TEST, TEST_LABELS)
    monkeypatch.setattr(_knn, "SIMILARITIES", 3 * len(TRAIN))
    assert knn_accuracy(TRAIN, LABELS, TEST, TEST_LABELS) == whole
    assert (asked[0], max(asked[1:])) == (80, 3)


def test_neighbours_by_size_of_the_training_set():
    assert (default_k(9_999), default_k(10_000)) == (20, 200)


def test_more_neighbours_than_images_are_all_images():
    assert knn_accuracy(TRAIN[:5], np.array([0, 0, 0, 1, 1]), TRAIN[:5], np.zeros(5, int), k=20, temperature=1e6) == 1.0


@pytest.mark.parametrize("exponent", [-66, 66])
def test_rows_far_from_1_have_directions(exponent):
    """Where the squares of float32 over- or underflow; and rows of zeros stay."""
    x = TRAIN.astype(np.float32)
    np.testing.assert_array_equal(unit_rows(np.ldexp(x, exponent)), unit_rows(x))
    np.testing.assert_array_equal(unit_rows(np.zeros((2, 3), np.float32)), 0)


@pytest.mark.parametrize("dtype", [np.float16, np.uint8])
def test_unit_rows_are_found_in_float32(dtype):
    x = np.abs(TRAIN * 60).astype(dtype) * dtype(1 if dtype == np.uint8 else 100)
    assert unit_rows(x).dtype == np.float32
    np.testing.assert_array_equal(unit_rows(x), unit_rows(x.astype(np.float32)))


def test_bad_input(without_typing_hook):
    for k in (0, -3, 2.5):
        with pytest.raises(ValueError, match=f"k must be an integer of at least 1, got {k}"):
            knn_accuracy(TRAIN, LABELS, TEST, TEST_LABELS, k=k)
    for temperature in (0, -1.0, np.nan):
        with pytest.raises(ValueError, match=f"temperature must be above 0, got {temperature}"):
            knn_accuracy(TRAIN, LABELS, TEST, TEST_LABELS, temperature=temperature)
