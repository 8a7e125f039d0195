"""Runs that are made to collapse, and sound ones, as `sslx diagnose` sees them.

Claim     The diagnosis tells from the embedding, two views and the predictor that a run has collapsed when it was trained without a
          predictor, with the stop-gradient on the wrong side, with more weight decay than theory allows, or by VICReg without its
          variance term, and that the digits presets have not.
Command   python experiments/barlow_efficiency/collapse_on_purpose.py            (--quick: one seed, a perceptron, no sound run)
Expected  every faulty run is told as complete or dimensional collapse, every sound run as healthy. Faulty runs: 100 steps on the digits,
          small convnet. Sound runs: those that the experiments share, 800 steps; cut short they would be told as dimensional, as they are.
Measured  50 of 50 runs told right (seeds 0-4, CPU): without a predictor complete (Euclidean) and one dimension (cosine), wrong side
          complete, weight decay complete, VICReg without variance complete; 25 sound runs healthy. The bound on
          what the views share was chosen after seeing seeds 0-2 of two faults (Euclidean without a predictor, and wrong side) and seed 0 of
          VICReg without variance, and the rules for dimensions after the spectra of seeds 0-1, sound runs among them. Fresh after both:
          seeds 3-4 of every fault, seeds 2-4 of the sound runs.
"""

import sys
from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import _script
from runs import run_folder
from sslx import data, diagnosis, losses, methods, predictors
from sslx.assemble import build_network, initial_state, inputs_of
from sslx.augment import RECIPES
from sslx.config import Config
from sslx.methods import Method
from sslx.methods._asymmetric import closed_form, through_predictor
from sslx.presets import preset
from sslx.train import Batch, TrainState, batches, make_step

VERDICTS = ("complete collapse", "dimensional collapse", "cluster collapse", "noise", "healthy")
SOUND = ("isoloss", "vicreg", "barlow_twins", "byol", "simclr")


def identity(corr: jax.Array) -> jax.Array:
    """No predictor."""
    return jnp.eye(len(corr), dtype=corr.dtype)


def directpred_variant(*, distance: str = "euclidean", predictor: str = "directpred", stop_gradient: str = "target") -> Method:
    """DirectPred without a target network, with its predictor left out or the gradient stopped in the wrong branch."""
    loss = partial({"euclidean": losses.euclidean, "cosine": losses.cosine}[distance], stop_gradient=stop_gradient)
    matrix = {"directpred": predictors.directpred, "identity": identity}[predictor]
    sound = methods.METHODS["directpred"](target="self")
    return sound._replace(loss=closed_form(through_predictor(loss), lambda *corr: [matrix(c) for c in corr], decay=0.5), matrix=matrix)


methods.METHODS["directpred_variant"] = directpred_variant


def variant(*, optimizer: str = "adamw", learning_rate: float = 3e-3, weight_decay: float = 1e-4, **hyper: Any) -> Callable[..., Config]:
    """The config of such a run, of everything but its length and seed."""
    settings = {"optimizer": optimizer, "learning_rate": learning_rate, "weight_decay": weight_decay, "projector": (256, 64)}
    return partial(Config, "directpred_variant", hyper=hyper, **settings)


FAULTY: dict[str, Callable[..., Config]] = {
    "no predictor, Euclidean": variant(distance="euclidean", predictor="identity"),
    "no predictor, cosine": variant(distance="cosine", predictor="identity"),
    "stop-gradient on the wrong side": variant(distance="euclidean", stop_gradient="online"),
    "weight decay above the limit": variant(distance="euclidean", optimizer="sgd", learning_rate=0.02, weight_decay=2.0),
    "VICReg without variance": partial(preset, "digits-vicreg", hyper={"std_coeff": 0.0}),
}


def trained(make: Callable[..., Config], dataset: data.Dataset, seeds: range, **changes: Any) -> list[tuple[Config, TrainState]]:
    """The last state of a run per seed, from one compilation."""
    config, inputs = make(**changes), inputs_of(dataset)
    steps, optimizer = changes["steps"], config.build_optimizer(changes["steps"])[1]
    step = jax.jit(make_step(build_network(config, inputs), config.build_method(), optimizer, RECIPES[config.views], total_steps=steps))
    states = []
    for seed in seeds:
        state = initial_state(make(seed=seed, **changes), inputs, optimizer)
        for batch in islice(batches(dataset.train_images, dataset.train_labels, config.batch_size, seed=seed), steps):
            state, _ = step(state, Batch(*map(jnp.asarray, batch)))
        states.append((config, state))
    return states


