"""Runs side by side: the settings in which they differ, and what came out, over seeds where there are several."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sslx import plotting
from sslx.config import Config
from sslx.folder import FolderError, RunFolder, jsonable, no_run, read_lines, write_figure
from sslx.presets import PRESETS
from sslx.seeds import AVERAGED, spread

PLACES = ("config.json", "*/config.json", "*/*/config.json")  # a run, several seeds or runs, folders of such
NOT_COMPARED = ("seed", "data_dir", "hyper")
SCORES = {
    "knn_accuracy": "kNN", "online_accuracy": "online probe", "linear_accuracy": "linear probe", "rankme": "RankMe",
    "efficiency": "efficiency",
}  # fmt: skip
DIGITS = {"rankme": 1, "efficiency": 3}


def compare(paths: Sequence[str | Path], *, out: str | Path | None = None) -> dict[str, Any]:
    """Compare the finished runs in folders; those that differ in the seed alone are one row.

    Args:
        paths: run folders, or folders of runs, as several seeds and runs/ are.
        out: folder for the figure, made if need be; None draws none.

    Returns:
        JSON values. "rows": for each setting its "runs", "seeds", "preset", "method", "dataset", the "settings" in which the rows differ,
        and {"mean", "std"} of every score, None where it is no number, as the deviation over one seed. "passed_over": {run folder: why};
        of two runs with one setting and one seed it is the former. "figure": its path, with `out`.

    Raises:
        FolderError: there is no finished run, or the figure cannot be written.
    """
    groups, passed_over = grouped([run for path in paths for run in runs_in(Path(path))])
    if not groups:
        reasons = "; ".join(f"{run}: {reason}" for run, reason in passed_over.items())
        raise FolderError(f"there is no finished run to compare; {reasons or 'name run folders, or folders of runs'}")
    settings = [json.loads(key) for key in groups]
    rows = [row(list(each.values()), differing(mine, settings)) for mine, each in zip(settings, groups.values(), strict=True)]
    result = {"rows": jsonable(rows), "passed_over": passed_over}
    if out is not None:
        figure = Path(out) / "comparison.png"
        curves = {label(each): [read_lines(RunFolder(Path(run)).validation) for run in each["runs"]] for each in rows}
        write_figure(figure, plotting.to_png(plotting.validation_curves(curves)))
        result["figure"] = str(figure)
    return result


def runs_in(path: Path) -> list[RunFolder]:
    """The runs at and under `path`."""
    found = [RunFolder(config.parent) for place in PLACES for config in sorted(path.glob(place))]
    if not found:
        raise no_run(path)
    return found


def grouped(runs: Sequence[RunFolder]) -> tuple[dict[str, dict[int, dict[str, Any]]], dict[str, str]]:
    """Summaries by settings and seed, and the runs that are passed over."""
    groups: dict[str, dict[int, dict[str, Any]]] = {}
    passed_over = {}
    for run in {run.path.resolve(): run for run in runs}.values():
        try:
            config, summary = finished(run)
        except ValueError as error:
            passed_over[str(run.path)] = str(error)
            continue
        group = groups.setdefault(json.dumps(settings_of(config)), {})
        if former := group.pop(config.seed, None):
            passed_over[former["run"]] = f"{run.path} has its settings and its seed"
        group[config.seed] = {**summary, "preset": config.preset, "seed": config.seed, "run": str(run.path)}
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


def row(summaries: Sequence[dict[str, Any]], settings: dict[str, Any]) -> dict[str, Any]:
    """Runs of one setting, by seed, and their scores."""
    ordered = sorted(summaries, key=lambda summary: summary["seed"])
    scores = {name: spread([summary[name] for summary in ordered]) for name in AVERAGED if all(name in summary for summary in ordered)}
    what = {name: ordered[0][name] for name in ("preset", "method", "dataset")} | {"settings": settings}
    return {"runs": [summary["run"] for summary in ordered], "seeds": [summary["seed"] for summary in ordered], **what, **scores}


def differing(mine: dict[str, Any], settings: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Those of my settings that are not the same in all that are compared."""
    return {name: value for name, value in mine.items() if any(name not in other or other[name] != value for other in settings)}


def label(row: dict[str, Any]) -> str:
    """Which row this is, in words: its preset, and of the settings in which the rows differ those that are not the preset's."""
    known = row["preset"] in PRESETS
    usual = settings_of(PRESETS[row["preset"]]()) if known else {"preset": row["preset"]}
    changes = [f"{name} {value}" for name, value in row["settings"].items() if value is not None and usual.get(name) != value]
    return ", ".join([row["preset"] if known else f"{row['method']} on {row['dataset']}", *changes])


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as a Markdown table, aligned; accuracies in per cent."""
    few = list(dict.fromkeys(n for each in rows for n in each.get("few_label_accuracy", {})))
    scores = {name: title for name, title in SCORES.items() if any(name in each for each in rows)}
    head = ["", "seeds", *scores.values(), *(f"{n} labels per class" for n in few), "runs"]
    lines = [
        [
            label(each),
            str(len(each["seeds"])),
            *(cell(each.get(name), name) for name in scores),
            *(cell(each.get("few_label_accuracy", {}).get(n), "few_label_accuracy") for n in few),
            os.path.commonpath(each["runs"]),
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
