"""The trained runs on the digits that several experiments share: each is trained once, kept under runs/digits/, and read from there.

python experiments/runs.py --methods isoloss,vicreg --seeds 5

Beside what every run folder has, each holds `history/STEP.npz`: the network's variables at step 0 and every 50 steps, from which
an experiment computes whatever it wants to see over training.
"""

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

import sslx
from sslx import data
from sslx.assemble import build_network, inputs_of
from sslx.folder import RunFolder
from sslx.presets import preset
from sslx.train import Network

CACHE = Path("runs/digits")
SETTINGS, HISTORY_EVERY = {"steps": 800, "batch_size": 256}, 50


def digits_run(method: str, seed: int, *, cache: Path = CACHE, **changes: Any) -> dict[str, Any]:
    """The summary of the preset `digits-<method>` with this seed, trained now if it has not been trained with these settings before.

    All methods take the `SETTINGS` unless `changes` says otherwise, which are fields of the config and part of the folder's name. An
    unfinished run is resumed.
    """
    config = preset(f"digits-{method}", seed=seed, checkpoint_every=HISTORY_EVERY, **{**SETTINGS, **changes})
    folder = run_folder(method, seed, cache=cache, **changes)
    if folder.config.exists() and folder.read_config() != config:
        raise SystemExit(f"{folder.path} was trained with other settings; delete it to train again")
    if not folder.summary.exists():
        begin = time.perf_counter()
        sslx.pretrain(config, out=folder.path, resume=folder.config.exists(), watch=keep_history(folder))
        print(f"trained {folder.path.name} in {time.perf_counter() - begin:.0f} s", flush=True)
    return json.loads(folder.summary.read_text())


def run_folder(method: str, seed: int, *, cache: Path = CACHE, **changes: Any) -> RunFolder:
    """Where the run of `digits_run` with the same arguments lies."""
    named = [f"{key}={value}" for key, value in sorted(changes.items()) if SETTINGS.get(key) != value]
    return RunFolder(cache / "-".join([method, f"seed{seed}", *named]))


def keep_history(folder: RunFolder) -> Any:
    """A watch that writes the network's variables at every checkpoint."""

    def watch(kind: str, record: dict[str, Any]) -> None:
        if kind == "checkpoint":
            path = folder.path / "history"
            path.mkdir(exist_ok=True)
            state = record["state"]
            variables: dict[str, Any] = flatten_dict({"params": state.params, "batch_stats": state.batch_stats}, sep="/")
            np.savez(path / f"{record['step']:06d}.npz", **variables)

    return watch


def history(method: str, seed: int, *, cache: Path = CACHE, **changes: Any) -> Iterator[tuple[int, dict[str, Any]]]:
    """(step, variables of the network) along a run of `digits_run`, which is trained if it has to be, from step 0 on."""
    digits_run(method, seed, cache=cache, **changes)
    for path in sorted((run_folder(method, seed, cache=cache, **changes).path / "history").glob("*.npz")):
        with np.load(path) as leaves:
            yield int(path.stem), unflatten_dict(dict(leaves), sep="/")


def network(method: str, **changes: Any) -> Network:
    """The encoder and heads whose variables `history` gives."""
    return build_network(preset(f"digits-{method}", **changes), inputs_of(data.load("digits")))


def main() -> None:
    """Train what is missing and say how long it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", required=True, help="names separated by commas")
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    begin = time.perf_counter()
    for method in options.methods.split(","):
        for seed in range(options.seeds):
            digits_run(method, seed)
    print(f"all runs are in {CACHE}; this call took {time.perf_counter() - begin:.0f} s")


if __name__ == "__main__":
    main()
