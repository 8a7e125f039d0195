from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from sslx import geometry
from sslx.data import Dataset
from sslx.evaluate import (
    embedding_scores,
    evaluate,
    few_label_accuracy,
    knn_accuracy,
    linear_accuracy,
    monitor,
    monitored,
    validation_split,
)  # fmt: skip
from sslx.evaluate._few_label import balanced_draw
from sslx.evaluate._linear_probe import fit, fit_scaler, in_span
from sslx.train import probe_accuracy

RNG = np.random.default_rng(0)


def blobs(count, spread, seed=1):
    """Three classes in six dimensions, and their labels."""
    labels = np.arange(count) % 3
    rng = np.random.default_rng(seed)
    return np.eye(3, 6)[labels] * 3 + spread * rng.normal(size=(count, 6)), labels


def dataset_of(train_labels, test_labels):
    """Labels alone, as a data set."""
    images = np.zeros((1, 1, 1, 1), np.uint8)
    return Dataset("blobs", images, train_labels.astype(np.int32), images, test_labels.astype(np.int32), ("a", "b", "c"))


def test_separable_classes_are_told_apart_and_random_labels_are_not():
    train, labels = blobs(90, 0.3)
    test, test_labels = blobs(60, 0.3, seed=2)
    assert linear_accuracy(train, labels, test, test_labels) == 1.0
    assert linear_accuracy(train, RNG.permutation(labels), test, test_labels) < 0.7


def test_the_strength_is_chosen_on_held_out_labels_not_on_the_test_images():
    train, labels = blobs(90, 2.0)
    test, test_labels = blobs(60, 2.0, seed=2)
    fooled = linear_accuracy(train, labels, test, np.zeros_like(test_labels))
    assert linear_accuracy(train, labels, test, test_labels) == pytest.approx(0.9, abs=0.1)
    predicted_zero = fooled  # with all test labels 0 the same probe is right where it says 0
    assert 0.2 < predicted_zero < 0.5


def test_a_constant_feature_is_left_alone_by_the_scaler():
    x = np.stack([np.full(10, 7.0), np.arange(10.0)], axis=1)
    scaled = fit_scaler(x)(x)
    np.testing.assert_allclose(scaled[:, 0], 0)
    np.testing.assert_allclose([scaled[:, 1].mean(), scaled[:, 1].std()], [0, 1], atol=1e-12)


def test_a_draw_has_the_same_number_of_each_class_and_depends_on_its_seed_only():
    labels = RNG.integers(0, 4, 200)
    rows = balanced_draw(labels, 5, 3)
    np.testing.assert_array_equal(np.bincount(labels[rows]), [5, 5, 5, 5])
    np.testing.assert_array_equal(rows, balanced_draw(labels, 5, 3))
    assert set(rows) != set(balanced_draw(labels, 5, 4))


def test_few_labels_report_mean_and_spread_over_ten_draws():
    train, labels = blobs(150, 1.5)
    test, test_labels = blobs(60, 1.5, seed=2)
    scores = []
    for seed in range(10):
        rows = balanced_draw(labels, 2, seed)
        scores.append(linear_accuracy(train[rows], labels[rows], test, test_labels, seed=seed))
    got = few_label_accuracy(train, labels, test, test_labels, per_class=2)
    np.testing.assert_allclose(got, (np.mean(scores), np.std(scores, ddof=1)))
    assert got.std > 0


def test_the_protocol_does_not_depend_on_the_scale_of_a_feature():
    train, labels = blobs(120, 1.0)
    test, test_labels = blobs(60, 1.0, seed=2)
    dataset = dataset_of(labels, test_labels)
    scale = np.array([1, 100, 0.01, 1, 1, 1])
    got = evaluate(train * scale, test * scale, dataset, parts=("knn", "linear"))
    want = evaluate(train, test, dataset, parts=("knn", "linear"))
    assert got == pytest.approx(want)
    assert set(got) == {"knn_accuracy", "linear_accuracy"}


def test_the_validation_split_is_a_stratified_fifth_without_overlap():
    labels = np.repeat([0, 1, 2], [50, 100, 5])
    split = validation_split(labels)
    np.testing.assert_array_equal(np.bincount(labels[split.held]), [10, 20, 1])
    np.testing.assert_array_equal(np.sort(np.concatenate(split)), np.arange(155))


def test_of_every_class_an_image_is_kept():
    split = validation_split(np.asarray([0, 1, 1, -1, 2, 2, 2]))
    np.testing.assert_array_equal(np.bincount(np.asarray([0, 1, 1, -1, 2, 2, 2])[split.kept]), [1, 1, 2])
    assert len(split.held) == 2
    single = validation_split(np.arange(5))
    np.testing.assert_array_equal(single.kept, np.arange(5))
    assert len(single.held) == 0


