"""What the CIFAR-10 presets reach with ResNet-18 after 100 epochs: nearest neighbours, the online and the offline linear probe.

Claim     Every method does better than raw pixels and a random encoder with both probes, and its embedding does not collapse (RankMe > 8).
Command   python experiments/cifar10_table.py --dataset folder:DIR     (--methods simclr,isoloss, --epochs; --quick: noise, no bounds)
Expected  SimCLR about 83 % kNN and 86 % linear, published for the original images (no number is published for the JPEG copy).
Measured  results/cifar10_table.csv, so far on the JPEG copy (one seed, one H200, jax 0.11.2), kNN and linear: SimCLR 74.4, 79.5;
          IsoLoss with a target network 76.3, 79.7; VICReg 79.4, 81.7; Barlow Twins 79.2, 82.0; SimSiam 70.0, 76.1; VICReg with LogDet
          72.0, 76.8, with PairDist 74.3, 79.4.

Each run is trained once and kept under OUT/runs/; its row joins those that the table in OUT has already, all of one data set.
"""

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

import _script
import sslx
from sslx.folder import RunFolder
from sslx.presets import preset

RUNS: dict[str, tuple[str, dict[str, Any]]] = {
    "simclr": ("simclr", {"learning_rate": 0.12}),  # for 100 epochs github.com/dkobak/simclr-cifar10 doubles it
    "isoloss": ("isoloss", {}),
    "isoloss without target": ("isoloss", {"target": "none", "optimizer": "sgd", "learning_rate": 0.1}),  # as its authors
    "vicreg": ("vicreg", {}),
    "barlow_twins": ("barlow_twins", {}),
    "byol": ("byol", {}),
    "simsiam": ("simsiam", {}),
    "directpred": ("directpred", {}),
    "vicreg_logdet": ("vicreg_logdet", {}),
    "vicreg_pairdist": ("vicreg_pairdist", {}),
}
LOWEST_RANKME = 8.0
COMMIT = "commit.txt"


def run_folder(out: Path, name: str, seed: int) -> RunFolder:
    """Where a run lies."""
    return RunFolder(out / "runs" / f"{name.replace(' ', '-')}-seed{seed}")


def train(run: RunFolder, name: str, changes: dict[str, Any]) -> None:
    """Train a run unless it is there; go on with one that was cut off. The commit that trained it stays with it."""
    if run.summary.exists():
        config = run.read_config()
        if other := [f"{key} {getattr(config, key)}" for key, value in changes.items() if getattr(config, key) != value]:
            sys.exit(f"{run.path} was trained with {', '.join(other)}; name another folder by --out")
    else:
        (method, own), commit = RUNS[name], _script.commit()
        sslx.pretrain(preset(f"cifar10-{method}", **changes, **own), out=run.path, resume=run.config.exists(), watch=say)
        (run.path / COMMIT).write_text(commit)


def say(kind: str, record: dict[str, Any]) -> None:
    """Print what validation gives."""
    if kind == "validation":
        print(", ".join(f"{key} {value:.4g}" for key, value in record.items() if key != "spectrum"), flush=True)


def row(name: str, run: RunFolder) -> dict[str, Any]:
    """A finished run's line of the table, accuracies in per cent."""
    summary, config = json.loads(run.summary.read_text()), run.read_config()
    scores = {
        "kNN": summary["knn_accuracy"],
        "online linear": summary["online_accuracy"],
        "linear": summary["linear_accuracy"],
        "random kNN": summary["baselines"]["random"]["knn_accuracy"],
        "random linear": summary["baselines"]["random"]["linear_accuracy"],
        "raw kNN": summary["baselines"]["raw"]["knn_accuracy"],
        "raw linear": summary["baselines"]["raw"]["linear_accuracy"],
    }
    return {
        "method": name,
        "seed": config.seed,
        "epochs": config.epochs or "",
        "batch": config.batch_size,
        **{key: round(100 * value, 2) for key, value in scores.items()},
        "RankMe": round(summary["rankme"], 1),
        **_script.stamp(summary, commit.read_text() if (commit := run.path / COMMIT).exists() else ""),
    }


def draw(path: Path, rows: list[dict[str, Any]]) -> None:
    """Accuracy on the test images by both probes, a line per run, with a random encoder's and raw pixels'."""
    figure, axes = plt.subplots(figsize=(1.4 * _script.COLUMN, 0.9 + 0.2 * len(rows)))
    rows = sorted(rows, key=lambda line: line["linear"])
    usual = {"seed": rows[0]["seed"], "epochs": rows[0]["epochs"]}
    names = [", ".join([line["method"], *(f"{k} {line[k]}" for k, v in usual.items() if line[k] != v)]) for line in rows]
    for probe, colour, marker in (("kNN", _script.BLUE, "o"), ("linear", _script.ORANGE, "s")):
        axes.plot([line[probe] for line in rows], names, color=colour, marker=marker, linestyle="", label=f"{probe}, trained")
        for baseline, style in (("random", ":"), ("raw", "--")):
            label = f"{probe}, {'random encoder' if baseline == 'random' else 'raw pixels'}"
            axes.axvline(rows[-1][f"{baseline} {probe}"], color=colour, linestyle=style, linewidth=1, label=label)
    axes.set(xlabel="accuracy on the test images (%)")
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    _script.write_png(path, figure)


def noise(path: Path) -> str:
    """A data set of random images, for a look at whether everything runs."""
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (400, 32, 32, 3), np.uint8), np.arange(400) % 10
    np.savez(path, images=images[:300], labels=labels[:300], test_images=images[300:], test_labels=labels[300:])
    return f"npz:{path}"


def main() -> int:
    """Train what is missing, print the table, write CSV and PNG, judge."""
    options = _script.arguments(__doc__, "cifar10_table", dataset="cifar10", methods=",".join(RUNS), epochs=100)
    changes: dict[str, Any] = {"dataset": options.dataset, "epochs": options.epochs, "seed": options.seed}
    names = options.methods.split(",")
    if unknown := [name for name in names if name not in RUNS]:
        sys.exit(f"--methods takes {', '.join(RUNS)}, got {', '.join(unknown)}")
    if options.quick:
        options.out /= "quick"
        options.out.mkdir(exist_ok=True)
        changes |= {"dataset": noise(options.out / "noise.npz"), "model": "convnet", "epochs": 2, "batch_size": 32}
        names = names[-2:]
    for name in names:
        train(run_folder(options.out, name, options.seed), name, changes)
    rows = [row(name, run_folder(options.out, name, options.seed)) for name in names]
    rows = _script.with_earlier(table := options.out / "cifar10_table.csv", rows, ("method", "seed", "epochs"))
    order = list(RUNS)
    rows.sort(key=lambda line: (order.index(line["method"]) if line["method"] in order else len(order), line["seed"]))
    _script.write_csv(table, rows)
    draw(table.with_suffix(".png"), rows)
    columns = ["method", "epochs", "batch", "kNN", "online linear", "linear", "RankMe"]
    print(_script.markdown(columns, [[line[column] for column in columns] for line in rows]))
    if options.quick:
        return _script.verdict(True, "a quick run trains, evaluates and draws")
    low = [
        line["method"]
        for line in rows
        if line["RankMe"] <= LOWEST_RANKME
        or any(line[probe] <= max(line[f"raw {probe}"], line[f"random {probe}"]) for probe in ("kNN", "linear"))
    ]
    return _script.verdict(not low, f"no better than the baselines: {', '.join(low)}" if low else f"{len(rows)} runs")


if __name__ == "__main__":
    sys.exit(main())
