"""Are the features of a network Gaussian under Gaussian input noise? The normality test against the level of the noise.

Claim     With little noise on its input a trained network is nearly affine there, so its outputs are Gaussian; they cease to be so as the
          noise grows and leaves the affine region. 50 test images of the digits, 512 draws of noise each, sigma on a logarithmic grid from
          1e-4 to 1 standard deviation of a pixel; D'Agostino-Pearson on each of the 128 encoder features in inference mode, leaving out
          those that do not vary. Were the outputs exactly Gaussian, p would be uniform: mean 0.5, and a fraction 0.99 above 0.01.
Command   python experiments/vicreg_information/normality.py            (--quick: VICReg after 100 steps, 10 images, 4 levels, 2/3 for half)
Expected  for every method, in the mean over five seeds: at the smallest noise mean p within 0.02 of 0.5 and the fraction above 0.98; at
          noise 1 both below half of their ceilings.
Measured  seeds 0-4, CPU: it holds for VICReg, Barlow Twins, SimCLR, BYOL, IsoLoss, supervised and untrained networks. At the smallest
          noise mean p 0.497 to 0.506 and 0.984 to 0.987 above 0.01; at noise 1 mean p 0.08 to 0.13 and 0.26 to 0.43. An untrained network
          is a quarter off its linearisation at any noise: black pixels leave 13 % of its first convolution at the kink of ReLU (seed 0).
          Reference: Shwartz-Ziv et al., 2023, arXiv 2303.00633, whose figure this follows on other data.
"""

import argparse
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from jax import Array

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import _trained
from _trained import Row

import _script
import runs
from sslx import data, information

LABELS = {"mean_p": "mean p-value", "passed": "features with p > 0.01", "curvature": "relative error of\nthe linearisation"}
CEILINGS = {"mean_p": 0.5, "passed": 0.99}


def tester(images: np.ndarray) -> Callable[..., dict[str, float]]:
    """`(encoder variables, seed, sigma) -> ` the values named in `LABELS`; the linearisation in float64, or rounding would show."""
    network = runs.network("vicreg")  # the encoder is that of every method

    def features(variables: Any, image: Array) -> Array:
        return network.apply(variables, image[None], method="features")[0]

    @jax.jit
    def normality(variables: Any, x: Array, key: Array, sigma: Array) -> tuple[Array, Array]:
        p = information.normality_pvalues(key, partial(features, variables), x, sigma)
        return jnp.nanmean(p), jnp.nanmean(jnp.where(jnp.isnan(p), p, p > 0.01))

    @jax.jit
    def curvature(variables: Any, x: Array, key: Array, sigma: Array) -> Array:
        error = partial(information.linearisation_error, partial(features, variables))
        return jnp.mean(jax.vmap(error)(x, sigma * jax.random.normal(key, x.shape, x.dtype)))

    def test(variables: Any, seed: int, sigma: float) -> dict[str, float]:
        p, passed = normality(variables, jnp.asarray(images, jnp.float32), jax.random.key(seed), jnp.float32(sigma))
        with jax.enable_x64(True):
            exact = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), variables)
            error = curvature(exact, jnp.asarray(images, jnp.float64), jax.random.key(seed), jnp.float64(sigma))
        return {"mean_p": float(p), "passed": float(passed), "curvature": float(error)}

    return test


def encoder_only(variables: dict[str, Any]) -> dict[str, Any]:
    """Without the heads, whose shapes differ between methods."""
    return {kind: {"encoder": tree["encoder"]} for kind, tree in variables.items()}


def measure(options: argparse.Namespace, images: np.ndarray, noise: np.ndarray, pixel: float) -> list[Row]:
    """One row per network, seed and level; "untrained" is VICReg's network at step 0."""
    rows: list[Row] = []
    changes, test = _trained.changes_of(options), tester(images)
    for method in ["vicreg"] if options.quick else _trained.NAMES:
        for seed in _trained.seeds_of(options):
            kept = [encoder_only(variables) for _, variables in runs.history(method, seed, **changes)]
            networks = {method: kept[-1]} | ({"untrained": kept[0]} if method == "vicreg" else {})
            for name, variables in networks.items():
                rows += [{"method": name, "seed": seed, "noise": level, **test(variables, seed, level * pixel)} for level in noise]
    return rows


def mean(rows: list[Row], method: str, name: str, level: float) -> float:
    """Mean over seeds."""
    return float(np.mean([row[name] for row in rows if row["method"] == method and row["noise"] == level]))


def draw(path: Path, rows: list[Row]) -> None:
    """Mean p, pass fraction and linearisation error against the noise."""
    figure, axes = plt.subplots(1, 3, figsize=(2 * _script.COLUMN, 2.5))
    for axis, (name, label) in zip(axes, LABELS.items(), strict=True):
        for method in dict.fromkeys(row["method"] for row in rows):
            own = [{**row, "step": row["noise"]} for row in rows if row["method"] == method]
            style = ":" if method == "untrained" else "-"
            _trained.draw_curve(axis, own, name, _trained.COLOURS.get(method, "0.5"), _trained.NAMES.get(method, method), style)
        axis.set(xscale="log", xlabel="noise / pixel deviation", ylabel=label)
        if name in CEILINGS:
            axis.axhline(CEILINGS[name], color=_script.BLACK, linewidth=0.7, linestyle="--")
            axis.set_ylim(0, 1.1 * CEILINGS[name])
    axes[2].set_yscale("log")
    axes[0].legend(loc="lower left", fontsize=6)
    _script.write_png(path, figure)


def failures(rows: list[Row], smallest: float, largest: float, left: float) -> list[str]:
    """What is not as the claim says, in words; `left` of each ceiling is allowed at the largest noise."""
    found = []
    for method in dict.fromkeys(row["method"] for row in rows):
        near, far = ({name: mean(rows, method, name, level) for name in CEILINGS} for level in (smallest, largest))
        for level, values in ((smallest, near), (largest, far)):
            print(f"{method}, noise {level:g}: mean p {values['mean_p']:.3f}, {values['passed']:.3f} of the features with p > 0.01")
        if abs(near["mean_p"] - 0.5) > 0.02 or near["passed"] < 0.98:
            found.append(f"{method} is not Gaussian at the smallest noise")
        if any(far[name] > left * ceiling for name, ceiling in CEILINGS.items()):
            found.append(f"{method} is still Gaussian at the largest noise")
    return found


def main() -> int:
    """Measure, draw, judge."""
    options = _script.arguments(__doc__, "vicreg_information/normality", seeds=5)
    dataset = data.load("digits")
    images = dataset.test_images[: 10 if options.quick else 50] / 255
    pixel = float(np.sqrt(np.mean(np.var(dataset.train_images / 255, axis=0))))
    noise = np.geomspace(1e-4, 1, 4 if options.quick else 9)
    rows = measure(options, images, noise, pixel)
    _script.write_csv(options.out / "normality.csv", rows)
    draw(options.out / "normality.png", rows)
    wrong = failures(rows, noise[0], noise[-1], left=2 / 3 if options.quick else 1 / 2)
    text = "features are Gaussian at the smallest noise and not at the largest, for every network"
    return _script.verdict(not wrong, "; ".join(wrong) or text)


if __name__ == "__main__":
    sys.exit(main())
