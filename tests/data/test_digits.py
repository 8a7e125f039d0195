"""The embedded digits and the table of data sets."""

import subprocess
import sys

import numpy as np
import pytest
from sklearn.datasets import load_digits

from sslx import data


def test_the_digits_are_all_there_split_by_class():
    digits = data.load("digits")
    assert digits.train_images.shape == (1437, 8, 8, 1)
    assert digits.test_images.shape == (360, 8, 8, 1)
    assert (digits.train_images.dtype, digits.train_labels.dtype) == (np.uint8, np.int32)
    assert set(np.bincount(digits.test_labels)) <= {35, 36, 37}
    pixels = np.sort(np.concatenate([digits.train_images, digits.test_images]).reshape(1797, 64), axis=0)
    np.testing.assert_allclose(pixels * (16 / 255), np.sort(load_digits().data, axis=0), atol=0.05)


def test_an_unknown_name_lists_the_table():
    with pytest.raises(data.DataError, match=r"unknown data set 'mnst'; choose one of digits, cifar10, cifar100, stl10, folder:PATH, "):
        data.load("mnst")


def test_the_room_imports_neither_jax_nor_tensorflow():
    code = "import sys; from sslx import data; data.load('digits'); assert not {'jax', 'flax', 'tensorflow', 'torch'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
