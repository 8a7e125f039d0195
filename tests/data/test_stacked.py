import numpy as np

from sslx.data import Stacked


def test_rows_come_from_the_array_they_lie_in():
    rng = np.random.default_rng(0)
    first, second = (rng.integers(0, 256, (n, 2, 2, 3)).astype(np.uint8) for n in (5, 7))
    rows = rng.permutation(12)
    np.testing.assert_array_equal(Stacked(first, second)[rows], np.concatenate([first, second])[rows])
    assert len(Stacked(first, second)) == 12
