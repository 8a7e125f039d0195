"""Gaussian blur against scipy.ndimage."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from sslx.augment import gaussian_blur


@pytest.mark.parametrize("radius", [2, 8])
def test_blur_equals_scipy_with_a_mirrored_border(radius):
    images = np.random.default_rng(0).random((4, 9, 13, 3))
    sigmas = np.array([0.1, 0.7, 2.0, 0.0])
    out = jax.jit(lambda x, s: gaussian_blur(x, s, radius=radius))(jnp.asarray(images), jnp.asarray(sigmas))
    np.testing.assert_array_equal(out[3], images[3])
    for n in range(3):
        wanted = ndimage.gaussian_filter(images[n], sigmas[n], axes=(0, 1), radius=radius, mode="mirror")
        np.testing.assert_allclose(out[n], wanted, atol=1e-6)


def test_a_radius_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"radius must lie in \[0, 5\] for 6x8 images, got 6"):
        gaussian_blur(jnp.zeros((1, 6, 8, 3)), jnp.ones(1), radius=6)
