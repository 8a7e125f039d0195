"""What the CIFAR-10 presets reach with ResNet-18 after 100 epochs: nearest neighbours, the online and the offline linear probe.

Claim     Every method does better than raw pixels and a random encoder with both probes, and its embedding does not collapse (RankMe > 8).
Command   python experiments/cifar10_table.py --dataset folder:DIR     (--methods simclr,isoloss, --epochs; --quick: noise, no bounds)
Expected  SimCLR about 83 % kNN and 86 % linear, published for the original images (no number is published for the JPEG copy).
Measured  results/cifar10_table.csv, so far on the JPEG copy (one seed, one H200, jax 0.11.2), kNN and linear: SimCLR 74.4, 79.5;
          IsoLoss with a target network 76.3, 79.7; VICReg 79.4, 81.7; Barlow Twins 79.2, 82.0.

Each run is trained once, kept under OUT/runs/ and read from there; the table has a row for each that is there.
"""

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

import _script
import sslx
from sslx import folder
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
    if not run.summary.exists():
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


def markdown(rows: list[dict[str, Any]]) -> str:
    """The table of the documentation."""
    columns = ["method", "epochs", "batch", "kNN", "online linear", "linear", "RankMe"]
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    lines += [f"| {' | '.join(str(line[column]) for column in columns)} |" for line in rows]
    return "\n".join(lines)


def draw(path: Path, found: dict[str, RunFolder]) -> None:
    """kNN accuracy on validation images over training, a line per run."""
    figure, axes = plt.subplots(figsize=(1.4 * _script.COLUMN, 2.6))
    for name, run in found.items():
        records = folder.read_lines(run.validation)
        epochs = (run.read_config().epochs or 0) / records[-1]["step"]
        axes.plot([epochs * r["step"] for r in records], [100 * r["validation_accuracy"] for r in records], marker=".", label=name)
    axes.set(xlabel="epoch", ylabel="kNN on validation images (%)")
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
    if options.quick:
        changes |= {"dataset": noise(options.out / "noise.npz"), "model": "convnet", "epochs": 2, "batch_size": 32}
        names = names[-2:]
    for name in names:
        train(run_folder(options.out, name, options.seed), name, changes)
    found = {name: run for name in RUNS if (run := run_folder(options.out, name, options.seed)).summary.exists()}
    rows = [row(name, run) for name, run in found.items()]
    _script.write_csv(options.out / "cifar10_table.csv", rows)
    draw(options.out / "cifar10_table.png", found)
    print(markdown(rows))
    if options.quick:
        return _script.verdict(True, "a quick run trains, evaluates and draws")
    low = [
        line["method"]
        for line in rows
        if line["RankMe"] <= LOWEST_RANKME
        or any(line[probe] <= max(line[f"raw {probe}"], line[f"random {probe}"]) for probe in ("kNN", "linear"))
    ]
    return _script.verdict(not low, f"no better than the baselines: {', '.join(low)}" if low else f"{len(rows)} of {len(RUNS)} methods")


if __name__ == "__main__":
    sys.exit(main())