def row(case: str, seed: int, collapses: bool, material: diagnosis.Material) -> dict[str, Any]:
    """Verdict and evidence of one run."""
    found = diagnosis.judge(material)
    keys = ("spread", "effective_dimension", "rank", "agreement", "signal_left", "modes_below_threshold")
    result = {"case": case, "seed": seed, "collapses": collapses, "verdict": found["verdict"]}
    result |= {key: found["evidence"][key] for key in keys}
    print(*(f"{value:.3g}" if isinstance(value, float) else value for value in result.values()), flush=True)
    return result


def draw(path: Path, rows: list[dict[str, Any]]) -> None:
    """Verdicts by case, and where each run lies by what its views share."""
    cases = list(dict.fromkeys(row["case"] for row in rows))
    figure, (left, right) = plt.subplots(1, 2, figsize=(2 * _script.COLUMN, 0.2 * len(cases) + 1.1), width_ratios=(1, 1.1))
    counts = np.array([[sum(r["case"] == case and r["verdict"] == verdict for r in rows) for verdict in VERDICTS] for case in cases])
    left.imshow(counts / counts.sum(axis=1, keepdims=True), cmap="Blues", vmin=0, vmax=1.4, aspect="auto")
    for i, j in np.argwhere(counts):
        left.text(j, i, counts[i, j], ha="center", va="center", fontsize=7)
    left.set_xticks(range(len(VERDICTS)), [verdict.split()[0] for verdict in VERDICTS], fontsize=6.5, rotation=25)
    left.set_yticks(range(len(cases)), cases, fontsize=6.5)
    left.tick_params(length=0)
    left.set_title("runs by verdict", fontsize=8)
    for collapses, colour, marker, label in ((True, _script.RED, "x", "made to collapse"), (False, _script.BLUE, "o", "sound")):
        chosen = [r for r in rows if r["collapses"] == collapses]
        x, y = ([max(r[key], 1e-6) for r in chosen] for key in ("signal_left", "agreement"))
        right.plot(x, y, marker, color=colour, markersize=4, label=label)
    right.axvline(0.01, color=_script.BLACK, linewidth=0.8, linestyle="--")
    right.axhline(0.1, color=_script.BLACK, linewidth=0.8, linestyle="--")
    right.set(xscale="log", xlabel="covariance of the views, after over before", ylabel="correlation of the views", ylim=(-0.03, 1))
    right.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    _script.write_png(path, figure)


def told_right(row: dict[str, Any]) -> bool:
    """Complete or dimensional collapse where it was made, healthy elsewhere."""
    return row["verdict"] in VERDICTS[:2] if row["collapses"] else row["verdict"] == "healthy"


def main() -> int:
    """Train what has to collapse, read what has not, diagnose all."""
    options = _script.arguments(__doc__, "barlow_efficiency/collapse_on_purpose", steps=100, seeds=5)
    changes: dict[str, Any] = {"steps": options.steps}
    if options.quick:
        changes |= {"model": "mlp", "batch_size": 128}
    seeds = range(options.seed, options.seed + (1 if options.quick else options.seeds))
    dataset, rows = data.load("digits"), []
    for case, make in FAULTY.items():
        for seed, (config, state) in zip(seeds, trained(make, dataset, seeds, **changes), strict=True):
            rows.append(row(case, seed, True, diagnosis.features_of_state(config, state, dataset)))
    for method in () if options.quick else SOUND:
        for seed in range(5):
            folder = run_folder(method, seed)
            if folder.summary.exists():
                rows.append(row(f"sound: {method.replace('_', ' ')}", seed, False, diagnosis.features_of_run(folder.path)))
    _script.write_csv(options.out / "collapse_on_purpose.csv", rows)
    draw(options.out / "collapse_on_purpose.png", rows)
    wrong = [f"{r['case']} (seed {r['seed']}) is told as {r['verdict']}" for r in rows if not told_right(r)]
    faulty = sum(r["collapses"] for r in rows)
    return _script.verdict(not wrong, "; ".join(wrong) or f"{faulty} runs made to collapse and {len(rows) - faulty} sound ones told right")


if __name__ == "__main__":
    sys.exit(main())
