"""Views of handwritten digits: geometry first, then intensity and noise."""

import math

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Key

from sslx.augment._geometry import affine
from sslx.augment._views import Images, Index, check_batch, example_keys

KNOTS = 4  # the elastic field is drawn on KNOTS x KNOTS points


def digits_view(
    key: Key[Array, ""],
    images: Images,
    index: Index,
    *,
    rotation: float = 15.0,
    log_scale: float = 0.2,
    shear: float = 0.2,
    shift: float = 1.0,
    elastic: float = 0.5,
    gain: float = 0.4,
    gamma: float = 0.4,
    noise: float = 0.1,
) -> Images:
    """A random affine and elastic deformation, then exp(a) x^exp(b) + noise.

    Args:
        key: the batch's key.
        images: [N, H, W, C] in [0, 1].
        index: global index of every example, [N].
        rotation: the angle is uniform in +- this many degrees.
        log_scale: the logarithm of the magnification is uniform in +- this.
        shear: the shear is uniform in +- this.
        shift: rows and columns move by up to this many pixels.
        elastic: standard deviation of the smooth displacement of each pixel, in pixels.
        gain: a is uniform in +- this.
        gamma: b is uniform in +- this.
        noise: standard deviation of the independent noise of each pixel.

    Returns:
        Images of the same shape and dtype; gain and noise may lead out of [0, 1].

    Raises:
        TypeError: the images are not floating-point.
        ValueError: the shapes are not [N, H, W, C] and [N].
    """
    check_batch(images, index)
    _, height, width, channels = images.shape
    ranges = jnp.array([math.radians(rotation), log_scale, shear, shift, shift, gain, gamma], jnp.float32)
    pixels = height * width * channels

    def draw(k: Array) -> tuple[Array, Array]:
        uniform, normal = jax.random.split(k)
        normals = jax.random.normal(normal, (pixels + 2 * KNOTS**2,), jnp.float32)
        return ranges * jax.random.uniform(uniform, ranges.shape, jnp.float32, -1, 1), normals

    parameters, normals = jax.vmap(draw)(example_keys(key, index))
    angles, scales, shears, rows, columns, gains, gammas = parameters.T
    field = elastic * smooth_field(normals[:, pixels:].reshape(-1, KNOTS, KNOTS, 2), height, width)
    warped = affine(images, affine_matrices(angles, scales, shears), jnp.stack([rows, columns], -1), field)
    exponents, factors = (jnp.exp(p)[:, None, None, None].astype(images.dtype) for p in (gammas, gains))
    return factors * jnp.clip(warped, 0, 1) ** exponents + noise * normals[:, :pixels].reshape(images.shape).astype(images.dtype)


def affine_matrices(angles: Float[Array, " N"], log_scales: Float[Array, " N"], shears: Float[Array, " N"]) -> Float[Array, "N 2 2"]:
    """exp(-log_scale) R(angle) [[1, shear], [0, 1]], from output to input: a positive log-scale magnifies."""
    cos, sin = jnp.cos(angles), jnp.sin(angles)
    rotations = jnp.stack([jnp.stack([cos, -sin], -1), jnp.stack([sin, cos], -1)], -2)
    columns = jnp.stack([rotations[..., 0], shears[:, None] * rotations[..., 0] + rotations[..., 1]], -1)
    return jnp.exp(-log_scales)[:, None, None] * columns


def smooth_field(knots: Float[Array, "N K K 2"], height: int, width: int) -> Float[Array, "N H W 2"]:
    """Standard normals on a coarse grid spread to a smooth field that has unit variance at every pixel."""
    down, across = (spread(knots.shape[1], size) for size in (height, width))
    return jnp.einsum("hi,wj,nijc->nhwc", down, across, knots)


def spread(count: int, size: int) -> Float[Array, "size count"]:
    """Gaussian weights of `count` equally spaced knots at `size` pixels, each row of unit Euclidean norm."""
    distance = jnp.linspace(0, count - 1, size)[:, None] - jnp.arange(count)
    weights = jnp.exp(-0.5 * distance**2).astype(jnp.float32)
    return weights / jnp.linalg.norm(weights, axis=1, keepdims=True)
