"""What every experiment script shares: its arguments, its CSV and PNG, and the verdict printed last.

A script in a sub-folder reaches it with `sys.path.insert(0, str(Path(__file__).resolve().parents[1]))`.
"""

import argparse
import csv
import itertools
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import rcsetup
from matplotlib.figure import Figure

mpl.use("agg")

# Okabe and Ito's colours, which people with any colour vision tell apart.
BLACK, ORANGE, SKY, GREEN, YELLOW, BLUE, RED, PURPLE = (
    "#000000", "#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7"
)  # fmt: skip
COLUMN = 3.4  # inches, one column of a two-column page

mpl.rcParams.update(
    {
        "font.size": 8,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.prop_cycle": rcsetup.cycler(color=[BLUE, ORANGE, GREEN, RED, PURPLE, SKY, BLACK]),
        "legend.frameon": False,
        "legend.fontsize": 7,
        "lines.linewidth": 1.4,
        "figure.constrained_layout.use": True,
    }
)


def arguments(description: str | None, default_out: str, *, seed: int = 0, **extra: str | int | float) -> argparse.Namespace:
    """`quick`, `out` (a folder, made here) and `seed` from the command line, and the script's own options as name=default."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a smaller run that takes seconds")
    parser.add_argument("--out", type=Path, default=Path("runs/experiments") / default_out, help="folder for the CSV and PNG")
    parser.add_argument("--seed", type=int, default=seed)
    for name, default in extra.items():
        parser.add_argument(f"--{name}", type=type(default), default=default, help=f"default: {default}")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    return options


def write_csv(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """One line per mapping; the keys of the first are the header. Beside it provenance.json says how it was made."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    (path.parent / "provenance.json").write_text(json.dumps(how_made(), indent=2) + "\n")


def how_made() -> dict[str, Any]:
    """The command without its --out, the commit, versions and device."""
    from sslx.run import provenance  # not before: it starts jax, whose settings are the script's

    words = [word for before, word in itertools.pairwise(["", *sys.argv[1:]]) if "--out" not in (before, word.partition("=")[0])]
    return {"command": " ".join([Path(sys.argv[0]).name, *words]), "commit": commit(), **provenance()}


def with_earlier(path: Path, rows: Sequence[Mapping[str, Any]], key: Sequence[str]) -> list[dict[str, Any]]:
    """Those lines of the CSV at `path` whose `key` no row has, with numbers where the first row has numbers, then the rows."""
    fresh = [dict(row) for row in rows]
    if not path.exists():
        return fresh
    with path.open(newline="") as file:
        header, *lines = csv.reader(file)
    if header != list(rows[0]) or any(len(line) != len(header) for line in lines):
        raise SystemExit(f"{path} has not the columns {', '.join(rows[0])}; move it away")
    known = {tuple(str(row[k]) for k in key) for row in rows}
    earlier = [dict(zip(header, line, strict=True)) for line in lines]
    kept = [line for line in earlier if tuple(line[k] for k in key) not in known]
    return [{k: number(v) if isinstance(rows[0][k], int | float) else v for k, v in line.items()} for line in kept] + fresh


def number(text: str) -> int | float | str:
    """The number that is written, an empty cell as it is."""
    return text if not text else int(text) if text.isdecimal() else float(text)


def markdown(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table for the documentation."""
    return "\n".join(f"| {' | '.join(map(str, cells))} |" for cells in (columns, ["---"] * len(columns), *rows))


def commit() -> str:
    """The commit of the tree that runs, or nothing outside a repository."""
    return subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False).stdout.strip()


def stamp(provenance: Mapping[str, Any], commit: str) -> dict[str, str]:
    """Device, versions and commit, for the lines of a CSV; `provenance` as `sslx.run.provenance` and a run's summary have it."""
    versions = " ".join(f"{name}={number}" for name, number in provenance["versions"].items())
    return {"device": provenance["device"], "versions": versions, "commit": commit}


def write_png(path: Path, figure: Figure) -> None:
    """The figure at print resolution."""
    figure.savefig(path, dpi=300)


def verdict(passed: bool, text: str) -> int:
    """Print the verdict; the exit code of the script."""
    print(f"{'PASS' if passed else 'FAIL'}: {text}")
    return 0 if passed else 1
