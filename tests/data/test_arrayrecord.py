"""ArrayRecord files of tf.train.Examples, in shards or not, named in the ways people do."""

import sys

import numpy as np
import pytest

from data_builders import write_records
from sslx import data


@pytest.mark.parametrize(
    ("train", "test"),
    [
        (["train.array_record"], "test.array_record"),
        (["set-train.array_record-00000-of-00002", "set-train.array_record-00001-of-00002"], "set-validation.array_record-00000-of-00001"),
        (["train-00000-of-00002.arrayrecord", "train-00001-of-00002.arrayrecord"], "val-00000-of-00001.arrayrecord"),
        (["ab_test-train.array_record-00000-of-00001"], "ab_test-test.array_record-00000-of-00001"),
        (["my_train-train.array_record"], "my_train-test.array_record"),
    ],
)
def test_records_come_in_order_as_pixels_and_labels(tmp_path, train, test):
    wanted = [image for seed, name in enumerate(train) for image in write_records(tmp_path / name, [1, 0, 2, -1], 100 * seed)]
    held = write_records(tmp_path / test, [2, 0], 1000)
    (tmp_path / "strain.array_record.json").write_text("not one of them")
    found = data.load(f"arrayrecord:{tmp_path}")
    np.testing.assert_array_equal(found.train_images, wanted)
    np.testing.assert_array_equal(found.train_labels, [1, 0, 2, -1] * len(train))
    np.testing.assert_array_equal(found.test_images, held)
    np.testing.assert_array_equal(found.test_labels, [2, 0])
    assert (found.classes, found.notes) == (("0", "1", "2"), ())


def test_without_test_files_a_fifth_of_every_class_is_held_out(tmp_path):
    write_records(tmp_path / "train.array_record", [0, 1] * 5)
    calls = []
    found = data.load(f"arrayrecord:{tmp_path}", progress=lambda *call: calls.append(call))
    assert calls == [(8, 10), (10, 10)]
    assert (len(found.train_images), sorted(found.test_labels.tolist())) == (8, [0, 1])
    assert "a fifth of every class, 2 images, is held out for testing" in found.notes[0]


def test_examples_without_labels_are_a_data_set_without_labels(tmp_path):
    pixels = write_records(tmp_path / "train.array_record", [None] * 10)
    found = data.load(f"arrayrecord:{tmp_path}")
    assert (found.classes, set(found.train_labels), set(found.test_labels), len(found.test_images)) == ((), {-1}, {-1}, 2)
    assert {image.tobytes() for image in (*found.train_images, *found.test_images)} == {each.tobytes() for each in pixels}
    held_out = "there is no test split: a fifth of all, 2 images, is held out for testing"
    assert found.notes == ("no example has a label", held_out)


def test_parts_without_examples_are_as_if_they_were_not_there(tmp_path):
    write_records(tmp_path / "train.array_record", [None] * 10)
    for name in ("test", "unlabelled"):
        write_records(tmp_path / f"{name}.array_record", [])
    found = data.load(f"arrayrecord:{tmp_path}")
    assert (len(found.train_images), len(found.test_images), found.unlabelled_images) == (8, 2, None)


@pytest.mark.parametrize(("word", "labels"), [("unlabelled", [None, None]), ("unlabeled", [-1, 7])])
def test_more_images_without_labels_are_kept_apart(tmp_path, word, labels):
    write_records(tmp_path / "set-train.array_record", [0, 1])
    write_records(tmp_path / "set-test.array_record", [0, 1], 100)
    pixels = write_records(tmp_path / f"set-{word}.array_record", labels, 1000)
    found = data.load(f"arrayrecord:{tmp_path}")
    np.testing.assert_array_equal(found.unlabelled_images, pixels)
    assert (len(found.train_images), len(found.test_images), found.classes) == (2, 2, ("0", "1"))


def test_without_the_reader_it_is_asked_for(tmp_path, monkeypatch):
    write_records(tmp_path / "train.array_record", [0, 1])
    for name in [name for name in sys.modules if name.startswith("array_record")]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(data.DataError, match=r"train\.array_record cannot be read without array_record.*; pip install tensorflow-datasets"):
        data.load(f"arrayrecord:{tmp_path}")
