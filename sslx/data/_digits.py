"""Scikit-learn's handwritten digits: 1,797 real 8x8 scans that come with the library, so a first run needs no download."""

import numpy as np

from sslx.data._dataset import Dataset


def digits() -> Dataset:
    """The digits with 360 stratified test images (random_state 0) and 1,437 training images, grey levels 0..16 spread over 0..255."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    images, labels = load_digits(return_X_y=True)
    images = np.round(images.reshape(-1, 8, 8, 1) * (255 / 16)).astype(np.uint8)
    labels = labels.astype(np.int32)
    train, test = train_test_split(np.arange(len(images)), test_size=360, random_state=0, stratify=labels)
    return Dataset("digits", images[train], labels[train], images[test], labels[test], tuple(map(str, range(10))))
