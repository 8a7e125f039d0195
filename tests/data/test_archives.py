"""The original binary archives, written here in their format and read back."""

import numpy as np
import pytest

from data_builders import CIFAR10_FILES, cifar10_members, cifar100_members, stl10_members, tar_bytes
from sslx import data
from sslx.data import _stl10


def unpack(members, root):
    for name, content in members.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


@pytest.mark.parametrize("packed", [True, False])
def test_cifar10(tmp_path, packed, monkeypatch):
    members, images = cifar10_members()
    if packed:
        (tmp_path / "cifar-10-binary.tar.gz").write_bytes(tar_bytes(members))
    else:
        unpack(members, tmp_path)
    monkeypatch.setenv("SSLX_DATA", str(tmp_path))
    found = data.load("cifar10")
    np.testing.assert_array_equal(found.train_images, np.concatenate([images[name] for name in CIFAR10_FILES[:5]]))
    np.testing.assert_array_equal(found.test_images, images["test_batch.bin"])
    np.testing.assert_array_equal(found.train_labels, [0, 1, 9, 1, 2, 9, 2, 3, 9, 3, 4, 9, 4, 5, 9])
    np.testing.assert_array_equal(found.test_labels, [5, 6, 9])
    assert found.classes == tuple(f"name{i}" for i in range(10))


def test_cifar100_has_the_fine_labels(tmp_path):
    members, images = cifar100_members()
    (tmp_path / "cifar-100-binary.tar.gz").write_bytes(tar_bytes(members))
    found = data.load("cifar100", data_dir=tmp_path)
    np.testing.assert_array_equal(found.train_images, images["train.bin"])
    np.testing.assert_array_equal(found.test_images, images["test.bin"])
    np.testing.assert_array_equal(found.train_labels, [0, 99, 50])
    assert (len(found.classes), found.classes[50]) == (100, "fine50")


def test_stl10_has_its_unlabelled_images(tmp_path, monkeypatch):
    monkeypatch.setattr(_stl10, "CHUNK", 2)
    members, images = stl10_members()
    (tmp_path / "stl10_binary.tar.gz").write_bytes(tar_bytes(members))
    calls = []
    found = data.load("stl10", data_dir=tmp_path, progress=lambda done, total: calls.append((done, total)))
    np.testing.assert_array_equal(found.train_images, images["train_X.bin"])
    np.testing.assert_array_equal(found.test_images, images["test_X.bin"])
    np.testing.assert_array_equal(found.unlabelled_images, images["unlabeled_X.bin"])
    np.testing.assert_array_equal(found.train_labels, [0, 9, 4, 4])
    np.testing.assert_array_equal(found.test_labels, [1, 2, 9])
    assert found.classes[3] == "stl3"
    assert calls[-3:] == [(2, 5), (4, 5), (5, 5)]
