"""The trained runs on the digits that several experiments share: each is trained once, kept under runs/digits/, and read from there.

python experiments/runs.py --methods isoloss,vicreg --seeds 5
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import sslx
from sslx.folder import RunFolder
from sslx.presets import preset

CACHE = Path("runs/digits")


def digits_run(method: str, seed: int, *, cache: Path = CACHE, **changes: Any) -> dict[str, Any]:
    """The summary of the preset `digits-<method>` with this seed, trained now if it has not been trained with these settings before.

    `changes` are fields of the config and part of the folder's name. An unfinished run is resumed.
    """
    config = preset(f"digits-{method}", seed=seed, **changes)
    name = "-".join([method, f"seed{seed}", *(f"{key}={value}" for key, value in sorted(changes.items()))])
    folder = RunFolder(cache / name)
    if folder.config.exists() and folder.read_config() != config:
        raise SystemExit(f"{folder.path} was trained with other settings; delete it to train again")
    if not folder.summary.exists():
        begin = time.perf_counter()
        sslx.pretrain(config, out=folder.path, resume=folder.config.exists())
        print(f"trained {name} in {time.perf_counter() - begin:.0f} s", flush=True)
    return json.loads(folder.summary.read_text())


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
