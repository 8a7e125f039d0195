"""Views of natural images per second on the device, against a Pillow pipeline with the same recipe in the same run.

Claim     Written as matrix products and fused elementwise work, a full random view (crop, flip, jitter, grey, blur, solarize) costs less
          on one CPU than the same operations in Pillow, the usual place for them, and leaves images and views on the device.
Command   python experiments/benchmarks/views.py
          --quick takes fewer images of 32 pixels only and judges that both pipelines run, not their speed.
Expected  more views per second than Pillow on one core, at 32 and at 96 pixels.
"""

import random
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import _script
from sslx.augment import natural_view

RECIPE = {"blur": 0.5, "solarize": 0.2}


def pillow_view(rng: random.Random, image: Image.Image) -> np.ndarray:
    """One view of an 8-bit image with the operations and probabilities of `natural_view`."""
    width, height = image.size
    for _ in range(10):
        area, aspect = width * height * rng.uniform(0.08, 1), np.exp(rng.uniform(np.log(3 / 4), np.log(4 / 3)))
        w, h = round(np.sqrt(area * aspect)), round(np.sqrt(area / aspect))
        if 0 < w <= width and 0 < h <= height:
            break
    else:
        w, h = width, height
    left, top = rng.randint(0, width - w), rng.randint(0, height - h)
    x = image.crop((left, top, left + w, top + h)).resize((width, height), Image.Resampling.BICUBIC)
    x = ImageOps.mirror(x) if rng.random() < 0.5 else x
    if rng.random() < 0.8:
        x = pillow_jitter(rng, x)
    x = x.convert("L").convert("RGB") if rng.random() < 0.2 else x
    x = x.filter(ImageFilter.GaussianBlur(rng.uniform(0.1, 2))) if rng.random() < RECIPE["blur"] else x
    x = ImageOps.solarize(x) if rng.random() < RECIPE["solarize"] else x
    return np.asarray(x, np.float32) / 255


def pillow_jitter(rng: random.Random, x: Image.Image) -> Image.Image:
    """Brightness, contrast, saturation and hue in random order."""

    def turn(x: Image.Image) -> Image.Image:
        hue, saturation, value = x.convert("HSV").split()
        step = round(255 * rng.uniform(-0.1, 0.1))
        turned = Image.fromarray((np.asarray(hue).astype(np.int16) + step).astype(np.uint8))
        return Image.merge("HSV", (turned, saturation, value)).convert("RGB")

    steps = [
        lambda x: ImageEnhance.Brightness(x).enhance(rng.uniform(0.6, 1.4)),
        lambda x: ImageEnhance.Contrast(x).enhance(rng.uniform(0.6, 1.4)),
        lambda x: ImageEnhance.Color(x).enhance(rng.uniform(0.8, 1.2)),
        turn,
    ]
    rng.shuffle(steps)
    for step in steps:
        x = step(x)
    return x


def views_per_second(run: Callable[[int], object], views: int, repeats: int) -> float:
    """The fastest of `repeats` runs, each with a seed of its own, after one to warm up."""
    seconds = []
    for seed in range(repeats + 1):
        begin = time.perf_counter()
        run(seed)
        seconds.append(time.perf_counter() - begin)
    return views / min(seconds[1:])


def measure(images: np.ndarray, repeats: int, seed: int) -> dict[str, float]:
    """Views per second of both pipelines on uint8 images [N, S, S, 3]."""
    n = len(images)
    on_device, index = jnp.asarray(images, jnp.float32) / 255, jnp.arange(n)
    view = jax.jit(partial(natural_view, **RECIPE))
    device = views_per_second(lambda k: view(jax.random.key(seed + k), on_device, index).block_until_ready(), n, repeats)
    pictures, rng = [Image.fromarray(image) for image in images], random.Random(seed)
    pillow = views_per_second(lambda _: np.stack([pillow_view(rng, picture) for picture in pictures]), n, repeats)
    return {"size": images.shape[1], "images": n, "sslx": round(device), "pillow": round(pillow), "ratio": round(device / pillow, 2)}


def main() -> int:
    """Measure, draw, judge."""
    options = _script.arguments(__doc__, "views")
    sizes = {32: 64} if options.quick else {32: 1024, 96: 256}
    rng = np.random.default_rng(options.seed)
    rows = [
        measure(rng.integers(0, 256, (n, size, size, 3)).astype(np.uint8), 2 if options.quick else 5, options.seed)
        for size, n in sizes.items()
    ]
    for row in rows:
        print(
            f"{row['size']}x{row['size']}: sslx {row['sslx']} views/s on {jax.devices()[0].device_kind}, Pillow {row['pillow']} on one core"
        )
    _script.write_csv(options.out / "views.csv", rows)
    figure, axes = plt.subplots(figsize=(_script.COLUMN, 2.2))
    places = np.arange(len(rows))
    for shift, name in ((-0.2, "sslx"), (0.2, "pillow")):
        axes.bar(places + shift, [row[name] for row in rows], 0.4, label=name)
    axes.set_xticks(places, [f"{row['size']} px" for row in rows])
    axes.set(ylabel="views per second", yscale="log")
    axes.legend()
    _script.write_png(options.out / "views.png", figure)
    worst = min(row["ratio"] for row in rows)
    return _script.verdict(options.quick or worst > 1, f"at least {worst} times as many views per second as Pillow")


if __name__ == "__main__":
    sys.exit(main())
