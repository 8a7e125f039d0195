"""The launch script for accelerators: the code path and the options of `sslx pretrain`, for places where tyro is not installed.

python experiments/pretrain.py cifar10-isoloss --data-dir /data --parallel pmap --out /results/isoloss-0 --seed 0
"""

import argparse
import dataclasses
import sys
import typing

from sslx import console
from sslx.options import PretrainOptions


def parser() -> argparse.ArgumentParser:
    """An option per field of `PretrainOptions`; the preset is positional."""
    result = argparse.ArgumentParser(description=PretrainOptions.__doc__)
    for field in dataclasses.fields(PretrainOptions):
        kind = next(t for t in (*typing.get_args(field.type), field.type) if t is not type(None))
        if field.name == "preset":
            result.add_argument("preset", nargs="?")
        elif kind is bool:
            result.add_argument(f"--{field.name}", action="store_true")
        else:
            result.add_argument(f"--{field.name.replace('_', '-')}", type=kind, default=field.default)
    return result


if __name__ == "__main__":
    options = PretrainOptions(**vars(parser().parse_args()))
    sys.exit(console.guarded(lambda: console.pretrain(options)))
