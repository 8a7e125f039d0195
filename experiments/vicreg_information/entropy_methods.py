"""Do entropy terms beat the terms that they replace? LogDet and PairDist on VICReg and on BYOL against their parents, on the digits.

Claim     With its terms against collapse replaced by an entropy estimate (VICReg), or an entropy estimate added (BYOL), a method gets
          better: the 95 % confidence interval of the paired difference of variant and parent over five seeds lies above zero. There are
          sixteen such intervals (four variants, four scores), and they are not corrected for their number.
Command   python experiments/vicreg_information/entropy_methods.py     (--quick: BYOL with and without LogDet, 40 steps, 2 seeds)
          Every method has the same budget: learning rate 3e-3 or 8e-3 x three values of one coefficient (`GRID`), six runs of 200 steps
          with the first seed. The winner has the best accuracy of a probe with two labels per class (10 draws) on validation images, a
          fifth of the training split; it is trained for 400 steps with five seeds and tested on the 360 test images. Everything else is
          that of the preset. Runs that are in runs.jsonl in --out are not repeated, so an interrupted call goes on where it stopped.
Expected  no sign is expected; the script fails where a method stays below raw pixels with 10 labels per class, since its tuning has then
          failed and the comparison says nothing.
          Reference: Shwartz-Ziv et al., 2023, arXiv 2303.00633 (the idea); the coefficients are ours.
Measured  CPU, jax 0.10.2, seeds 0-4, points against the parent with 2 / 5 / 10 labels per class and by kNN, * where the interval leaves
          zero out: VICReg + LogDet +1.2* +0.5 +0.9* +1.3*; VICReg + PairDist -1.2* -1.0* -0.4 +1.0; BYOL + LogDet -1.9* -2.2* -1.7*
          +0.2; BYOL + PairDist +0.5 +0.3 +0.3 -0.2. So it is LogDet on VICReg only whose intervals lie above zero. With 2 labels the
          parents have 90.3 +- 0.8 (VICReg) and 83.6 +- 1.3 (BYOL); none is below raw pixels with 10. Both BYOL variants won at the
          smallest coefficient of the grid, so that a smaller one may do better.
"""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from _tuning import Ledger, Row, Run
from scipy.stats import ttest_1samp

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import _script
from sslx import data, evaluate

RATES = (3e-3, 8e-3)
GRID: dict[str, tuple[str, tuple[float, ...]]] = {
    "vicreg": ("cov_coeff", (0.25, 1.0, 4.0)),
    "vicreg_logdet": ("entropy_coeff", (160.0, 640.0, 2560.0)),
    "vicreg_pairdist": ("entropy_coeff", (160.0, 640.0, 2560.0)),
    "byol": ("ema", (0.9, 0.96, 0.99)),
    "byol_logdet": ("entropy_coeff", (1.0, 8.0, 64.0)),
    "byol_pairdist": ("entropy_coeff", (1.0, 8.0, 64.0)),
}
NAMES = {"vicreg": "VICReg", "byol": "BYOL", "logdet": "LogDet", "pairdist": "PairDist"}
SCORES = {"2": "2 labels per class", "5": "5 labels per class", "10": "10 labels per class", "kNN": "kNN, all labels"}


def title(method: str) -> str:
    """VICReg + LogDet."""
    return " + ".join(NAMES[part] for part in method.split("_"))


def tune(ledger: Ledger, method: str, seed: int, *, steps: int, count: int) -> Run:
    """The run with the best validation accuracy among the first `count` of the grid."""
    name, values = GRID[method]
    runs = [Run(method, rate, name, value, seed, steps) for value in values for rate in RATES][:count]
    best = max(runs, key=lambda run: ledger[run]["validation"])
    print(f"{title(method)}: best of {len(runs)} {ledger[best]}", flush=True)
    return best


def compare(rows: dict[str, list[Row]], variant: str) -> list[Row]:
    """Mean difference to the parent over seeds in points, with its 95 % confidence interval, one row per score."""
    parent, found = variant.split("_")[0], []
    for score in SCORES:
        differences = [100 * (a[score] - b[score]) for a, b in zip(rows[variant], rows[parent], strict=True)]
        interval = ttest_1samp(differences, 0).confidence_interval()
        found.append(
            {"variant": variant, "score": score, "points": float(np.mean(differences)), "low": interval.low, "high": interval.high}
        )
    return found


