import numpy as np
import pytest

from sslx.pixels import unit_interval

GREY = np.array([[0, 51, 255]])


@pytest.mark.parametrize(
    ("images", "values"),
    [(GREY.astype(np.uint8), [0, 0.2, 1]), (GREY, [0, 0.2, 1]), (GREY > 60, [0, 0, 1]), (np.float32(GREY), [0, 51, 255])],
)
def test_pixels_of_every_type(images, values):
    for dtype in (np.float32, np.float64):
        found = unit_interval(images, dtype)
        np.testing.assert_allclose(found, [values], rtol=1e-7)
        assert found.dtype == (images.dtype if images.dtype.kind == "f" else dtype)
