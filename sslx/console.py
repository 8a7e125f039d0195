"""What the command line does once its options are read: call `sslx.run`, print, and turn a user's mistake into one line.

Exit codes: 0 done; 2 bad usage or bad input; 3 training diverged (the last good checkpoint is kept).
"""

import json
import logging
import sys
from collections.abc import Callable
from typing import Any

from sslx.options import PretrainOptions

BAD_INPUT, DIVERGED, INTERRUPTED = 2, 3, 130


def guarded(command: Callable[[], Any]) -> int:
    """Run a command; the exit code says how it ended."""
    from sslx.config import ConfigError
    from sslx.data import DataError
    from sslx.folder import FolderError
    from sslx.train import Divergence

    logging.getLogger("absl").setLevel(logging.CRITICAL)  # orbax logs a traceback of what the one line says
    try:
        command()
    except (ConfigError, DataError, FolderError) as error:
        return complain(str(error))
    except Divergence as error:
        return complain(f"{error}; the last good checkpoint is kept", DIVERGED)
    except KeyboardInterrupt:
        return complain("interrupted; go on with --resume and the --out of this run", INTERRUPTED)
    return 0


def complain(message: str, code: int = BAD_INPUT) -> int:
    """One line on standard error."""
    print(f"sslx: {message}", file=sys.stderr)
    return code


def pretrain(options: PretrainOptions) -> None:
    """Train as the options say and print what came out."""
    from sslx import run
    from sslx.options import to_config
    from sslx.progress import Watcher

    config = to_config(options)
    with Watcher() as watcher:
        summary = run.pretrain(config, out=options.out, resume=options.resume, watch=watcher.watch)
    rows = {"trained encoder": summary, "random encoder": summary["baselines"]["random"], "raw pixels": summary["baselines"]["raw"]}
    lines = [
        f"{summary['method']} on {summary['dataset']}: {summary['steps']} steps, {summary['seconds']:.0f} s in all on {summary['device']}.",
        *(describe_scores(name, scores) for name, scores in rows.items()),
        f"The embedding has RankMe {summary['rankme']:.1f} and efficiency {summary['efficiency']:.3f}.",
        f"Everything is in {summary['run']}; open {summary['run']}/report.html.",
    ]
    print_result(summary, "\n".join(lines), options.json)


def describe_scores(name: str, scores: dict[str, Any]) -> str:
    """One line of accuracies."""
    parts = [
        f"{label} {100 * scores[key]:.1f} %"
        for key, label in (("knn_accuracy", "kNN"), ("linear_accuracy", "linear probe"))
        if key in scores
    ]
    parts += [f"{100 * value:.1f} % with {n} labels per class" for n, value in scores.get("few_label_accuracy", {}).items()]
    return f"{name}: {', '.join(parts)}"


def print_result(value: Any, words: str, as_json: bool) -> None:
    """The value as JSON or its description in words, on standard output."""
    print(json.dumps(value) if as_json else words)
