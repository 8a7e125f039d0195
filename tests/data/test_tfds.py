"""Data sets prepared by tensorflow-datasets, here by a builder of our own."""

import logging
import sys

import numpy as np
import pytest
import tensorflow_datasets
from PIL import Image

from data_builders import picture
from sslx import data


class TinyPictures(tensorflow_datasets.core.GeneratorBasedBuilder):
    """Ten training and four test images of two classes."""

    VERSION = tensorflow_datasets.core.Version("1.2.0")
    KEYS = "image", "label"

    def _info(self):
        known = {
            "image": tensorflow_datasets.features.Image(shape=(8, 8, 3)),
            "label": tensorflow_datasets.features.ClassLabel(names=["x", "y"]),
        }
        features = tensorflow_datasets.features.FeaturesDict({key: known[key] for key in self.KEYS})
        supervised = self.KEYS if "label" in self.KEYS else None
        return tensorflow_datasets.core.DatasetInfo(builder=self, features=features, supervised_keys=supervised)

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(0, 10), "test": self._generate_examples(100, 4)}

    def _generate_examples(self, first, count):
        for i in range(count):
            example = {"image": Image.fromarray(picture(first + i)), "label": i % 2}
            yield i, {key: example[key] for key in self.KEYS}


class BarePictures(TinyPictures):
    """The same without labels."""

    KEYS = ("image",)


class ContestPictures(TinyPictures):
    """With a validation split beside a test split whose labels are -1, as those of ImageNet are."""

    def _split_generators(self, dl_manager):
        secret = ((i, {**example, "label": -1}) for i, example in self._generate_examples(100, 4))
        return {"train": self._generate_examples(0, 10), "test": secret, "validation": self._generate_examples(200, 6)}


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    path = tmp_path_factory.mktemp("tfds")
    TinyPictures(data_dir=str(path), file_format="array_record").download_and_prepare()
    return path


@pytest.mark.parametrize("name", ["tfds:tiny_pictures", "tiny_pictures", "tfds:tiny_pictures/1.2.0"])
def test_a_prepared_set_is_read_by_its_name(directory, name):
    found = data.load(name, data_dir=directory)
    assert found.classes == ("x", "y")
    for images, labels, first, count in ((found.train_images, found.train_labels, 0, 10), (found.test_images, found.test_labels, 100, 4)):
        pixels = {picture(first + i).tobytes(): i % 2 for i in range(count)}
        assert [pixels.pop(image.tobytes()) for image in images] == labels.tolist()
        assert pixels == {}


def test_a_set_without_labels_is_read_without_them(tmp_path):
    BarePictures(data_dir=str(tmp_path), file_format="array_record").download_and_prepare()
    found = data.load("bare_pictures", data_dir=tmp_path)
    assert (found.classes, found.notes) == ((), ("no example has a label",))
    assert {image.tobytes() for image in found.train_images} == {picture(i).tobytes() for i in range(10)}
    np.testing.assert_array_equal(found.test_labels, [-1] * 4)


def test_a_test_split_whose_labels_are_kept_secret_gives_way_to_validation(tmp_path):
    ContestPictures(data_dir=str(tmp_path), file_format="array_record").download_and_prepare()
    found = data.load("contest_pictures", data_dir=tmp_path)
    assert {image.tobytes() for image in found.test_images} == {picture(200 + i).tobytes() for i in range(6)}
    assert sorted(found.test_labels) == [0, 0, 0, 1, 1, 1]


def test_of_the_splits_for_testing_the_first_with_a_class_is_taken_else_the_first():
    nothing, secret, bare, known, later = [], [{"label": -1}], [{"image": b""}], [{"label": 0}], [{"label": 1}]
    assert data._tfds.first_with_classes([nothing, secret, bare, known, later], "label") is known
    assert data._tfds.first_with_classes([secret, nothing, bare], "label") is secret


def test_the_highest_version_is_taken(directory, tmp_path):
    for version in ("1.2.0", "1.10.0", "1.9.1"):
        (tmp_path / "tiny_pictures" / version).mkdir(parents=True)
        for file in (directory / "tiny_pictures/1.2.0").iterdir():
            (tmp_path / "tiny_pictures" / version / file.name).write_bytes(file.read_bytes())
    assert data._tfds.prepared(tmp_path, "tiny_pictures").name == "1.10.0"


@pytest.mark.parametrize("kept", [0, 40, 0.5])
def test_damaged_records_are_one_line(directory, tmp_path, kept):
    target = tmp_path / "tiny_pictures/1.2.0"
    target.mkdir(parents=True)
    for file in (directory / "tiny_pictures/1.2.0").iterdir():
        content = file.read_bytes()
        damaged = content[: int(kept * len(content)) if kept < 1 else kept] + bytes(40) if "train" in file.name else content
        (target / file.name).write_bytes(damaged)
    with pytest.raises(data.DataError, match=r"1\.2\.0 is (damaged at example|no prepared set)") as caught:
        data.load("tiny_pictures", data_dir=tmp_path)
    assert str(caught.value).isprintable()


def test_without_tensorflow_datasets_it_is_asked_for(directory, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    with pytest.raises(
        data.DataError, match=r"1\.2\.0 cannot be read without tensorflow_datasets; pip install tensorflow-datasets array-record"
    ):
        data.load("tiny_pictures", data_dir=directory)


def test_the_readers_advice_is_kept_off_standard_error():
    logger = logging.getLogger("absl")
    before = logger.level
    with data._tfds.quiet():
        assert not logger.isEnabledFor(logging.WARNING)
    assert logger.level == before


def test_preparing_asks_for_the_format_that_needs_no_tensorflow(directory, tmp_path, monkeypatch):
    monkeypatch.setattr(tensorflow_datasets, "builder", lambda name, **options: TinyPictures(**options))
    data.prepare("tiny_pictures", tmp_path)
    assert len(data.load("tiny_pictures", data_dir=tmp_path).train_images) == 10


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            ModuleNotFoundError("No module named 'tensorflow'", name="tensorflow"),
            "without tensorflow; pip install tensorflow-cpu and try again",
        ),
        (ConnectionError("no\nroute"), r"ConnectionError: no\\nroute\); check the name and the network"),
    ],
)
def test_a_failure_to_prepare_is_one_line(tmp_path, monkeypatch, error, message):
    def fail(name, **options):
        raise error

    monkeypatch.setattr(tensorflow_datasets, "builder", fail)
    with pytest.raises(data.DataError, match=message):
        data.prepare("mnist", tmp_path)
