import numpy as np

from sslx.data import Chosen, Stacked


def test_rows_come_from_the_array_they_lie_in():
    rng = np.random.default_rng(0)
    first, second = (rng.integers(0, 256, (n, 2, 2, 3)).astype(np.uint8) for n in (5, 7))
    rows = rng.permutation(12)
    np.testing.assert_array_equal(Stacked(first, second)[rows], np.concatenate([first, second])[rows])
    assert len(Stacked(first, second)) == 12


def test_chosen_rows_are_not_copied_before_they_are_asked_for():
    images = np.random.default_rng(0).integers(0, 256, (9, 2, 2, 3)).astype(np.uint8)
    kept = np.asarray([7, 1, 4])
    chosen = Chosen(images, kept)
    assert len(chosen) == 3
    images[4] = 0
    np.testing.assert_array_equal(chosen[np.asarray([2, 0])], images[[4, 7]])
