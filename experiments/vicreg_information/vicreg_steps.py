"""From the log-determinant of the covariance to VICReg's two terms: what each step leaves out, while networks train.

Claim     VICReg's variance and covariance terms stand for the negative entropy of a Gaussian: -1/2 ln det S becomes hinge + covariance / 4
          by a tangent, a clip, an expansion about R = I and the replacement of correlations by covariances. Exactly,
          -1/2 ln det S = hinge + covariance / 4 + tangent gap + clip gap + expansion gap + correlation gap.
          On the embeddings that VICReg's own training produces they do NOT stand for it: at its end the sizes of the gaps add up to
          more than a tenth of |1/2 ln det S|, and the largest is that of covariances in place of correlations.
Command   python experiments/vicreg_information/vicreg_steps.py        (--quick: one seed, 100 steps)
          Projections of the 1,437 training images of the digits in inference mode; the account in float64.
Expected  both in the mean over seeds; that the account closes to 1e-9 nats per feature at every checkpoint is a check of the code, true by
          construction, and no part of the claim.
Measured  seeds 0-4, CPU: at the end, nats per feature, -1/2 ln det S = 3.55, hinge 0.31, covariance / 4 0.62, and the gaps add up to 2.62
          (0.74 of 3.55), most of it (2.17) from covariances in place of correlations: standard deviations stay below 1 and correlations
          far from 0. The account closes to 1e-15.
          Reference: Bardes, Ponce, LeCun, 2022, arXiv 2105.04906; Shwartz-Ziv et al., 2023, arXiv 2303.00633.
"""

import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import _trained

import _script
from sslx import data, information

GAPS = {"tangent_gap": "tangent", "clip_gap": "clip", "expansion_gap": "expansion", "correlation_gap": "correlation"}
TERMS = {"neg_log_det": r"$-\frac{1}{2}\ln\det S$", "neg_log_std": r"$-\sum\ln s_k$", "hinge": "hinge", "covariance/4": "covariance / 4"}
SMALL = 0.1


def measure(method: str, seed: int, step: int, z: np.ndarray) -> _trained.Row:
    """Every term of the decomposition per feature, and by how much the account fails to close."""
    with jax.enable_x64(True):
        terms = information.vicreg_decomposition(jnp.asarray(z, jnp.float64))
        row = {name: float(value) / z.shape[1] for name, value in terms._asdict().items()}
    row["covariance/4"] = row["covariance"] / 4
    row["gaps"] = sum(abs(row[name]) for name in GAPS)
    row["unaccounted"] = row["hinge"] + row["covariance/4"] + sum(row[name] for name in GAPS) - row["neg_log_det"]
    return {"method": method, "seed": seed, "step": step, **row}


def draw(path: Path, rows: list[_trained.Row]) -> None:
    """The terms, and the gap of every step, over VICReg's training."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(2 * _script.COLUMN, 2.5))
    colours = (_script.BLACK, _script.SKY, _script.BLUE, _script.ORANGE)
    for (name, label), colour, style in zip(TERMS.items(), colours, ("-", "--", "-", "-"), strict=True):
        _trained.draw_curve(left, rows, name, colour, label, style)
    for (name, label), colour in zip(GAPS.items(), (_script.BLUE, _script.RED, _script.GREEN, _script.PURPLE), strict=True):
        _trained.draw_curve(right, rows, name, colour, label)
    for axis, label in ((left, "nats per feature"), (right, "gap (nats per feature)")):
        axis.axhline(0, color="0.7", linewidth=0.6, zorder=0)
        axis.set(xlabel="training step", ylabel=label)
        axis.legend()
    _script.write_png(path, figure)


def main() -> int:
    """Measure along training, draw, judge."""
    options = _script.arguments(__doc__, "vicreg_information/vicreg_steps", seeds=5)
    images = data.load("digits").train_images
    rows = [
        measure("vicreg", seed, point.step, point.z)
        for seed in _trained.seeds_of(options)
        for point in _trained.checkpoints(options, "vicreg", seed, images)
    ]
    _script.write_csv(options.out / "vicreg_steps.csv", rows)
    draw(options.out / "vicreg_steps.png", rows)
    worst = max(abs(row["unaccounted"]) for row in rows)
    end = {name: _trained.curve(rows, name)[1][-1] for name in (*TERMS, *GAPS, "gaps")}
    print("at the end, nats per feature:", ", ".join(f"{name} {value:.3f}" for name, value in end.items()))
    share, largest = end["gaps"] / abs(end["neg_log_det"]), max(GAPS, key=lambda name: abs(end[name]))
    passed = share > SMALL and largest == "correlation_gap"
    text = f"the gaps add up to {share:.2f} of |1/2 ln det S| at the end of training (claimed: more than {SMALL}), the largest is the "
    return _script.verdict(passed, f"{text}{GAPS[largest]} gap (claimed: correlation); account closes to {worst:.1e}")


if __name__ == "__main__":
    sys.exit(main())
