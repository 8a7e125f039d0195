"""Image files -> uint8 RGB arrays of one size, on all cores."""

import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from PIL import Image, ImageOps

from sslx.data._cache import check_room, write_images
from sslx.data._dataset import DataError, Progress

EXTENSIONS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".ppm", ".pgm", ".tif", ".tiff")
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "PPM", "TIFF")
KINDS = "PNG, JPEG, WebP, BMP, PPM or TIFF"
LARGEST_SIDE = 256
CHUNK = 64
S = TypeVar("S")
T = TypeVar("T")
Part = tuple[Callable[[Any], np.ndarray], Sequence[Any]]  # what decodes each of some items


@contextmanager
def opened(path: str, data: bytes | None = None) -> Iterator[Image.Image]:
    """A still image of at most 8 bits per channel, from a file or from `data`; whatever goes wrong names `path`."""
    try:
        with Image.open(path if data is None else BytesIO(data), formats=FORMATS) as image:
            frames = getattr(image, "n_frames", 1)
            if frames > 1 and image.format != "MPO":  # a photograph that carries its preview
                raise DataError(f"{path} has {frames} frames, wanted a still image; save one of its frames")
            if image.mode[0] in "IF":
                raise DataError(f"{path} has more than 8 bits per channel (mode {image.mode}), wanted 8; convert it to 8 bits")
            yield image
    except DataError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise DataError(
            f"{path} has more than {Image.MAX_IMAGE_PIXELS:,} pixels, as a decompression bomb has; remove it or scale it down"
        ) from None
    except Image.UnidentifiedImageError:
        raise DataError(f"{path} is no readable {KINDS} image; remove or replace it") from None
    except Exception as error:  # a decoder may raise anything on damaged bytes
        raise DataError(f"{path} cannot be decoded ({error}); remove or replace it") from None


class Header(NamedTuple):
    """Height and width of an image, and whether it is grey."""

    size: tuple[int, int]
    grey: bool


def probe(path: str, data: bytes | None = None) -> Header:
    """Read the header of an image."""
    with opened(path, data) as image:
        return Header((image.height, image.width), image.mode in ("1", "L", "LA"))


def decode(path: str, size: tuple[int, int], data: bytes | None = None) -> np.ndarray:
    """RGB pixels [*size, 3]; an image of another size is scaled to cover it and cut at the centre."""
    with opened(path, data) as image:
        if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
            image = image.convert("RGBA")
            if np.asarray(image)[..., 3].min() < 255:
                raise DataError(f"{path} has transparent pixels, whose colour is undefined; put it on a background and save it as RGB")
        image = image.convert("RGB")
        if (image.height, image.width) != size:
            image = ImageOps.fit(image, (size[1], size[0]), Image.Resampling.BICUBIC)
        return np.asarray(image)


def common_size(headers: Sequence[Header]) -> tuple[tuple[int, int], tuple[str, ...]]:
    """The size that all images are decoded to, with notes for the reader.

    It is their own where they share one, else a square whose side is the median of their shorter sides, at most LARGEST_SIDE.
    """
    sizes = {header.size for header in headers}
    grey = sum(header.grey for header in headers)
    notes = (f"{grey} of {len(headers)} images are grey: their level stands in all three channels",) if grey else ()
    if len(sizes) == 1:
        return sizes.pop(), notes
    side = min(LARGEST_SIDE, int(np.median([min(header.size) for header in headers])))
    low, high = ("x".join(map(str, size)) for size in (min(sizes), max(sizes)))
    note = f"images come in {len(sizes)} sizes, {low} to {high}: each was scaled to cover {side}x{side} pixels and cut at the centre"
    return (side, side), (note, *notes)


def in_parallel(work: Callable[[S], T], items: Sequence[S], progress: Callable[[int], None] | None = None) -> Iterator[T]:
    """`work` on every item, in order; `progress` hears how many are done. Pillow's decoders run outside the interpreter's lock."""
    cores = os.cpu_count() or 1
    window = 4 * cores * CHUNK  # a few chunks ahead of the reader, not the whole set
    with warnings.catch_warnings(), ThreadPoolExecutor(cores) as pool:
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        for first in range(0, len(items), window):
            chunks = [items[i : i + CHUNK] for i in range(first, min(first + window, len(items)), CHUNK)]
            for done in pool.map(lambda chunk: [work(item) for item in chunk], chunks):
                yield from done
            if progress is not None:
                progress(min(first + window, len(items)))


def write_parts(out: Path, parts: Mapping[str, Part], labels: Mapping[str, np.ndarray], size: tuple[int, int], progress: Progress) -> None:
    """Decode the parts into the cache folder `out`, with those labels that there are; `progress` hears of all of them as one.

    Raises:
        DataError: images cannot be decoded; it names them all, up to ten, so that nobody decodes the others once for each.
    """
    count, before, refused = sum(len(items) for _, items in parts.values()), 0, []
    check_room(out, (count, *size, 3))

    def attempt(work: Callable[[Any], np.ndarray], item: Any) -> np.ndarray:
        try:
            return work(item)
        except DataError as error:
            refused.append(str(error))
            return np.zeros((*size, 3), np.uint8)

    for part, (work, items) in parts.items():
        images = in_parallel(partial(attempt, work), items, lambda done, before=before: progress(before + done, count))
        write_images(out / f"{part}_images.npy", (len(items), *size, 3), images)
        if part in labels:
            np.save(out / f"{part}_labels.npy", labels[part])
        before += len(items)
    if refused:
        raise DataError(" | ".join(sorted(refused)[:10]) + (f" | {len(refused) - 10} more" if len(refused) > 10 else ""))