def markdown(rows: dict[str, list[Row]]) -> str:
    """Mean and standard deviation over seeds, in per cent."""
    lines = []
    for method, own in rows.items():
        values = [[100 * row[score] for row in own] for score in SCORES]
        setting = f"lr {own[0]['learning_rate']:g}, {own[0]['coefficient']} {own[0]['value']:g}"
        lines.append([title(method), setting, *(f"{np.mean(v):.1f} ± {np.std(v, ddof=1):.1f}" for v in values)])
    return _script.markdown(["", "setting", *SCORES.values()], lines)


def draw(path: Path, rows: dict[str, list[Row]], differences: list[Row]) -> None:
    """Accuracy with two labels per class, a point per seed, and the differences to the parents."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(2 * _script.COLUMN, 2.4))
    for height, own in enumerate(rows.values()):
        values = [100 * row["2"] for row in own]
        left.plot(values, [height] * len(values), "o", color=_script.SKY, markersize=3.5)
        left.plot(np.mean(values), height, "|", color=_script.BLACK, markersize=11)
    left.set_yticks(range(len(rows)), [title(method) for method in rows])
    left.invert_yaxis()
    left.set(xlabel="accuracy with 2 labels per class (%)")
    variants = list(dict.fromkeys(row["variant"] for row in differences))
    for shift, (score, label), colour in zip(
        (-0.24, -0.08, 0.08, 0.24), SCORES.items(), (_script.BLUE, _script.ORANGE, _script.GREEN, _script.PURPLE), strict=True
    ):
        own = [row for row in differences if row["score"] == score]
        error = [[row["points"] - row["low"] for row in own], [row["high"] - row["points"] for row in own]]
        heights = np.arange(len(own)) + shift
        right.errorbar([row["points"] for row in own], heights, xerr=error, fmt="o", color=colour, markersize=3, capsize=2, label=label)
    right.axvline(0, color="0.7", linewidth=0.8)
    right.set_yticks(range(len(variants)), [title(v) for v in variants])
    right.invert_yaxis()
    right.set(xlabel="variant less parent (points), 95 % interval")
    figure.legend(*right.get_legend_handles_labels(), loc="outside upper center", ncols=4, fontsize=6.5)
    _script.write_png(path, figure)


def main() -> int:
    """Tune every method, train the winners, compare."""
    options = _script.arguments(__doc__, "vicreg_information/entropy_methods")
    methods, count, steps, seeds = (list(GRID), 6, (200, 400), 5) if not options.quick else (["byol", "byol_logdet"], 2, (40, 40), 2)
    ledger, dataset = Ledger(options.out / "runs.jsonl"), data.load("digits")
    winners = [tune(ledger, method, options.seed, steps=steps[0], count=count) for method in methods]
    runs = [best._replace(seed=options.seed + i, steps=steps[1]) for i in range(seeds) for best in winners]
    rows: dict[str, list[Row]] = {method: [] for method in methods}
    for run in runs:
        rows[run.method].append(ledger[run])
    differences = [row for method in methods if "_" in method for row in compare(rows, method)]
    _script.write_csv(options.out / "entropy_methods.csv", [row for own in rows.values() for row in own])
    _script.write_csv(options.out / "differences.csv", differences)
    draw(options.out / "entropy_methods.png", rows, differences)
    print(markdown(rows))
    for row in differences:
        print(f"{title(row['variant'])}, {SCORES[row['score']]}: {row['points']:+.2f} [{row['low']:+.2f}, {row['high']:+.2f}] points")
    train, test = evaluate.raw_pixels(dataset.train_images), evaluate.raw_pixels(dataset.test_images)
    floor = evaluate.evaluate(train, test, dataset, parts=("few_label",))["few_label_accuracy"]["10"]
    low = [title(method) for method in methods if np.mean([row["10"] for row in rows[method]]) < floor]
    better = [f"{title(row['variant'])} ({SCORES[row['score']]})" for row in differences if row["low"] > 0]
    worse = [f"{title(row['variant'])} ({SCORES[row['score']]})" for row in differences if row["high"] < 0]
    text = f"uncorrected 95 % interval above 0: {', '.join(better) or 'none'}; below 0: {', '.join(worse) or 'none'}"
    return _script.verdict(options.quick or not low, f"{text}; below raw pixels: {', '.join(low) or 'none'}")


if __name__ == "__main__":
    sys.exit(main())
