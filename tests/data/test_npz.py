"""NumPy archives."""

import numpy as np
import pytest

from sslx import data
from sslx.data._dataset import stratified_split

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (10, 6, 5, 3)).astype(np.uint8)
LABELS = np.array([0, 1] * 5)


def test_images_and_labels_come_as_they_were_saved(tmp_path):
    np.savez_compressed(
        tmp_path / "set.npz", images=IMAGES, labels=LABELS, test_images=IMAGES[:4, ::-1], test_labels=LABELS[:4], other=np.zeros(3)
    )
    found = data.load(f"npz:{tmp_path}/set.npz")
    np.testing.assert_array_equal(found.train_images, IMAGES)
    np.testing.assert_array_equal(found.test_images, IMAGES[:4, ::-1])
    np.testing.assert_array_equal(found.train_labels, LABELS)
    assert (found.train_labels.dtype, found.classes) == (np.int32, ("0", "1"))
    assert found.notes == (f"the arrays other of {tmp_path}/set.npz are passed over",)


def test_without_test_images_a_fifth_of_every_class_is_held_out(tmp_path):
    labels = np.array([0, 1, -1, 1, 0, 0, 1, 1, 0, 0])
    np.savez(tmp_path / "set.npz", images=IMAGES[..., 0], labels=labels)
    found = data.load(f"npz:{tmp_path}/set.npz")
    assert found.train_images.shape == (8, 6, 5, 1)
    np.testing.assert_array_equal(np.sort(found.train_labels), [-1, 0, 0, 0, 0, 1, 1, 1])
    np.testing.assert_array_equal(np.sort(found.test_labels), [0, 1])
    assert "a fifth of every class, 2 images, is held out for testing" in found.notes[0]
    pixels = {image.tobytes(): label for image, label in zip(IMAGES[..., :1], labels, strict=True)}
    for image, label in zip(found.test_images, found.test_labels, strict=True):
        assert pixels[image.tobytes()] == label


@pytest.mark.parametrize("classes", [("a", "b"), ()])
def test_what_is_held_out_is_drawn_at_random_but_always_the_same(classes):
    """Neighbours in a file may be frames of one video."""
    labels = np.repeat([0, 1], 50) if classes else np.full(100, -1)
    kept, held = stratified_split(labels, classes)
    np.testing.assert_array_equal(stratified_split(labels, classes)[1], held)
    assert sorted([*kept, *held]) == list(range(100))
    assert len(held) == 20
    assert len(set(np.diff(held))) > 2


def test_images_alone_are_a_data_set_without_labels(tmp_path):
    np.savez(tmp_path / "alone.npz", images=IMAGES)
    found = data.load(f"npz:{tmp_path}/alone.npz")
    assert (found.classes, found.notes) == ((), ("there are no test_images: a fifth of all, 2 images, is held out for testing",))
    assert set(found.train_labels) == set(found.test_labels) == {-1}
    assert {image.tobytes() for image in (*found.train_images, *found.test_images)} == {image.tobytes() for image in IMAGES}
    np.savez(tmp_path / "both.npz", images=IMAGES, test_images=IMAGES[:4])
    found = data.load(f"npz:{tmp_path}/both.npz")
    np.testing.assert_array_equal(found.train_images, IMAGES)
    np.testing.assert_array_equal(found.test_labels, [-1] * 4)
    assert (found.classes, found.notes) == ((), ())


def test_more_images_without_labels_are_kept_apart(tmp_path):
    np.savez(tmp_path / "set.npz", images=IMAGES, labels=LABELS, unlabelled_images=IMAGES[:3, :, ::-1])
    found = data.load(f"npz:{tmp_path}/set.npz")
    np.testing.assert_array_equal(found.unlabelled_images, IMAGES[:3, :, ::-1])
    assert (len(found.train_images), len(found.test_images), found.classes) == (8, 2, ("0", "1"))
