"""The scores of raw pixels: the protocol's, found once for each data set and each version of the protocol."""

import json

import numpy as np
import pytest

from sslx import data, evaluate
from sslx.baseline import raw_scores
from sslx.evaluate import _few_label


@pytest.fixture
def dataset():
    """Two classes that differ in the brightness of one pixel."""
    rng = np.random.default_rng(0)
    labels = np.arange(60, dtype=np.int32) % 2
    images = rng.integers(0, 200, (60, 4, 4, 1)).astype(np.uint8)
    images[labels == 1, 0, 0] += 55
    return data.Dataset("two", images[:40], labels[:40], images[40:], labels[40:], ("dark", "bright"))


@pytest.fixture
def evaluations(monkeypatch, tmp_path):
    """How often something was evaluated, with an empty cache."""
    calls, real = [], evaluate.evaluate
    monkeypatch.setattr(_few_label, "DRAWS", 2)
    monkeypatch.setenv("SSLX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(evaluate, "evaluate", lambda *arrays, **options: calls.append(arrays) or real(*arrays, **options))
    return calls


def test_raw_pixels_are_scored_once_by_the_protocol(dataset, evaluations):
    first = raw_scores(dataset)
    assert raw_scores(dataset) == first
    assert len(evaluations) == 1
    assert first == evaluate.evaluate(
        *(images.reshape(len(images), 16).astype(np.float32) / 255 for images in (dataset.train_images, dataset.test_images)), dataset
    )


@pytest.mark.parametrize("field", ["train_images", "train_labels", "test_images", "test_labels"])
def test_other_images_or_labels_are_scored_anew(field, dataset, evaluations):
    raw_scores(dataset)
    changed = getattr(dataset, field).copy()
    changed[0] = 1 - changed[0]
    raw_scores(dataset._replace(**{field: changed}))
    assert len(evaluations) == 2


def test_other_code_of_the_protocol_scores_anew(dataset, evaluations, monkeypatch, tmp_path):
    raw_scores(dataset)
    (tmp_path / "__init__.py").write_text("another protocol")
    monkeypatch.setattr(evaluate, "__file__", str(tmp_path / "__init__.py"))
    raw_scores(dataset)
    assert len(evaluations) == 2


def test_a_cache_that_cannot_be_used_costs_time_only(dataset, evaluations, monkeypatch, tmp_path):
    wanted = raw_scores(dataset)
    [kept] = (tmp_path / "cache").iterdir()
    kept.write_text("{half a fi")
    assert raw_scores(dataset) == wanted
    assert json.loads(kept.read_text()) == wanted
    (tmp_path / "file").touch()
    monkeypatch.setenv("SSLX_CACHE", str(tmp_path / "file"))
    assert raw_scores(dataset) == wanted
    assert len(evaluations) == 3
