"""Efficiency over training by every functional and in every gauge, and whether it goes with few-label accuracy.

Claim     The effective dimension d_eff = eta d of the embedding ends largest under Barlow Twins, which drives C to I. Whether it goes with
          the accuracy that is reached is reported.
Command   python experiments/barlow_efficiency/eta_over_training.py            (--quick: two methods for 100 steps, one seed)
Expected  six methods on the digits, seeds from 0 on, 800 steps, widths as in the presets (so that d_eff is compared, not eta). Judged:
          Barlow Twins ends with the largest d_eff (participation, standardised embedding) of all methods in every seed. Reported, not
          judged: rank correlations of every functional and gauge, of embedding and features, with the accuracy at 2 labels per class
          over the finished self-supervised runs. Runs of one method are alike, so that these have an effective n of about 5.
Measured  30 runs, seeds 0-4, 2 CPU cores, jax 0.10.2: d_eff at the end (mean ± std over seeds): Barlow Twins 13.6 ± 0.2, VICReg
          10.5 ± 0.5, IsoLoss 8.7 ± 0.7, SimCLR 8.2 ± 0.2, BYOL 6.5 ± 0.2, supervised logits 5.5 ± 0.1; it falls in the first 50 steps and
          grows from there. Rank correlation with accuracy: embedding -0.16 (participation, standardised; Barlow Twins has the most
          dimensions and the least accuracy), encoder's features +0.78, and +0.84 uncentred. With five methods none of these is evidence of
          a relation.
"""

import sys
from itertools import product
from pathlib import Path
from typing import Any, cast

import jax
import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import spearmanr

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import _script
import runs
from sslx import data, geometry

METHODS = ("barlow_twins", "vicreg", "simclr", "byol", "isoloss", "supervised")
STYLES: dict[str, Any] = dict(zip(METHODS, ("-", "--", "-.", ":", (0, (5, 1)), (0, (1, 1))), strict=True))
GAUGES, KINDS, SPACES = geometry.EfficienciesByGauge._fields, geometry.Efficiencies._fields, ("embedding", "features")
Row = dict[str, Any]


def measure(method: str, seeds: range, dataset: data.Dataset, **changes: Any) -> list[Row]:
    """d_eff of embedding and features of the training images at every kept step of every seed, with the run's accuracy at its end."""
    accuracy = {seed: runs.digits_run(method, seed, **changes)["few_label_accuracy"]["2"] for seed in seeds}
    network = runs.network(method)
    images = dataset.train_images.astype(np.float32) / 255

    @jax.jit
    def etas(variables: Any) -> Any:
        features, z, *_ = cast("tuple[jax.Array, ...]", network.apply(variables, images))
        return {"embedding": (geometry.efficiencies(z), z.shape[1]), "features": (geometry.efficiencies(features), features.shape[1])}

    rows = []
    for seed in seeds:
        for step, variables in runs.history(method, seed, **changes):
            for space, (by_gauge, d) in etas(variables).items():
                row = {"method": method, "seed": seed, "step": step, "space": space, "d": int(d), "final accuracy": accuracy[seed]}
                rows.append(row | {f"{g} {k}": int(d) * float(getattr(getattr(by_gauge, g), k)) for g, k in product(GAUGES, KINDS)})
    return rows


def last(rows: list[Row], space: str, methods: tuple[str, ...] = METHODS) -> list[Row]:
    """The rows at the end of training."""
    end = max(row["step"] for row in rows)
    return [row for row in rows if row["step"] == end and row["space"] == space and row["method"] in methods]


def correlations(rows: list[Row]) -> dict[str, np.ndarray]:
    """Spearman's rank correlation of d_eff with accuracy over the finished self-supervised runs: {space: [gauge, functional]}."""
    result = {}
    for space in SPACES:
        chosen = last(rows, space, METHODS[:-1])
        accuracy = [row["final accuracy"] for row in chosen]
        values = [[spearmanr([row[f"{g} {k}"] for row in chosen], accuracy)[0] for k in KINDS] for g in GAUGES]
        result[space] = np.array(values)
    return result


