"""What grain reads ahead is what the host's own batches are."""

import itertools
from functools import partial

import jax
import numpy as np
import pytest

from sslx.data import Stacked
from sslx.train import batches, streamed

IMAGES = np.random.default_rng(0).integers(0, 256, (22, 2, 2, 1)).astype(np.uint8)
LABELS = np.arange(22, dtype=np.int32)


@pytest.mark.parametrize("images", [IMAGES, Stacked(IMAGES[:9], IMAGES[9:])])
def test_a_stream_is_the_same_batches_from_any_step_to_the_last(images):
    got = list(streamed(images, LABELS, 8, seed=3, start=1, stop=6))
    want = list(itertools.islice(batches(IMAGES, LABELS, 8, seed=3, start=1), 5))
    assert len(got) == 5
    for a, b in zip(got, want, strict=True):
        np.testing.assert_array_equal(a[0], b[0])
        np.testing.assert_array_equal(a[1], b[1])


@pytest.mark.parametrize("read", [batches, partial(streamed, stop=3)])
def test_the_parts_of_two_processes_are_the_batch(read):
    whole = next(iter(read(IMAGES, LABELS, 8, seed=3, start=2)))
    parts = [next(iter(read(IMAGES, LABELS, 8, seed=3, start=2, part=np.arange(4) + 4 * i))) for i in range(2)]
    for found, want in zip(zip(*parts, strict=True), whole, strict=True):
        np.testing.assert_array_equal(np.concatenate(found), want)


def test_a_batch_of_more_than_there_is_is_refused():
    for read in (batches, partial(streamed, start=0, stop=1)):
        for size in (0, len(IMAGES) + 1):
            with pytest.raises(ValueError, match=rf"batch_size must be from 1 to {len(IMAGES)}, the number of images, got {size}"):
                read(IMAGES, LABELS, size, seed=0)


def test_a_memory_mapped_array_is_read(tmp_path):
    np.save(tmp_path / "images.npy", IMAGES)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    (images, labels), *_ = streamed(mapped, LABELS, 8, seed=0, start=0, stop=1)
    np.testing.assert_array_equal(images, IMAGES[labels])


def test_where_jax_has_no_cpu_the_order_is_found_on_the_accelerator(monkeypatch):
    """JAX_PLATFORMS=cuda leaves jax without one."""
    want = next(batches(IMAGES, LABELS, 8, seed=3))

    def local_devices(*, backend=None):
        raise RuntimeError(f"Unknown backend {backend}. Available backends are ['cuda']")

    monkeypatch.setattr(jax, "local_devices", local_devices)
    np.testing.assert_array_equal(next(streamed(IMAGES, LABELS, 8, seed=3, start=0, stop=1))[0], want[0])
