"""The command line: parses with tyro and calls `sslx.run` and its neighbours, nothing else.

Exit codes: 0 done; 2 bad usage or bad input, with one line that says what was wrong and what to do; 3 training diverged; 130 interrupted.
"""

import contextlib
import dataclasses
import io
import itertools
import sys
from collections.abc import Callable
from typing import Annotated, Literal

import tyro

import sslx
from sslx import console
from sslx.hints import near
from sslx.options import PretrainOptions


@dataclasses.dataclass(frozen=True)
class Pretrain(PretrainOptions):
    """Train an encoder without labels, evaluate it, and write a run folder."""

    preset: Annotated[str | None, tyro.conf.Positional] = None
    """Named settings, see `sslx list presets`; by default digits-isoloss, with --dataset X alone X-isoloss or else cifar10-isoloss."""

    def __call__(self) -> None:
        """Run it."""
        console.pretrain(self)


@dataclasses.dataclass(frozen=True)
class Evaluate:
    """Evaluate the frozen encoder of a run: by default everything the protocol has."""

    run: Annotated[str, tyro.conf.Positional]
    """Run folder."""
    knn: bool = False
    """Nearest neighbours."""
    linear: bool = False
    """Linear probe with all labels."""
    few_label: bool = False
    """Linear probe with 2, 5 and 10 labels per class."""
    dataset: str | None = None
    """Labelled images for the frozen encoder, see `sslx list datasets`; by default those of the run."""
    data_dir: str | None = None
    """Directory of the data; by default that of the run, or of the environment variable SSLX_DATA."""
    best: bool = False
    """Take the checkpoint with the best validation accuracy in place of the last one."""
    step: int | None = None
    """Take the checkpoint of this step; `sslx pretrain --keep-all` keeps all of them."""
    features: str | None = None
    """Write features and labels of both splits to this .npz file; alone, no accuracy is measured."""
    json: bool = False
    """Print the result as one JSON object."""

    def __call__(self) -> None:
        """Run it."""
        from sslx import frozen
        from sslx.evaluate import PARTS
        from sslx.progress import Watcher

        chosen = tuple(part for part in PARTS if getattr(self, part)) or (() if self.features else PARTS)
        where = {"dataset": self.dataset, "data_dir": self.data_dir, "save_to": self.features}
        with Watcher() as watcher:
            result = frozen.assess(self.run, chosen, best=self.best, step=self.step, watch=watcher.watch, **where)
        console.print_result(
            result, console.describe_scores("trained encoder", result) if chosen else f"features are in {self.features}", self.json
        )


@dataclasses.dataclass(frozen=True)
class Diagnose:
    """Say whether features have collapsed, which way, and what helps; draw their spectrum, efficiency and modes."""

    source: Annotated[str, tyro.conf.Positional]
    """Run folder, an .npz file with features [N, d] and, if there are any, features_b and labels, or an .npy file of features."""
    out: str | None = None
    """Folder for the figure; by default the run folder, or the current folder for a file."""
    json: bool = False
    """Print everything as one JSON object."""

    def __call__(self) -> None:
        """Run it."""
        from sslx import diagnosis
        from sslx.progress import Watcher

        with Watcher() as watcher:
            record = diagnosis.examine(self.source, watcher.watch)
        try:
            record["figure"] = diagnosis.draw(record, self.out)
        finally:  # a figure that cannot be drawn does not cost the verdict
            console.print_result(record, diagnosis.describe(record), self.json)


@dataclasses.dataclass(frozen=True)
class Compare:
    """Compare finished runs: a row for each setting, with mean and standard deviation over its seeds."""

    runs: Annotated[tuple[str, ...], tyro.conf.Positional]
    """Run folders, or folders of runs."""
    out: str | None = None
    """Folder for a figure of the course of training; by default none is drawn."""
    json: bool = False
    """Print everything as one JSON object."""

    def __call__(self) -> None:
        """Run it."""
        from sslx import comparison

        result = comparison.compare(self.runs, out=self.out)
        console.print_result(result, comparison.describe(result), self.json)


@dataclasses.dataclass(frozen=True)
class List:
    """List the names that the other commands take, or what --hyper can change of each method, with defaults; presets may have others."""

    what: Annotated[Literal["methods", "hyper", "datasets", "presets", "models", "views"], tyro.conf.Positional]
    """Which table."""
    json: bool = False
    """Print JSON."""

    def __call__(self) -> None:
        """Run it."""
        from sslx.augment import RECIPES
        from sslx.data import DATASETS
        from sslx.methods import METHODS, hyper_parameters
        from sslx.models import ENCODERS
        from sslx.presets import PRESETS

        if self.what == "hyper":
            found = {name: hyper_parameters(name) for name in METHODS}
            lines = [f"{name:<22}{', '.join(map(setting, row.items()))}".rstrip() for name, row in found.items()]
            return console.print_result(found, "\n".join(lines), self.json)
        tables = {"methods": METHODS, "datasets": DATASETS, "presets": PRESETS, "models": ENCODERS, "views": RECIPES}
        names = list(tables[self.what])
        return console.print_result(names, "\n".join(names), self.json)


def setting(item: tuple[str, object]) -> str:
    """A hyper-parameter and its default, where it has one."""
    return item[0] if item[1] is None else f"{item[0]}={item[1]}"


COMMANDS = {"pretrain": Pretrain, "evaluate": Evaluate, "diagnose": Diagnose, "compare": Compare, "list": List}


def main(arguments: list[str] | None = None, *, begin: Callable[[], object] = lambda: None) -> int:
    """Parse, call `begin` and run once all is loaded, and turn errors of the user into one line and an exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments and not arguments[0].startswith("-") and arguments[0] not in COMMANDS:
        return console.complain(no_command(arguments[0]))
    if arguments == ["--version"]:
        return console.guarded(lambda: console.print_result(sslx.__version__, f"sslx {sslx.__version__}", False))
    messages = io.StringIO()
    try:
        with contextlib.redirect_stderr(messages):
            command = tyro.extras.subcommand_cli_from_dict(
                COMMANDS,
                prog="sslx",
                description="Self-supervised learning in JAX. sslx --version prints the version.",
                args=arguments,
                config=(tyro.conf.FlagCreatePairsOff,),
            )
    except SystemExit as end:
        if end.code == 0:
            return 0
        return console.complain(one_line(messages.getvalue()))
    return console.guarded(lambda: (begin(), command()))


def no_command(word: str) -> str:
    """The one line for a word that is no command; it names the nearest."""
    remedy = near(word, COMMANDS) or f"; choose one of {', '.join(COMMANDS)}"
    return f"there is no command {word!r}{remedy}"


def one_line(boxed: str) -> str:
    """The message and the first option that it proposes, inside the box that tyro draws (with dashes where the output is not UTF-8)."""
    texts = [line.strip("│╰╯ ") for line in boxed.strip().splitlines()[1:]]
    message = itertools.takewhile(is_text, itertools.dropwhile(lambda text: not is_text(text), texts))
    advice = itertools.dropwhile(lambda text: text != "Perhaps you meant:", texts)
    proposed = [text.split()[0] for text in advice if text.startswith("--") and is_text(text)]
    hint = f"; did you mean {proposed[0]}?" if proposed else ""
    return f"{' '.join(' '.join(message).split())}{hint} (sslx --help shows the options)"


def is_text(line: str) -> bool:
    """Whether a line is more than a rule."""
    return not set(line) <= {"─", "-"}
