"""What a person sees while a run goes on: a bar on a terminal, a line per validation anywhere else, always on standard error."""

from datetime import timedelta
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

SILENCE = 30  # seconds between two lines of reading or evaluating, where no bar shows it
PARTS = {"knn": "nearest neighbours", "linear": "linear probe", "few_label": "few labels"}


class Watcher:
    """A context whose `watch` method is handed to `sslx.pretrain`."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.console = Console(stderr=True, highlight=False, markup=False, emoji=False, quiet=quiet)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self.bar = Progress(*columns, console=self.console, speed_estimate_period=3600, disable=quiet or not self.console.is_terminal)
        self.task = self.bar.add_task("reading", total=None)
        self.steps, self.several, self.losses, self.spoken = 0, False, {}, float("-inf")

    def __enter__(self) -> "Watcher":
        self.bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.bar.stop()

    def watch(self, kind: str, record: dict[str, Any]) -> None:
        """Show one event of a run."""
        turn = f"{record['turn']}: " if "turn" in record else f"seed {record['seed']}: " if self.several and "seed" in record else ""
        if kind == "data":
            self.count("reading images", record["done"], record["total"])
        elif kind == "start":
            self.steps, self.several = record["steps"], len(record["seeds"]) > 1
            self.bar.reset(self.task, total=self.steps, description="compiling")
            for line in (turn + describe(record), *record["notes"], f"run folder {record['run']}"):
                self.console.print(line, soft_wrap=True)
        elif kind == "log":
            self.losses[record["seed"]] = record["loss"]
            self.bar.update(self.task, completed=record["step"], description=f"{turn}training, loss {record['loss']:.4g}")
        elif kind == "validation":
            loss = f", loss {self.losses[record['seed']]:.4g}" if record["seed"] in self.losses else ""
            self.console.print(f"{turn}step {record['step']}/{self.steps}{loss}: {quality(record)}{self.left()}", soft_wrap=True)
        elif kind == "evaluate":
            part = PARTS.get(record["part"], record["part"])
            self.count(f"{turn}evaluating the {record['of']}: {part}", record.get("done", 0), record.get("total"))

    def count(self, what: str, done: int, total: int | None) -> None:
        """Show how much of it is done: in the bar, else by a line now and then."""
        self.bar.update(self.task, completed=done, total=total, description=what)
        self.bar.tasks[0].total = total  # which `update` leaves where it is None
        if self.bar.disable and (now := self.console.get_time()) >= self.spoken + SILENCE:
            self.spoken = now
            self.console.print(f"{what}, {done} of {total}" if done else what, soft_wrap=True)

    def left(self) -> str:
        """How long training takes on, once that can be said."""
        seconds = self.bar.tasks[0].time_remaining
        return f", {timedelta(seconds=round(seconds))} left" if seconds else ""


def quality(validation: dict[str, Any]) -> str:
    """How good the encoder is by now: its accuracy or, where there are no labels, the rank of its embedding."""
    if "validation_accuracy" in validation:
        return f"kNN on validation images {100 * validation['validation_accuracy']:.1f} %"
    return f"RankMe {validation['rankme']:.1f}"


def describe(start: dict[str, Any]) -> str:
    """What will be trained, in words."""
    config, devices = start["config"], f" on {start['devices']} devices" if start["devices"] > 1 else ""
    return (
        f"training {config.method} with {config.model} on {config.dataset}: {start['steps']} steps of {config.batch_size} images{devices}, "
        f"preset {config.preset}"
    )
