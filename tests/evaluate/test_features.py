import numpy as np
import pytest

from sslx.evaluate import extract, jitted, raw_pixels

IMAGES = np.random.default_rng(0).integers(0, 256, (11, 4, 4, 1)).astype(np.uint8)


def test_batches_of_any_size_give_the_features_of_one_batch():
    apply = jitted(lambda scale, x: (scale * x.reshape(len(x), -1), x.sum((1, 2))))
    whole, total = apply(2.0, IMAGES)
    for size in (3, 4, 11, 50):
        features, sums = extract(apply, 2.0, IMAGES, batch_size=size)
        np.testing.assert_allclose(features, whole, rtol=1e-6)
        np.testing.assert_allclose(sums, total, rtol=1e-6)


def test_whoever_asks_hears_how_many_images_are_done():
    heard = []
    extract(jitted(lambda _, x: x), None, IMAGES, batch_size=4, progress=lambda *counts: heard.append(counts))
    assert heard == [(0, 11), (4, 11), (8, 11)]


def test_the_encoder_is_compiled_once():
    shapes = []
    extract(jitted(lambda _, x: shapes.append(x.shape) or x), None, IMAGES, batch_size=4)
    assert shapes == [(4, 4, 4, 1)]


def test_raw_pixels_lie_between_0_and_1():
    np.testing.assert_allclose(raw_pixels(IMAGES), IMAGES.reshape(11, 16) / 255, rtol=1e-6)


def test_raw_pixels_of_large_images_are_means_over_squares():
    images = np.random.default_rng(1).integers(0, 256, (3, 70, 41, 2)).astype(np.uint8)  # 23 squares of 3 x 3, and 13
    squares = [[images[:, 3 * i : 3 * i + 3, 3 * j : 3 * j + 3].mean((1, 2)) for j in range(13)] for i in range(23)]
    np.testing.assert_allclose(raw_pixels(images), np.array(squares).transpose(2, 0, 1, 3).reshape(3, -1) / 255, rtol=1e-5)


def test_raw_pixels_of_a_narrow_strip_are_not_averaged_away():
    strip = np.arange(200, dtype=np.uint8).reshape(1, 2, 100, 1)
    np.testing.assert_allclose(raw_pixels(strip), strip.reshape(1, 2, 50, 2).mean((1, 3)) / 255, rtol=1e-6)


def test_raw_pixels_of_images_between_0_and_1_are_these():
    np.testing.assert_allclose(raw_pixels(np.float32(IMAGES) / 255), raw_pixels(IMAGES), rtol=1e-6)


def test_bad_input(without_typing_hook):
    for size in (0, -1):
        with pytest.raises(ValueError, match=f"batch_size must be an integer of at least 1, got {size}"):
            extract(lambda _, x: x, None, IMAGES, batch_size=size)
    for features in (raw_pixels, lambda images: extract(lambda _, x: x, None, images)):
        with pytest.raises(ValueError, match=r"images must be at least one, got shape \(0, 4, 4, 1\)"):
            features(IMAGES[:0])
    with pytest.raises(ValueError, match=r"images must have shape \[N, H, W, C\], got \(11, 4, 4\); grey images have one channel"):
        raw_pixels(IMAGES[..., 0])


def test_masks_are_zeros_and_ones_and_whole_numbers_go_up_to_255():
    apply, masks = jitted(lambda _, images: images), IMAGES > 100
    np.testing.assert_array_equal(apply(None, masks), masks.astype(np.float32))
    for dtype in (np.int32, np.uint16):
        np.testing.assert_array_equal(apply(None, IMAGES.astype(dtype)), apply(None, IMAGES))
        np.testing.assert_array_equal(raw_pixels(IMAGES.astype(dtype)), raw_pixels(IMAGES))
    np.testing.assert_array_equal(raw_pixels(masks), masks.reshape(len(masks), -1))
