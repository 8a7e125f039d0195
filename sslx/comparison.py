"""Runs side by side: the settings in which they differ, and what came out, over seeds where there are several."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from sslx import plotting
from sslx.config import WITHOUT_EFFECT, Config
from sslx.console import ACCURACIES
from sslx.folder import FolderError, RunFolder, jsonable, no_run, read_lines, write_figure
from sslx.presets import PRESETS
from sslx.seeds import AVERAGED, spread

PLACES = ("config.json", "*/config.json", "*/*/config.json")  # a run, several seeds or runs, folders of such
NOT_COMPARED = ("seed", "hyper", *WITHOUT_EFFECT)
LENGTH = ("steps", "epochs")  # a run has one of them
SCORES = {**ACCURACIES, "online_accuracy": "online probe", "rankme": "RankMe", "efficiency": "efficiency"}
DIGITS = {"rankme": 1, "efficiency": 3}


class Group(NamedTuple):
    """Runs of one setting: their summaries by seed."""

    settings: dict[str, Any]
    summaries: dict[int, dict[str, Any]]


def compare(paths: Sequence[str | Path], *, out: str | Path | None = None) -> dict[str, Any]:
    """Compare the finished runs in folders; those that differ in the seed alone are one row.

    Args:
        paths: run folders, or folders of runs, as several seeds and runs/ are.
        out: folder for the figure, made if need be; None draws none.

    Returns:
        JSON values. "rows": for each setting its "runs", "seeds", "preset", "method", "dataset", the "settings" in which the rows differ
        (None where one is unset), and {"mean", "std"} of every score, None where it is no number, as the deviation over one seed.
        "passed_over": {run folder: why}; of two runs with one setting and one seed it is the former. "figure": its path, with `out`.

    Raises:
        FolderError: there is no finished run, or the figure cannot be written.
    """
    groups, passed_over = grouped([run for path in paths for run in runs_in(Path(path))])
    if not groups:
        reasons = "; ".join(f"{run}: {reason}" for run, reason in passed_over.items())
        raise FolderError(f"there is no finished run to compare; {reasons or 'name run folders, or folders of runs'}")
    rows = [row(group, differing(group.settings, [other.settings for other in groups])) for group in groups]
    result = {"rows": jsonable(rows), "passed_over": passed_over}
    if out is not None:
        figure = Path(out) / "comparison.png"
        write_figure(figure, plotting.to_png(plotting.validation_curves({label(each): curves(each["runs"]) for each in rows})))
        result["figure"] = str(figure)
    return result


def runs_in(path: Path) -> list[RunFolder]:
    """The runs at and under `path`, those by a link after the others."""
    try:
        found = [RunFolder(config.parent) for pattern in PLACES for config in sorted(path.glob(pattern))]
        if not found:
            os.listdir(path)  # says why, where glob is silent
            raise no_run(path)
    except (FileNotFoundError, NotADirectoryError):
        raise no_run(path) from None
    except OSError as error:
        raise FolderError(f"{path} cannot be read ({error.strerror}); change its permissions or name other folders") from None
    real = path.resolve()
    return sorted(found, key=lambda run: run.path.resolve() != real / run.path.relative_to(path))


def grouped(runs: Sequence[RunFolder]) -> tuple[list[Group], dict[str, str]]:
    """The finished runs by their settings, and why the others are passed over."""
    groups: list[Group] = []
    passed_over = {}
    once: dict[Path, RunFolder] = {}
    for run in runs:
        once.setdefault(run.path.resolve(), run)
    for run in once.values():
        try:
            config, summary = finished(run)
        except ValueError as error:
            passed_over[str(run.path)] = str(error)
            continue
        settings = settings_of(config)
        group = next((group for group in groups if group.settings == settings), None)
        if group is None:
            groups.append(group := Group(settings, {}))
        if former := group.summaries.pop(config.seed, None):
            passed_over[former["run"]] = f"{run.path} has its settings and its seed"
        group.summaries[config.seed] = {**summary, "run": str(run.path)}
    return groups, passed_over


def finished(run: RunFolder) -> tuple[Config, dict[str, Any]]:
    """Settings and summary of a run; FolderError where there is none to compare."""
    config, summary = run.read_config(), run.read_summary()
    if summary is None:
        raise FolderError("it has not ended; go on with sslx pretrain --resume --out and this folder")
    if not all(is_score(summary[name]) for name in AVERAGED if name in summary):
        raise FolderError(f"{run.summary} is damaged; delete it and go on with sslx pretrain --resume --out and this folder")
    return config, summary


def is_score(value: Any) -> bool:
    """Whether this is a number, or a table of such."""
    return all(map(is_score, value.values())) if isinstance(value, dict) else isinstance(value, int | float)


def settings_of(config: Config) -> dict[str, Any]:
    """All that makes a run what it is but its seed, hyper-parameters by their own names, as JSON values."""
    fields = {**config.to_json(), **config.hyper}
    return json.loads(json.dumps({name: value for name, value in fields.items() if name not in NOT_COMPARED}))


def row(group: Group, settings: dict[str, Any]) -> dict[str, Any]:
    """Runs of one setting, by seed, and their scores."""
    seeds = sorted(group.summaries)
    ordered = [group.summaries[seed] for seed in seeds]
    what = {name: group.settings[name] for name in ("preset", "method", "dataset")}
    tables = {name: [summary.get(name) for summary in ordered] for name in AVERAGED}
    scores = {name: spread(values) for name, values in tables.items() if are_alike(values)}
    return {"runs": [summary["run"] for summary in ordered], "seeds": seeds, **what, "settings": settings, **scores}


def are_alike(values: Sequence[Any]) -> bool:
    """Whether all are there, and have the same entries where they are tables."""
    entries = [list(value) if isinstance(value, dict) else value is not None for value in values]
    return bool(entries[0]) and all(each == entries[0] for each in entries)


def differing(mine: dict[str, Any], settings: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """My settings where they are not the same in all that are compared; None where I have none."""
    names = dict.fromkeys(name for each in settings for name in each)
    return {name: mine.get(name) for name in names if any(each.get(name) != mine.get(name) for each in settings)}


def label(row: dict[str, Any]) -> str:
    """Which row this is, in words: its preset, and of the settings in which the rows differ those that are not the preset's."""
    known = row["preset"] in PRESETS
    usual = settings_of(PRESETS[row["preset"]]()) if known else {}
    changes = {name: value for name, value in row["settings"].items() if usual.get(name) != value}
    words = [f"{name} {'unset' if value is None else value}" for name, value in changes.items() if value is not None or name not in LENGTH]
    return ", ".join([row["preset"] if known else f"{row['method']} on {row['dataset']}", *words])


