"""Entropy of the representation while SimCLR, BYOL and VICReg train, between a lower and an upper bound.

Claim     Published, as we remember it (Shwartz-Ziv et al., 2023, on CIFAR-10): the entropy of the representation rises during training for
          SimCLR, BYOL and VICReg; at the end it is lowest for SimCLR and highest for VICReg. On the digits that does NOT reproduce: from
          the untrained network the entropy falls for all three, and the order shows on one bound only.
          Here Z = encoder features [1437, 128] of the training images of the digits in inference mode, the same width for every method;
          centred over the images, then every row divided by its length, so that no method gains by its scale; plus Gaussian noise of
          standard deviation 0.2 per coordinate, the same for every method, without which the entropy of finitely many points is -infinity.
          That is a mixture of 1,437 Gaussians; its entropy less that of the noise lies in [0, ln 1437 = 7.27] nats. Lower bound: pairwise
          Bhattacharyya distances; upper: pairwise KL divergences. At 0.2 neither is saturated on trained networks, while the upper bound
          of the untrained one, 7.06, is near its ceiling; both are the best of all that `mixture_entropy_bounds` knows, which the script
          checks on the last checkpoint of every method.
Command   python experiments/vicreg_information/entropy_training.py      (--quick: one seed, 100 steps, 300 images)
Expected  judged on both bounds at width 0.2: the 95 % confidence interval over five seeds of the paired difference of the end and the
          untrained network lies below 0 for all three (--quick: of one seed). Reported: the rise from the lowest checkpoint, and the order
          at the end at widths 0.1, 0.2 and 0.4.
Measured  seeds 0-4, 2 CPU cores, jax 0.10.2. Untrained features have the most (7.06 nats above, 4.54 below) and at the end 0.8 to 1.1
          less; from its lowest checkpoint entropy does rise, by 0.03 to 0.25. BYOL less SimCLR at the end: +0.11 [0.04, 0.18] above, +0.03
          [-0.02, 0.08] below (on runs of an earlier version of the code +0.13 [0.11, 0.16] and +0.04 [0.02, 0.07]: five seeds do not
          settle it); VICReg less BYOL: -0.03 [-0.07, 0.01] and +0.02 [-0.03, 0.07]. The best of all bounds is tighter by less than 0.001
          nats.
          Reference: Shwartz-Ziv et al., 2023, arXiv 2303.00633; Kolchinsky and Tracey, 2017, arXiv 1706.02419.
"""

import argparse
import sys
from itertools import pairwise
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import ttest_1samp

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import _trained
from _trained import NAMES, Row

import _script
from sslx import data, information
from sslx.entropy import LOG_TWO_PI_E, pairwise_entropy_isotropic

METHODS = ("simclr", "byol", "vicreg")  # from lowest to highest, as claimed
WIDTH, OTHERS = 0.2, (0.1, 0.4)
BOUNDS = ("lower", "upper")

pairwise_entropy = jax.jit(pairwise_entropy_isotropic, static_argnames="lower")
best = jax.jit(information.mixture_entropy_bounds)


def normalised(features: np.ndarray) -> jax.Array:
    """Features centred over the images, rows of unit length."""
    centred = features - features.mean(axis=0)
    return jnp.asarray(centred / np.linalg.norm(centred, axis=1, keepdims=True))


def bounds(features: np.ndarray, width: float) -> dict[str, float]:
    """Both bounds, less the entropy of the noise."""
    z = normalised(features)
    noise = z.shape[1] * (LOG_TWO_PI_E / 2 + np.log(width))
    return {name: float(pairwise_entropy(z, width**2, lower=name == "lower")) - noise for name in BOUNDS}


def short_of_best(features: np.ndarray) -> float:
    """By how many nats the best of all bounds is tighter than these two, at the width of the curves."""
    z = normalised(features)
    pair = (float(pairwise_entropy(z, WIDTH**2, lower=lower)) for lower in (True, False))
    lower, upper = map(float, best(z, jnp.asarray(WIDTH**2, z.dtype)))
    return max(lower - next(pair), next(pair) - upper)


