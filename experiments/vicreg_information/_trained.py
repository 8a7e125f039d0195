"""What the scripts on trained networks share: their embeddings along training, and curves over seeds.

The networks are the shared digits runs of `experiments/runs.py`; those of a quick run are trained for 100 steps.
"""

import argparse
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes

import _script
import runs
from sslx import evaluate

NAMES = {
    "vicreg": "VICReg",
    "barlow_twins": "Barlow Twins",
    "simclr": "SimCLR",
    "byol": "BYOL",
    "isoloss": "IsoLoss",
    "supervised": "supervised",
}
COLOURS = dict(zip(NAMES, (_script.BLUE, _script.SKY, _script.RED, _script.ORANGE, _script.GREEN, _script.BLACK), strict=True))
Row = dict[str, Any]


class Checkpoint(NamedTuple):
    """A network at one step: features and projections of the images given, in inference mode."""

    step: int
    features: Float[np.ndarray, "N d"]
    z: Float[np.ndarray, "N e"]


def checkpoints(options: argparse.Namespace, method: str, seed: int, images: np.ndarray, *, every: int = 50) -> Iterator[Checkpoint]:
    """The images through the networks kept at the multiples of `every` steps of a run."""
    changes = changes_of(options)
    embed = evaluate.jitted(runs.network(method, **changes).apply)
    for step, variables in runs.history(method, seed, **changes):
        if step % every == 0:
            features, z, _ = evaluate.extract(embed, variables, images)
            yield Checkpoint(step, features, z)


def seeds_of(options: argparse.Namespace) -> range:
    """`--seeds` seeds from `--seed` on, one in a quick run."""
    return range(options.seed, options.seed + (1 if options.quick else options.seeds))


def changes_of(options: argparse.Namespace) -> dict[str, Any]:
    """What a quick run changes in a preset."""
    return {"steps": 100} if options.quick else {}


def curve(rows: Sequence[Row], name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(steps, mean over seeds, standard error of the mean) of one column."""
    steps = sorted({row["step"] for row in rows})
    values = np.array([[row[name] for row in rows if row["step"] == step] for step in steps], float)
    seeds = values.shape[1]
    return np.array(steps), values.mean(axis=1), values.std(axis=1, ddof=min(1, seeds - 1)) / seeds**0.5


def draw_curve(axis: Axes, rows: Sequence[Row], name: str, colour: str, label: str = "", style: str = "-") -> None:
    """The mean over seeds with a band of one standard error."""
    steps, mean, error = curve(rows, name)
    axis.plot(steps, mean, style, color=colour, label=label)
    axis.fill_between(steps, mean - error, mean + error, color=colour, alpha=0.25, linewidth=0)
