"""Distances between raw images against the width of the Gaussians that the data hypothesis puts around them.

Claim     Raw images lie far apart, so that narrow Gaussians N(x_n, sigma^2 I) around them do not overlap. Judged here: with sigma a tenth
          of the pixels' standard deviation, fewer than 1 % of the images overlap their nearest neighbour, that is have a Bhattacharyya
          coefficient exp(-r^2 / (8 sigma^2)) above 0.01. It is also measured where that stops to hold.
Command   python experiments/vicreg_information/pairwise_distances.py
          --dataset NAME (digits, folder:PATH, ...), --images N (at most N training images, drawn at random; nearest neighbours among
          fewer images are farther away); --quick takes 400 images.
Expected  digits, all 1,437 images: no overlap at 0.1, and 1 % of the images overlap once sigma reaches 0.35 pixel deviations.
Measured  digits, 1,437 images, 2 CPU cores, jax 0.10.2: none overlaps at 0.1, and 1 % from 0.35 pixel deviations (of 0.270) on.
          Reference: Shwartz-Ziv et al., 2023, arXiv 2303.00633, whose histogram of distances this follows.
"""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import _script
from sslx import data

OVERLAP = 0.01  # Bhattacharyya coefficient from which two Gaussians count as overlapping
WANTED_NOISE, WANTED_FRACTION = 0.1, 0.01


def squared_distances(x: np.ndarray) -> np.ndarray:
    """||x_i - x_j||^2 in float64, [N, N], infinite on the diagonal."""
    x = x - x.mean(axis=0)
    square = np.sum(x**2, axis=1)
    distances = np.maximum(square[:, None] + square - 2 * x @ x.T, 0)
    np.fill_diagonal(distances, np.inf)
    return distances


def overlapping_fraction(nearest: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """Fraction of images whose nearest neighbour, at distance `nearest` [N], overlaps them, for every sigma."""
    return np.mean(np.exp(-(nearest**2) / (8 * sigma[:, None] ** 2)) > OVERLAP, axis=1)


def draw(path: Path, distances: np.ndarray, nearest: np.ndarray, noise: np.ndarray, fraction: np.ndarray, name: str) -> None:
    """The histograms, and the overlap against the noise."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(2 * _script.COLUMN, 2.3))
    bins = np.linspace(0, distances.max(), 60)
    left.hist(distances, bins, density=True, color=_script.BLUE, alpha=0.7, label="all pairs")
    left.hist(nearest, bins, density=True, color=_script.ORANGE, alpha=0.7, label="nearest neighbours")
    left.set(xlabel="distance between images (grey levels in [0, 1])", ylabel="density", title=name)
    left.legend()
    right.semilogx(noise, 100 * fraction, color=_script.BLUE)
    right.axvline(WANTED_NOISE, color=_script.BLACK, linewidth=0.6, linestyle="--")
    right.set(xlabel="$\\sigma$ / standard deviation of a pixel", ylabel="images that overlap\na neighbour (%)")
    _script.write_png(path, figure)


def main() -> int:
    """Load, measure, draw, judge."""
    options = _script.arguments(__doc__, "vicreg_information/pairwise_distances", dataset="digits", images=4000)
    images = data.load(options.dataset).train_images
    count = min(len(images), 400 if options.quick else options.images)
    rows = np.sort(np.random.default_rng(options.seed).choice(len(images), count, replace=False))
    x = np.asarray(images[rows], np.float64).reshape(count, -1) / 255
    pixel = np.sqrt(np.mean(x.var(axis=0)))
    squared = squared_distances(x)
    nearest, distances = np.sqrt(squared.min(axis=1)), np.sqrt(squared[np.triu_indices(count, 1)])
    noise = np.geomspace(1e-2, 3, 200)
    fraction = overlapping_fraction(nearest, noise * pixel)
    levels = {"least": 0, "percent": 0.01, "median": 0.5}
    quantiles = {f"pair_{name}": np.quantile(distances, q) for name, q in levels.items()}
    quantiles |= {f"nearest_{name}": np.quantile(nearest, q) for name, q in levels.items()}
    _script.write_csv(options.out / "distances.csv", [{"dataset": options.dataset, "images": count, "pixel_std": pixel, **quantiles}])
    _script.write_csv(options.out / "overlap.csv", [{"sigma": s, "fraction": f} for s, f in zip(noise, fraction, strict=True)])
    draw(options.out / "pairwise_distances.png", distances, nearest, noise, fraction, f"{options.dataset}, {count:,} images")
    found = overlapping_fraction(nearest, np.array([WANTED_NOISE * pixel]))[0]
    limit = quantiles["nearest_percent"] / np.sqrt(8 * np.log(1 / OVERLAP)) / pixel
    print("distances:", ", ".join(f"{name} {value:.3f}" for name, value in quantiles.items()))
    print(f"pixel standard deviation {pixel:.3f}; 1 % of the images overlap a neighbour from sigma = {limit:.2f} of it on")
    return _script.verdict(found < WANTED_FRACTION, f"{found:.1%} of the images overlap at sigma = {WANTED_NOISE} of it (wanted < 1 %)")


if __name__ == "__main__":
    sys.exit(main())