def measure(options: argparse.Namespace, images: np.ndarray) -> tuple[list[Row], float]:
    """One row per network kept and width, and the largest shortfall of the bounds used."""
    rows, short = [], 0.0
    for method in METHODS:
        for seed in _trained.seeds_of(options):
            points = list(_trained.checkpoints(options, method, seed, images))
            for point, width in [(point, WIDTH) for point in points] + [(points[-1], width) for width in OTHERS]:
                rows.append({"method": method, "seed": seed, "step": point.step, "width": width, **bounds(point.features, width)})
        short = max(short, short_of_best(points[-1].features))
    return rows, short


def values(rows: list[Row], bound: str, method: str, step: int, width: float = WIDTH) -> np.ndarray:
    """One bound of every seed."""
    return np.array([row[bound] for row in rows if (row["method"], row["step"], row["width"]) == (method, step, width)])


def finding(name: str, difference: np.ndarray) -> tuple[str, float]:
    """Mean and 95 % confidence interval of a paired difference in words, and the upper end."""
    low, high = ttest_1samp(difference, 0).confidence_interval() if len(difference) > 1 else (difference[0],) * 2
    return f"{name} {difference.mean():+.2f} [{low:+.2f}, {high:+.2f}]", float(high)


def judge(rows: list[Row]) -> tuple[list[str], bool]:
    """Every difference in words, and whether entropy falls for all from step 0."""
    last = max(row["step"] for row in rows)
    words, falls = [], []
    for bound in BOUNDS:
        for method in METHODS:
            steps, mean, _ = _trained.curve([row for row in rows if row["method"] == method and row["width"] == WIDTH], bound)
            for start in (0, steps[mean.argmin()]):
                rise = values(rows, bound, method, last) - values(rows, bound, method, start)
                text, most = finding(f"{bound} bound, {NAMES[method]}, step {last} less {start}:", rise)
                words.append(text)
                falls += [most < 0] if start == 0 else []
        for width in (WIDTH, *OTHERS):
            for low, high in pairwise(METHODS):
                gap = values(rows, bound, high, last, width) - values(rows, bound, low, last, width)
                words.append(finding(f"{bound} bound at width {width}, {NAMES[high]} less {NAMES[low]}:", gap)[0])
    return words, all(falls)


def draw(path: Path, rows: list[Row]) -> None:
    """Both bounds over training from the first kept step on; the untrained network, far above, in words."""
    figure, axes = plt.subplots(1, 2, figsize=(2 * _script.COLUMN, 2.4))
    curves = [row for row in rows if row["width"] == WIDTH]
    for axis, bound in zip(axes, reversed(BOUNDS), strict=True):
        for method in METHODS:
            own = [row for row in curves if row["method"] == method and row["step"] > 0]
            _trained.draw_curve(axis, own, bound, _trained.COLOURS[method], NAMES[method])
        untrained = np.mean([row[bound] for row in curves if row["step"] == 0])
        axis.annotate(f"untrained: {untrained:.2f}", (0.03, 0.03), xycoords="axes fraction", color="0.3", fontsize=7)
        axis.set(xlabel="training step", ylabel=f"entropy above noise,\n{bound} bound (nats)")
    axes[0].legend(ncols=3, loc="upper right")
    _script.write_png(path, figure)


def main() -> int:
    """Measure along training, draw, judge."""
    options = _script.arguments(__doc__, "vicreg_information/entropy_training", seeds=5)
    images = data.load("digits").train_images[: 300 if options.quick else None]
    rows, short = measure(options, images)
    _script.write_csv(options.out / "entropy_training.csv", rows)
    draw(options.out / "entropy_training.png", rows)
    words, falls = judge(rows)
    print(*words, sep="\n")
    print(f"the best of all bounds is tighter by {short:.3f} nats")
    text = f"from the untrained network the entropy {'falls' if falls else 'does NOT fall'} for all three, on both bounds"
    return _script.verdict(falls, text)


if __name__ == "__main__":
    sys.exit(main())
