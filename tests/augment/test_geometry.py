"""Bilinear resampling against scipy.ndimage."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from sslx import augment

affine, warp = jax.jit(augment.affine), jax.jit(augment.warp)


def random_case(height, width, n=5):
    rng = np.random.default_rng(height)
    images = rng.random((n, height, width, 2))
    matrices = np.eye(2) + rng.uniform(-0.5, 0.5, (n, 2, 2))
    return images, matrices, rng.uniform(-2, 2, (n, 2))


@pytest.mark.parametrize(("height", "width"), [(8, 8), (11, 6)])
def test_affine_equals_scipy(height, width):
    images, matrices, shifts = random_case(height, width)
    centre = np.array([height - 1, width - 1]) / 2
    out = np.asarray(affine(images, matrices, shifts))
    for n, (matrix, shift) in enumerate(zip(matrices, shifts, strict=True)):
        for c in range(2):
            offset = centre + shift - matrix @ centre
            wanted = ndimage.affine_transform(images[n, ..., c], matrix, offset, order=1, mode="grid-constant")
            np.testing.assert_allclose(out[n, ..., c], wanted, atol=1e-12)
            # Mode "constant" does not interpolate towards the outside: the two agree wherever a sample lies inside.
            hard = ndimage.affine_transform(images[n, ..., c], matrix, offset, order=1, mode="constant", cval=np.nan)
            inside = ~np.isnan(hard)
            assert inside.any()
            np.testing.assert_allclose(out[n, ..., c][inside], hard[inside], atol=1e-12)


def test_a_displacement_adds_to_the_map():
    images, matrices, shifts = random_case(7, 9)
    field = np.random.default_rng(0).normal(size=(5, 7, 9, 2))
    out = np.asarray(affine(images, matrices, shifts, field))
    centre = np.array([3.0, 4.0])
    grid = np.stack(np.meshgrid(np.arange(7), np.arange(9), indexing="ij"), -1)
    for n in range(5):
        at = (grid - centre) @ matrices[n].T + centre + shifts[n] + field[n]
        wanted = ndimage.map_coordinates(images[n, ..., 1], at.transpose(2, 0, 1), order=1, mode="grid-constant")
        np.testing.assert_allclose(out[n, ..., 1], wanted, atol=1e-12)


def test_the_identity_and_whole_pixel_shifts_are_exact():
    images = random_case(6, 6)[0]
    eye = np.tile(np.eye(2), (5, 1, 1))
    np.testing.assert_array_equal(affine(images, eye, np.zeros((5, 2))), images)
    shifted = np.asarray(affine(images, eye, np.tile(np.array([1.0, 0.0]), (5, 1))))
    np.testing.assert_array_equal(shifted[:, :-1], images[:, 1:])
    np.testing.assert_array_equal(shifted[:, -1], 0)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float32, jnp.float64])
def test_the_dtype_of_the_images_is_kept(dtype):
    images, matrices, shifts = random_case(8, 8)
    out = affine(images.astype(dtype), np.float32(matrices), np.float32(shifts))
    assert out.dtype == dtype
    np.testing.assert_allclose(np.float64(out), affine(images, matrices, shifts), atol=0.02)


def test_maps_in_half_precision_lead_to_exact_pixels():
    """A bfloat16 between 16 and 32 knows eighths of a pixel."""
    images, *maps = random_case(40, 40)
    half = [x.astype(jnp.bfloat16) for x in maps]
    np.testing.assert_allclose(affine(images, *half), affine(images, *map(np.float32, half)), atol=1e-12)


def test_samples_far_outside_are_zero():
    far = np.array([[[1e6, 2.0], [-1e6, 2.0], [2.0, 40.0], [2.0, -9.0], [-1.0, 2.0]]])
    np.testing.assert_array_equal(warp(np.ones((1, 5, 5, 1)), far), 0)
    gradient = jax.jit(jax.grad(lambda x: warp(x, far).sum()))(np.ones((1, 5, 5, 1)))
    np.testing.assert_array_equal(gradient, 0)