def test_the_monitor_gives_validation_accuracy_and_a_falling_spectrum():
    x, labels = blobs(120, 0.2)
    split = validation_split(labels)
    rows = monitored(split)
    np.testing.assert_array_equal(np.sort(rows), np.arange(120))
    record = monitor(x[rows], x[rows], labels[rows], len(split.held))
    assert record["validation_accuracy"] == 1.0
    np.testing.assert_allclose(record["spectrum"], np.linalg.eigvalsh(np.cov(x.T))[::-1])
    assert record["rankme"] == pytest.approx(float(geometry.rankme(jnp.asarray(x[rows]))), rel=1e-6)
    assert record["efficiency"] == pytest.approx(float(geometry.efficiency(jnp.asarray(np.corrcoef(x.T)))), rel=1e-6)


def test_embedding_scores_are_those_of_all_rows_and_a_constant_feature_has_zeros_in_the_correlation():
    x, _ = blobs(120, 0.2)
    scores = embedding_scores(x)
    assert scores["rankme"] == pytest.approx(float(geometry.rankme(jnp.asarray(x))), rel=1e-6)
    assert scores["efficiency"] == pytest.approx(float(geometry.efficiency(jnp.asarray(np.corrcoef(x.T)))), rel=1e-6)
    constant = np.hstack([x, np.full((len(x), 1), 0.1)]).astype(np.float32)
    for z in (constant, -constant):
        assert embedding_scores(z)["efficiency"] == pytest.approx(scores["efficiency"] * 6 / 7, rel=1e-5)
    assert monitor(constant, constant, np.zeros(len(x), int), 20)["efficiency"] == pytest.approx(scores["efficiency"] * 6 / 7, rel=1e-5)
    assert embedding_scores(constant[:, -1:])["efficiency"] == 0


def test_a_large_set_is_watched_on_some_of_its_images():
    labels = np.arange(50_000) % 10
    split = validation_split(labels)
    rows = monitored(split)
    assert len(split.held) == 2_000
    assert len(set(rows)) == len(rows) == 6_000
    np.testing.assert_array_equal(rows[:2_000], split.held)
    assert set(rows[2_000:]) < set(split.kept)
    few = np.append(labels[:5_000], np.full(100_000, -1))
    np.testing.assert_array_equal(validation_split(few).held, validation_split(labels[:5_000]).held)


def test_few_images_of_many_features_are_judged_in_their_span():
    """The penalised weights lie in the span of the training rows, so that a probe there is the same probe."""
    rng = np.random.default_rng(0)
    labels = np.arange(30) % 3
    train = rng.normal(size=(30, 200)) + np.eye(3, 200)[labels]
    test = rng.normal(size=(400, 200)) + np.eye(3, 200)[np.arange(400) % 3]
    narrow = in_span(train, test)
    assert narrow[0].shape == (30, 30)
    np.testing.assert_allclose(narrow[0] @ narrow[0].T, train @ train.T)
    for strength in (0.01, 1.0):
        whole = LogisticRegression(C=strength, tol=1e-9, max_iter=5000).fit(train, labels).predict_proba(test)
        in_the_span = LogisticRegression(C=strength, tol=1e-9, max_iter=5000).fit(narrow[0], labels).predict_proba(narrow[1])
        np.testing.assert_allclose(in_the_span, whole, atol=1e-5)
    [score] = fit(train, labels, [1.0])
    assert score(train, labels) == 1.0


def test_images_without_a_label_are_left_out():
    """They are neither a class nor neighbours, and no test image of theirs is counted as wrong."""
    train, labels = blobs(90, 0.8)
    test, test_labels = blobs(60, 0.8, seed=2)
    known, asked = RNG.random(90) < 0.5, RNG.random(60) < 0.5
    hidden = dataset_of(np.where(known, labels, -1), np.where(asked, test_labels, -1))
    wanted = dataset_of(labels[known], test_labels[asked])
    assert evaluate(train, test, hidden) == evaluate(train[known], test[asked], wanted)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_features_that_are_not_finite_have_no_accuracy(bad):
    train, labels = blobs(90, 0.3)
    broken = np.where(np.arange(90)[:, None] == 3, bad, train)
    for arrays in ((broken, labels, train, labels), (train, labels, broken, labels)):
        assert np.isnan(knn_accuracy(*arrays))
        assert np.isnan(linear_accuracy(*arrays))
    probe = {"params": {"kernel": np.ones((6, 3)), "bias": np.zeros(3)}}
    assert np.isnan(probe_accuracy(probe, broken, labels))


PROBES = {"knn": knn_accuracy, "linear": linear_accuracy, "few": partial(few_label_accuracy, per_class=5)}


@pytest.mark.parametrize("probe", PROBES)
@pytest.mark.parametrize("dtype", [np.float16, np.uint8, np.int64])
def test_features_of_any_precision_are_judged_as_in_float32(probe, dtype):
    """Half precision holds no square of 1,000; more columns than rows, whose basis is found first."""
    train, labels = blobs(60, 2.0)
    test, test_labels = blobs(45, 2.0, seed=2)
    wide = np.random.default_rng(0).normal(size=(6, 70))
    scale = 1000 if dtype == np.float16 else 20
    train, test = (np.clip(np.abs(x @ wide) * scale / 4, 0, 250 * scale / 20).astype(dtype) for x in (train, test))
    score = PROBES[probe]
    assert score(train, labels, test, test_labels) == score(np.float32(train), labels, np.float32(test), test_labels)


