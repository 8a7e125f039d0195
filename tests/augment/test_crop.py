"""Random resized crops: boxes against a sequential reference, resampling against Pillow."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from sslx.augment import crop_boxes, resized_crop

FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def draw(count, height, width, **options):
    keys = jax.random.split(jax.random.key(0), count)
    return np.asarray(jax.jit(lambda k: crop_boxes(k, height, width, **options))(keys))


def reference_boxes(rng, count, height, width, scale, ratio):
    """The algorithm of torchvision's RandomResizedCrop, one attempt after the other."""
    boxes = []
    for _ in range(count):
        for _ in range(10):
            area = height * width * rng.uniform(*scale)
            aspect = np.exp(rng.uniform(*np.log(ratio)))
            w, h = round(np.sqrt(area * aspect)), round(np.sqrt(area / aspect))
            if 0 < w <= width and 0 < h <= height:
                boxes.append((rng.integers(0, height - h + 1), rng.integers(0, width - w + 1), h, w))
                break
    return np.array(boxes)


def test_boxes_have_the_distribution_of_the_sequential_algorithm():
    height, width = 40, 24
    boxes = draw(20_000, height, width)
    wanted = reference_boxes(np.random.default_rng(1), 20_000, height, width, (0.08, 1), (3 / 4, 4 / 3))
    top, left, h, w = boxes.T
    np.testing.assert_array_equal(boxes, np.round(boxes))
    assert min(top.min(), left.min()) >= 0
    assert min(h.min(), w.min()) >= 1
    assert (top + h).max() <= height
    assert (left + w).max() <= width

    def statistics(boxes):
        top, left, h, w = boxes.T
        columns = (h * w / (height * width), np.log(w / h), top / height, left / width)
        return np.array([f(column) for column in columns for f in (np.mean, np.std)])

    np.testing.assert_allclose(statistics(boxes), statistics(wanted), atol=0.01)


def test_without_a_box_that_fits_the_largest_central_one_is_taken():
    np.testing.assert_array_equal(draw(3, 20, 20, scale=(1.0, 1.0), ratio=(2.0, 2.5)), [[5, 0, 10, 20]] * 3)
    np.testing.assert_array_equal(draw(3, 10, 40, scale=(2.0, 2.0), ratio=(0.5, 1.0)), [[0, 15, 10, 10]] * 3)


@pytest.mark.parametrize("interpolation", FILTERS)
@pytest.mark.parametrize("size", [(32, 32), (9, 14)])
def test_resampling_equals_pillow(interpolation, size):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (6, 24, 30, 3)).astype(np.uint8)
    boxes = np.array([[0, 0, 24, 30], [3, 4, 10, 7], [20, 0, 4, 30], [0, 29, 24, 1], [5, 5, 9, 14], [23, 0, 1, 30]])
    crop = jax.jit(lambda x, b: resized_crop(x, b, size, interpolation=interpolation))
    out = np.asarray(crop(images / 255, np.float32(boxes)))
    for n, (top, left, h, w) in enumerate(boxes):
        cut = images[n, top : top + h, left : left + w]
        for c in range(3):
            wide = Image.fromarray(cut[..., c].astype(np.float32) / 255).resize((size[1], h), FILTERS[interpolation])
            exact = Image.fromarray(np.clip(wide, 0, 1)).resize(size[::-1], FILTERS[interpolation])
            np.testing.assert_allclose(out[n, ..., c], np.clip(exact, 0, 1), atol=1e-5)
        # 8-bit Pillow rounds after each pass; it runs the vertical one first where only that shrinks, hence two calls.
        rounded = Image.fromarray(cut).resize((size[1], h), FILTERS[interpolation]).resize(size[::-1], FILTERS[interpolation])
        assert np.abs(np.round(out[n] * 255) - np.asarray(rounded)).max() <= 1


def test_a_mirrored_crop_is_the_crop_flipped():
    images, boxes = np.random.default_rng(0).random((2, 9, 11, 3)), np.array([[1.0, 2.0, 6.0, 8.0]] * 2)
    crop = jax.jit(lambda images, boxes, mirrored: resized_crop(images, boxes, (7, 7), mirrored=mirrored))
    out, both = (np.asarray(crop(images, boxes, np.array([False, second]))) for second in (True, False))
    np.testing.assert_array_equal(out[0], both[0])
    np.testing.assert_allclose(out[1], both[1, :, ::-1], rtol=1e-12)


def test_an_unknown_filter_is_refused():
    with pytest.raises(ValueError, match=r"interpolation must be one of bilinear, bicubic, got 'lanczos'"):
        resized_crop(jnp.zeros((1, 4, 4, 3)), jnp.array([[0.0, 0.0, 4.0, 4.0]]), (4, 4), interpolation="lanczos")


def test_a_box_has_a_pixel_at_least():
    boxes = crop_boxes(jax.random.split(jax.random.key(0), 2), 1, 1, ratio=(3.0, 4.0))
    np.testing.assert_array_equal(boxes, [[0, 0, 1, 1]] * 2)
