"""One recipe with several seeds: a run folder for each, and mean and standard deviation over them.

The seeds are trained side by side as one program where no convolution stands in the way, else in turn.
"""

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sslx import folder as folders
from sslx.checkpoint import Checkpoints
from sslx.config import Config, ConfigError, check_config
from sslx.processes import on_first
from sslx.run import read_data, train_and_score, train_one
from sslx.watch import Watch, silent

SIDE_BY_SIDE = ("mlp",)  # without convolutions, of which vmap makes ones with groups
AVERAGED = ("knn_accuracy", "linear_accuracy", "online_accuracy", "few_label_accuracy", "rankme", "efficiency")


def pretrain_seeds(
    config: Config, count: int, *, out: str | Path | None = None, resume: bool = False, watch: Watch = silent
) -> dict[str, Any]:
    """Train `count` runs with the seeds from `config.seed` up.

    Args:
        config: the settings of the first run.
        count: how many, at least 2.
        out: the folder for the run folders `seedS`; by default a fresh one under runs/.
        resume: go on with what is in `out`: finished runs are read, the others go on, from one step side by side, else in turn, and so up
            to rounding.
        watch: as in `sslx.pretrain`; in turn every record has a "turn", the words "seed 7, 1 of 3".

    Returns:
        What summary.json in the folder holds: "seeds", "runs", and {"mean", "std"} of the accuracies, where there are labels, and of the
        embedding's metrics (the standard deviation over the seeds, with count - 1).

    Raises:
        ConfigError, DataError, FolderError, Divergence: as in `sslx.pretrain`.
    """
    begin = time.perf_counter()
    check_config(config)
    if count < 2:
        raise ConfigError(f"count must be at least 2 for a standard deviation, got {count}; use sslx.pretrain for one run")
    if resume and out is None:
        raise folders.FolderError("--resume needs --out with the folder to go on with")
    configs = [dataclasses.replace(config, seed=config.seed + i) for i in range(count)]
    parts = read_data(config, watch)  # before anything is written
    root = Path(out or "") if resume else on_first(folders.empty)(out, config, count)
    paths = [root / f"seed{each.seed}" for each in configs]
    if config.model in SIDE_BY_SIDE and (not resume or abreast(paths)):
        opened = on_first(folders.open_existing if resume else folders.create)
        summaries = train_and_score(parts, configs, [opened(*each) for each in zip(paths, configs, strict=True)], watch, begin)
    else:
        summaries = [
            train_one(each, lambda: parts, out=path, resume=begun(path), watch=heard(watch, f"seed {each.seed}, {i} of {count}"))
            for i, (each, path) in enumerate(zip(configs, paths, strict=True), 1)
        ]
    result = {
        **{name: summaries[0][name] for name in ("preset", "method", "dataset", "steps", "versions", "device")},
        "run": str(root),
        "seeds": [each.seed for each in configs],
        "runs": [summary["run"] for summary in summaries],
        **{name: spread([summary[name] for summary in summaries]) for name in AVERAGED if name in summaries[0]},
        "seconds": round(time.perf_counter() - begin, 1),
    }
    on_first(folders.write_json)(root / "summary.json", result)
    return result


@on_first
def abreast(paths: Sequence[Path]) -> bool:
    """Whether the runs at `paths` have all begun, none has ended, and their last checkpoints are of one step."""
    runs = [folders.RunFolder(path) for path in paths]
    if not all(run.config.exists() for run in runs) or any(run.read_summary() for run in runs):
        return False
    steps = set()
    for run in runs:
        with Checkpoints(run.checkpoints) as checkpoints:
            steps.add(checkpoints.last())
    return len(steps) == 1


def heard(watch: Watch, turn: str) -> Watch:
    """`watch`, told with every record whose "turn" it is."""
    return lambda kind, record: watch(kind, {**record, "turn": turn})


@on_first
def begun(path: Path) -> bool:
    """Whether there is a run of several at `path`."""
    if folders.RunFolder(path.parent).config.exists():
        raise folders.FolderError(f"{path.parent} holds a single run; leave the number of seeds out, or choose another --out")
    return folders.RunFolder(path).config.exists()


def spread(values: Sequence[Any]) -> dict[str, Any]:
    """Mean and standard deviation (None of one value), entry by entry where the values are tables."""
    if isinstance(values[0], dict):
        return {key: spread([value[key] for value in values]) for key in values[0]}
    return {"mean": float(np.mean(values)), "std": float(np.std(values, ddof=1)) if len(values) > 1 else None}