def curves(runs: Sequence[str]) -> list[list[dict[str, Any]]]:
    """The validation records of runs."""
    return [[record for record in read_lines(RunFolder(Path(run)).validation) if "rankme" in record] for run in runs]


def place(runs: Sequence[str]) -> str:
    """Where runs lie: the folder of one, that in which all are, or the first."""
    if len(runs) == 1:
        return runs[0]
    parents = {str(Path(run).parent) for run in runs}
    return parents.pop() if len(parents) == 1 else f"{runs[0]} and {len(runs) - 1} more"


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as a Markdown table, aligned; accuracies in per cent."""
    few = list(dict.fromkeys(n for each in rows for n in each.get("few_label_accuracy", {})))
    scores = {name: title for name, title in SCORES.items() if any(name in each for each in rows)}
    head = ["", "seeds", *scores.values(), *(f"{n} labels per class" for n in few), "runs"]
    lines = [
        [
            label(each).replace("|", "\\|"),
            str(len(each["seeds"])),
            *(cell(each.get(name), name) for name in scores),
            *(cell(each.get("few_label_accuracy", {}).get(n), "few_label_accuracy") for n in few),
            place(each["runs"]),
        ]
        for each in rows
    ]
    widths = [max(3, *(len(line[i]) for line in [head, *lines])) for i in range(len(head))]
    return "\n".join(
        f"| {' | '.join(word.ljust(width) for word, width in zip(line, widths, strict=True))} |"
        for line in [head, ["-" * width for width in widths], *lines]
    )


def cell(score: dict[str, Any] | None, name: str) -> str:
    """Mean and standard deviation of a score; nothing where it was not measured."""
    if score is None:
        return ""
    scale, digits = (1, DIGITS[name]) if name in DIGITS else (100, 1)
    return " ± ".join(f"{scale * value:.{digits}f}" for value in score.values() if value is not None)


def describe(result: dict[str, Any]) -> str:
    """The table, what was passed over, and where the figure is."""
    notes = [f"passed over {run}: {reason}" for run, reason in result["passed_over"].items()]
    drawn = [f"The course of training is in {result['figure']}."] if "figure" in result else []
    return "\n".join([table(result["rows"]), *notes, *drawn])
