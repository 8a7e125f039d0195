"""What the command line does once its options are read: call `sslx.run`, print, and turn a user's mistake into one line.

Exit codes: 0 done; 2 bad usage or bad input; 3 training diverged (checkpoints before that are kept); 130 interrupted.
"""

import contextlib
import errno
import json
import logging
import os
import sys
from collections.abc import Callable
from typing import Any

from sslx.options import PretrainOptions

BAD_INPUT, DIVERGED, INTERRUPTED = 2, 3, 130
ACCURACIES = {"knn_accuracy": "kNN", "linear_accuracy": "linear probe"}


def guarded(command: Callable[[], Any]) -> int:
    """Run a command; the exit code says how it ended."""
    try:
        return attempt(command)
    except KeyboardInterrupt as error:
        return complain(f"interrupted{error}", INTERRUPTED)


def attempt(command: Callable[[], Any]) -> int:
    """Run a command, with one line for each of a user's mistakes."""
    from sslx.config import ConfigError
    from sslx.data import DataError
    from sslx.folder import FolderError
    from sslx.memory import OutOfMemory
    from sslx.processes import ProcessError
    from sslx.train import Divergence

    for name in ("absl", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # orbax logs a traceback of what the one line says
    sys.unraisablehook = uncaught
    try:
        command()
        sys.stdout.flush()
    except (ConfigError, DataError, FolderError, OutOfMemory, ProcessError) as error:
        return complain(str(error))
    except Divergence as error:
        return complain(f"{error}; checkpoints before it are kept", DIVERGED)
    except OSError as error:
        if error.errno not in (errno.EPIPE, errno.ENOSPC):
            raise
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left of the output has nowhere to go
        if error.errno == errno.ENOSPC:  # otherwise whoever read has read enough
            return complain(f"{error}; make room there or choose another place")
    return 0


def uncaught(event: Any) -> None:
    """Print an error that nothing can catch, but not of reads that outlive a refused checkpoint: orbax has closed their event loop."""
    if str(event.exc_value) != "Event loop is closed":
        sys.__unraisablehook__(event)


def complain(message: str, code: int = BAD_INPUT) -> int:
    """One line on standard error."""
    print(f"sslx: {message}", file=sys.stderr)
    return code


def pretrain(options: PretrainOptions) -> None:
    """Train as the options say and print what came out."""
    from sslx import processes, run, seeds
    from sslx.options import to_config
    from sslx.progress import Watcher

    if options.distributed:
        processes.start()
    config = to_config(options)
    keep_compiled()
    quiet = not processes.is_first()
    try:
        with Watcher(quiet=quiet) as watcher:
            if options.seeds > 1:
                summary = seeds.pretrain_seeds(config, options.seeds, out=options.out, resume=options.resume, watch=watcher.watch)
            else:
                summary = run.pretrain(config, out=options.out, resume=options.resume, watch=watcher.watch)
    except KeyboardInterrupt:
        several = f", --seeds {options.seeds}" if options.seeds > 1 else ""
        raise KeyboardInterrupt(f"; go on with --resume{several} and the --out of this run") from None
    if not quiet:
        print_result(summary, describe_seeds(summary) if options.seeds > 1 else describe_run(summary), options.json)


def describe_run(summary: dict[str, Any]) -> str:
    """What came out of a run in words."""
    rows = {"trained encoder": summary, "random encoder": summary["baselines"]["random"], "raw pixels": summary["baselines"]["raw"]}
    lines = [
        f"{summary['method']} on {summary['dataset']}: {summary['steps']} steps, {summary['seconds']:.0f} s in all on {summary['device']}.",
        *(describe_scores(name, scores) for name, scores in rows.items() if "knn_accuracy" in scores),
        f"The embedding has RankMe {summary['rankme']:.1f} and efficiency {summary['efficiency']:.3f}.",
        f"Everything is in {summary['run']}; open {summary['run']}/report.html.",
    ]
    return "\n".join(lines)


def keep_compiled() -> None:
    """Let jax keep what it compiles from one start to the next, where the cache can be written and the user has named no other place."""
    import jax

    from sslx.data import cache_root

    if getattr(jax.config, "jax_compilation_cache_dir", None) is None:
        folder = cache_root() / "compiled"
        with contextlib.suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            jax.config.update("jax_compilation_cache_dir", str(folder))


def describe_seeds(summary: dict[str, Any]) -> str:
    """The scores of several seeds in words."""
    scores = {name: summary[key] for key, name in ACCURACIES.items() if key in summary}
    scores |= {f"{n} labels per class": score for n, score in summary.get("few_label_accuracy", {}).items()}
    parts = [f"{name} {100 * score['mean']:.1f} ± {100 * score['std']:.1f} %" for name, score in scores.items()]
    rankme, efficiency = summary["rankme"], summary["efficiency"]
    parts.append(f"RankMe {rankme['mean']:.1f} ± {rankme['std']:.1f}, efficiency {efficiency['mean']:.3f} ± {efficiency['std']:.3f}")
    return (
        f"{summary['method']} on {summary['dataset']}, {len(summary['seeds'])} seeds: {summary['steps']} steps each, "
        f"{summary['seconds']:.0f} s in all on {summary['device']}.\n{', '.join(parts)}\nEverything is in {summary['run']}."
    )


def describe_scores(name: str, scores: dict[str, Any]) -> str:
    """One line of accuracies."""
    parts = [f"{label} {100 * scores[key]:.1f} %" for key, label in ACCURACIES.items() if key in scores]
    parts += [f"{100 * value:.1f} % with {n} labels per class" for n, value in scores.get("few_label_accuracy", {}).items()]
    return f"{name}: {', '.join(parts)}"


def print_result(value: Any, words: str, as_json: bool) -> None:
    """The value as JSON or its description in words, on standard output."""
    print(json.dumps(value) if as_json else words)