def draw_training(path: Path, rows: list[Row]) -> None:
    """d_eff of the embedding over the steps: a row per gauge, a column per functional, a line per method, a band over seeds."""
    figure, axes = plt.subplots(len(GAUGES), len(KINDS), figsize=(2 * _script.COLUMN, 4.6), sharex=True, sharey="col")
    methods = [method for method in METHODS if any(row["method"] == method for row in rows)]
    for (i, gauge), (j, kind) in product(enumerate(GAUGES), enumerate(KINDS)):
        axis = axes[i, j]
        for method in methods:
            chosen = [row for row in rows if row["method"] == method and row["space"] == "embedding"]
            steps = sorted({row["step"] for row in chosen})
            values = [[row[f"{gauge} {kind}"] for row in chosen if row["step"] == step] for step in steps]
            label = f"{method.replace('_', ' ')}, $d = {chosen[0]['d']}$"
            (line,) = axis.plot(steps, np.mean(values, axis=1), linestyle=STYLES[method], linewidth=1.1, label=label)
            axis.fill_between(steps, np.min(values, axis=1), np.max(values, axis=1), color=line.get_color(), alpha=0.2, linewidth=0)
        if i == 0:
            axis.set_title(kind, fontsize=8)
        if j == 0:
            axis.set_ylabel(f"{gauge}\n$d_{{eff}} = \\eta\\,d$")
    figure.supxlabel("step", fontsize=8)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=3)
    _script.write_png(path, figure)


def draw_accuracy(path: Path, rows: list[Row], found: dict[str, np.ndarray]) -> None:
    """Finished runs by d_eff and accuracy, and the rank correlations of every functional and gauge."""
    figure, (left, *tables) = plt.subplots(1, 3, figsize=(2 * _script.COLUMN, 2.5), width_ratios=(1.3, 1, 1))
    for method, marker in zip(METHODS[:-1], "os^Dv", strict=True):
        chosen = last(rows, "embedding", (method,))
        x, y = [row["standardised participation"] for row in chosen], [100 * row["final accuracy"] for row in chosen]
        left.plot(x, y, marker, markersize=4, label=method.replace("_", " "))
    left.set(xlabel="$d_{eff}$ of the embedding\n(participation, standardised)", ylabel="accuracy, 2 labels per class (%)")
    left.legend(fontsize=6)
    for axis, space in zip(tables, SPACES, strict=True):
        axis.imshow(found[space], cmap="RdBu_r", vmin=-1, vmax=1, aspect="auto")
        for (i, j), value in np.ndenumerate(found[space]):
            axis.text(j, i, f"{value:+.2f}", ha="center", va="center", fontsize=7, color="white" if abs(value) > 0.6 else "black")
        axis.set_xticks(range(len(KINDS)), KINDS, fontsize=6, rotation=30, ha="right")
        axis.set_yticks(range(len(GAUGES)), GAUGES if axis is tables[0] else [""] * len(GAUGES), fontsize=6.5)
        axis.tick_params(length=0)
        axis.set_title(f"rank correlation, {space}", fontsize=7)
    _script.write_png(path, figure)


def main() -> int:
    """Read (or train) the runs, measure, draw, judge."""
    options = _script.arguments(__doc__, "barlow_efficiency/eta_over_training", seeds=5)
    methods, seeds = (METHODS[:2], range(1)) if options.quick else (METHODS, range(options.seeds))
    changes: dict[str, Any] = {"steps": 100, "cache": options.out / "runs"} if options.quick else {}
    dataset = data.load("digits")
    rows = [row for method in methods for row in measure(method, seeds, dataset, **changes)]
    _script.write_csv(options.out / "eta_over_training.csv", rows)
    draw_training(options.out / "eta_over_training.png", rows)
    final = {(row["method"], row["seed"]): row["standardised participation"] for row in last(rows, "embedding")}
    beaten = [key for key, value in final.items() if key[0] != "barlow_twins" and value >= final["barlow_twins", key[1]]]
    for method in methods:
        values = [final[method, seed] for seed in seeds]
        print(f"{method:14s} d_eff at the end {np.mean(values):5.2f} ± {np.std(values, ddof=1) if len(values) > 1 else 0:.2f}")
    text = f"Barlow Twins beaten by {beaten}" if beaten else "Barlow Twins has the largest d_eff in every seed"
    if options.quick:
        return _script.verdict(not beaten, text)
    found = correlations(rows)
    draw_accuracy(options.out / "eta_against_accuracy.png", rows, found)
    for space, table in found.items():
        for gauge, line in zip(GAUGES, table, strict=True):
            print(f"{space:10s} {gauge:13s} " + "  ".join(f"{kind} {value:+.2f}" for kind, value in zip(KINDS, line, strict=True)))
    return _script.verdict(not beaten, f"{text}; rank correlation with accuracy {found['embedding'][2, 0]:+.2f}, of five methods")


if __name__ == "__main__":
    sys.exit(main())