@pytest.mark.parametrize("probe", PROBES)
def test_rows_without_a_label_are_left_out_of_every_probe(probe):
    train, labels = blobs(90, 1.0)
    test, test_labels = blobs(60, 1.0, seed=2)
    known, asked = np.arange(90) % 2 == 0, np.arange(60) % 3 > 0
    found = PROBES[probe](train, np.where(known, labels, -1), test, np.where(asked, test_labels, -1))
    assert found == PROBES[probe](train[known], labels[known], test[asked], test_labels[asked])


@pytest.mark.parametrize("probe", PROBES)
def test_arrays_that_do_not_fit_are_told_in_one_line(probe, without_typing_hook):
    train, labels = blobs(30, 0.3)
    test, test_labels = blobs(12, 0.3, seed=2)
    for change, message in (
        ({"train_labels": labels[:, None]}, r"train_labels must have shape \(30,\), got \(30, 1\); one class per row"),
        ({"test_labels": test_labels[:, None]}, r"test_labels must have shape \(12,\), got \(12, 1\)"),
        ({"train_labels": labels[1:]}, r"train_labels must have shape \(30,\), got \(29,\)"),
        ({"train_labels": np.r_[labels, labels]}, r"train_labels must have shape \(30,\), got \(60,\)"),
        ({"test_labels": test_labels[1:]}, r"test_labels must have shape \(12,\), got \(11,\)"),
        ({"train": train[:0], "train_labels": labels[:0]}, "train must have [12] or more rows with a label, got 0 of 0"),
        ({"train_labels": np.full(30, -1)}, "train must have [12] or more rows with a label, got 0 of 30; labels below 0 are none"),
        ({"test": test[:0], "test_labels": test_labels[:0]}, "test must have 1 or more rows with a label, got 0 of 0"),
        ({"test": test[:, :5]}, "test must have 6 columns, as train, got 5"),
        ({"train": train[:, 0]}, r"train must have shape \[N, d\], got \(30,\)"),
    ):
        arrays = {"train": train, "train_labels": labels, "test": test, "test_labels": test_labels} | change
        with pytest.raises(ValueError, match=message):
            PROBES[probe](*arrays.values())
    with pytest.raises(TypeError, match="train_labels must be whole numbers, got dtype float64; number the classes from 0"):
        PROBES[probe](train, labels * 0.5, test, test_labels)
    with pytest.raises(TypeError, match="test must be real numbers, got dtype complex128"):
        PROBES[probe](train, labels, test * 1j, test_labels)


@pytest.mark.parametrize("per_class", [0, -1, 2.5])
def test_a_draw_takes_whole_images(per_class, without_typing_hook):
    train, labels = blobs(30, 0.3)
    with pytest.raises(ValueError, match=f"per_class must be an integer of at least 1, got {per_class}"):
        few_label_accuracy(train, labels, train, labels, per_class=per_class)


def test_a_single_training_image_leaves_none_to_choose_the_strength_by():
    train, labels = blobs(30, 0.3)
    with pytest.raises(ValueError, match="train must have 2 or more rows with a label, got 1 of 1"):
        linear_accuracy(train[:1], labels[:1], train, labels)


def test_no_label_leaves_nothing_to_validate_by():
    with pytest.raises(ValueError, match="labels must name the class of some image, got none among 30; labels below 0 are none"):
        validation_split(np.full(30, -1))


@pytest.mark.parametrize("exponent", [-66, 66])
def test_embedding_scores_do_not_depend_on_the_unit(exponent):
    """Nor on what JAX can hold: it may know float32 only."""
    x = blobs(120, 0.2)[0].astype(np.float32)
    with jax.enable_x64(False):
        assert embedding_scores(np.ldexp(x, exponent)) == pytest.approx(embedding_scores(x), rel=1e-5)


def test_bad_input(without_typing_hook):
    x, labels = blobs(30, 0.2)
    with pytest.raises(ValueError, match="parts must be one of knn, linear, few_label, got 'nearest'"):
        evaluate(x, x, dataset_of(labels, labels), parts=("nearest",))
    with pytest.raises(ValueError, match=r"z must have shape \[N, d\], got \(30,\)"):
        embedding_scores(x[:, 0])


def test_what_is_not_finite_is_watched_as_nan():
    x, labels = blobs(120, 0.2)
    x[3, 2] = np.nan
    record = monitor(x, x, labels, 20)
    assert np.isnan([record["validation_accuracy"], record["rankme"], record["efficiency"], *record["spectrum"]]).all()


@pytest.mark.parametrize("dtype", [bool, np.float32])
def test_labels_that_are_whole_numbers_in_another_type_are_taken(dtype, without_typing_hook):
    x, labels = blobs(60, 0.3)
    labels = labels % 2
    assert knn_accuracy(x, labels.astype(dtype), x, labels.astype(dtype), k=3) == knn_accuracy(x, labels, x, labels, k=3)
