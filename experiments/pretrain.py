"""The launch script for accelerators: the code path and the options of `sslx pretrain`, for places where tyro is not installed.

python experiments/pretrain.py cifar10-isoloss --data-dir /data --parallel pmap --out /results/isoloss-0 --seed 0
"""

import argparse
import ast
import dataclasses
import inspect
import sys
import typing
from itertools import pairwise

from sslx import console
from sslx.options import PretrainOptions


def parser() -> argparse.ArgumentParser:
    """An option per field of `PretrainOptions`; the preset is positional."""
    result, explained = argparse.ArgumentParser(description=PretrainOptions.__doc__), explanations()
    for field in dataclasses.fields(PretrainOptions):
        kind = next(t for t in (*typing.get_args(field.type), field.type) if t is not type(None))
        option, text = f"--{field.name.replace('_', '-')}", explained[field.name]
        if field.name == "preset":
            result.add_argument("preset", nargs="?", help=text)
        elif kind is bool:
            result.add_argument(option, action="store_true", help=text)
        else:
            result.add_argument(option, type=kind, default=field.default, help=text)
    return result


def explanations() -> dict[str, str]:
    """What stands below each field of `PretrainOptions` in its source."""
    found = {}
    for node in ast.walk(ast.parse(inspect.getsource(PretrainOptions))):
        for field, text in pairwise(getattr(node, "body", [])):
            if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr):
                found[ast.unparse(field.target)] = ast.literal_eval(text.value)
    return found


if __name__ == "__main__":
    options = PretrainOptions(**vars(parser().parse_args()))
    sys.exit(console.guarded(lambda: console.pretrain(options)))
