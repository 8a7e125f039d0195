"""Random resized crops: a box per image, resampled to one size by two matrix products.

Boxes follow torchvision's `RandomResizedCrop` (whole pixels, ten attempts, then the largest central box of an allowed shape).
Resampling follows Pillow's `Image.resize` applied to the cropped image, which is also torchvision's with `antialias=True`:
sample centres at (i + 1/2) scale - 1/2, a filter as many times wider as the box shrinks, weights that sum to one inside the box,
the horizontal pass first, its result clipped to [0, 1] like that of the second.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Bool, Float, Key

from sslx.augment._views import Images, check_images
from sslx.checks import check_choice

ATTEMPTS = 10


def triangle(u: Array) -> Array:
    """max(0, 1 - |u|): bilinear interpolation."""
    return jnp.maximum(0, 1 - jnp.abs(u))


def cubic(u: Array) -> Array:
    """Keys' cubic convolution with a = -1/2, Pillow's "bicubic"."""
    u = jnp.abs(u)
    near, far = (1.5 * u - 2.5) * u * u + 1, ((-0.5 * u + 2.5) * u - 4) * u + 2
    return jnp.where(u < 1, near, jnp.where(u < 2, far, 0))


FILTERS: dict[str, tuple[Callable[[Array], Array], float]] = {"bilinear": (triangle, 1.0), "bicubic": (cubic, 2.0)}


def crop_boxes(
    keys: Key[Array, " N"],
    height: int,
    width: int,
    *,
    scale: tuple[float, float] = (0.08, 1.0),
    ratio: tuple[float, float] = (3 / 4, 4 / 3),
) -> Float[Array, "N 4"]:
    """Random boxes (top, left, height, width) in pixels.

    The area is uniform in `scale` times that of the image, the logarithm of width / height uniform between those of `ratio`,
    both sides rounded to whole pixels; the position is uniform among those that fit. Where ten attempts give no box that
    fits, it is the largest central one whose shape lies within `ratio`.

    Raises:
        ValueError: unless 0 < scale[0] <= scale[1] and 0 < ratio[0] <= ratio[1].
    """
    if not 0 < scale[0] <= scale[1]:
        raise ValueError(f"scale must be a range (low, high) of numbers above 0, got {scale}; (0.08, 1.0) is the default")
    if not 0 < ratio[0] <= ratio[1]:
        raise ValueError(f"ratio must be a range (low, high) of numbers above 0, got {ratio}; (3 / 4, 4 / 3) is the default")
    aspect = min(max(width / height, ratio[0]), ratio[1])
    central_height, central_width = min(height, max(1, round(width / aspect))), min(width, max(1, round(height * aspect)))
    central = jnp.array([(height - central_height) // 2, (width - central_width) // 2, central_height, central_width], jnp.float32)

    def box(key: Array) -> Array:
        u, v, row, column = jax.random.uniform(key, (4, ATTEMPTS), jnp.float32)
        area = height * width * (scale[0] + (scale[1] - scale[0]) * u)
        aspects = jnp.exp(jnp.log(ratio[0]) + (jnp.log(ratio[1]) - jnp.log(ratio[0])) * v)
        heights, widths = jnp.round(jnp.sqrt(area / aspects)), jnp.round(jnp.sqrt(area * aspects))
        tops, lefts = jnp.floor(row * (height - heights + 1)), jnp.floor(column * (width - widths + 1))
        fits = (heights >= 1) & (heights <= height) & (widths >= 1) & (widths <= width)
        first = jnp.argmax(fits)
        return jnp.where(fits.any(), jnp.stack([tops, lefts, heights, widths])[:, first], central)

    return jax.vmap(box)(keys).astype(jnp.float32)


def resize_matrices(
    start: Float[Array, " N"], length: Float[Array, " N"], size: int, target: int, interpolation: str
) -> Float[Array, "N target size"]:
    """Weights that resample the pixels [start, start + length) of an axis of `size` pixels to `target` samples."""
    check_choice("interpolation", interpolation, FILTERS)
    kernel, support = FILTERS[interpolation]
    shrink = length[:, None, None] / target
    stretch = jnp.maximum(shrink, 1)
    samples, pixels = jnp.arange(target, dtype=jnp.float32)[:, None] + 0.5, jnp.arange(size, dtype=jnp.float32) + 0.5
    offset = pixels - start[:, None, None] - samples * shrink
    inside = (pixels > start[:, None]) & (pixels < (start + length)[:, None])
    weights = kernel(offset / stretch) * inside[:, None] * (jnp.abs(offset) < support * stretch)
    return weights / weights.sum(-1, keepdims=True)


def resized_crop(
    images: Images,
    boxes: Float[Array, "N 4"],
    size: tuple[int, int],
    *,
    interpolation: str = "bicubic",
    mirrored: Bool[Array, " N"] | None = None,
) -> Float[Array, "N h w C"]:
    """Cut a box out of every image and resample it to one size, antialiased where it shrinks; values are clipped to [0, 1].

    Args:
        images: [N, H, W, C] in [0, 1].
        boxes: (top, left, height, width) in whole pixels, inside the image.
        size: height and width of the result.
        interpolation: "bilinear" or "bicubic".
        mirrored: which images are flipped left to right, [N].

    Returns:
        Images [N, h, w, C] of the same dtype.

    Raises:
        TypeError: the images are not floating-point.
        ValueError: they are not [N, H, W, C], or the interpolation is unknown.
    """
    check_images(images)
    _, height, width, _ = images.shape
    top, left, rows, columns = boxes.astype(jnp.float32).T
    down = resize_matrices(top, rows, height, size[0], interpolation)
    across = resize_matrices(left, columns, width, size[1], interpolation)
    if mirrored is not None:
        across = jnp.where(mirrored[:, None, None], across[:, ::-1], across)
    return separable(images, down, across)


def separable(images: Images, down: Float[Array, "N h H"], across: Float[Array, "N w W"]) -> Float[Array, "N h w C"]:
    """down_n image_n across_n^T in every channel, clipped to [0, 1] after each product as Pillow does between its two passes."""
    kind = jnp.promote_types(images.dtype, jnp.float32)

    def product(equation: str, matrices: Array, x: Array) -> Array:
        x = jnp.einsum(equation, matrices.astype(x.dtype), x, precision=lax.Precision.HIGHEST, preferred_element_type=kind)
        return jnp.clip(x, 0, 1).astype(images.dtype)

    return product("nhi,niwc->nhwc", down, product("nwj,nijc->niwc", across, images))
