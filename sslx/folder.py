"""The run folder: what lies where, and how it is written so that nothing of another run is lost."""

import contextlib
import glob
import json
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from sslx.config import WITHOUT_EFFECT, Config, ConfigError
from sslx.locks import held

SPEED = (
    "images_per_second", "seconds_per_epoch", "model_flops_utilisation", "step_gflop", "peak_gflop_per_second", "peak_memory_gib",
    "compile_seconds",
)  # fmt: skip
SUMMARY = {"method", "dataset", "steps", "rankme", "efficiency", "baselines", "device", "seconds"}  # what is said of every run
NOT_LOSSES = ("step", "learning_rate", "gradient_norm", "probe_loss", "probe_accuracy", *SPEED)
PARTIAL = ".partial"  # ends the name of a file that is being written


class FolderError(ValueError):
    """A run folder that is missing, taken or unreadable: one line with the remedy."""


class RunFolder:
    """Paths and records of one run: config.json, metrics.jsonl, validation.jsonl, checkpoints/, summary.json, report.html."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / "config.json"
        self.metrics = path / "metrics.jsonl"
        self.validation = path / "validation.jsonl"
        self.checkpoints = path / "checkpoints"
        self.summary = path / "summary.json"
        self.report = path / "report.html"

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Be the one process that trains the run.

        Raises:
            FolderError: another one does, or the folder cannot be written.
        """
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(held(self.path / f".lock{PARTIAL}", wait=False))
            except BlockingIOError:
                raise FolderError(f"another process trains the run in {self.path}; wait for it or end it") from None
            except OSError as error:
                raise cannot_write(self.path, error) from None
            yield

    def read_config(self) -> Config:
        """The settings of the run.

        Raises:
            FolderError: the folder holds no readable config.json.
        """
        try:
            return Config.from_json(json.loads(self.config.read_text()))
        except (FileNotFoundError, NotADirectoryError):
            raise no_run(self.path) from None
        except ConfigError as error:
            raise FolderError(
                f"{self.config} cannot be read ({error}); start from the program that adds a row of your own (docs/extending.md), "
                "or restore it or train again"
            ) from None
        except (OSError, ValueError, TypeError, RecursionError) as error:
            raise FolderError(f"{self.config} cannot be read ({error}); restore it or train again") from None

    def read_summary(self) -> dict[str, Any] | None:
        """What came out of the run; None where it has not ended, or the file is damaged and has to be written again."""
        with contextlib.suppress(OSError, ValueError, RecursionError):
            summary = json.loads(self.summary.read_text())
            return summary if isinstance(summary, dict) and summary.keys() >= SUMMARY else None
        return None


def no_run(path: Path) -> FolderError:
    """The one line for a folder that is no run; it names those inside, as several seeds have them."""
    inside = sorted(config.parent.name for config in path.glob("*/config.json"))
    shown = ", ".join(inside[:5]) + ", ..." * (len(inside) > 5)
    several = f" (--resume --seeds {len(inside)} goes on with all)" if len(inside) > 1 and inside[0].startswith("seed") else ""
    remedy = f"it holds the runs {shown}; name one of them{several}" if inside else "name one that sslx pretrain made"
    return FolderError(f"{path} is not a run folder (no config.json); {remedy}")


def create(out: str | Path | None, config: Config) -> RunFolder:
    """A new run folder at `out`, or a fresh one under runs/ named by preset, time and seed.

    Raises:
        FolderError: `out` is not empty, is a file, cannot be written, or is no place for checkpoints.
    """
    folder = RunFolder(empty(out, config))
    write_json(folder.config, config.to_json())
    return folder


def empty(out: str | Path | None, config: Config, seeds: int = 1) -> Path:
    """An empty directory at `out`, or a fresh one as `create` makes it, with the same errors; for `seeds` runs it is named by all seeds."""
    check_place(Path(out or ""))
    try:
        path = Path(out) if out is not None else fresh_path(config, seeds)
        path.mkdir(parents=True, exist_ok=True)
        taken = any(file.suffix != PARTIAL for file in path.iterdir())
    except OSError as error:
        raise FolderError(f"cannot write the run folder {out or 'under runs'} ({error.strerror}); choose another --out") from None
    if taken:
        raise FolderError(f"{path} is not empty; choose another --out, or add --resume to go on with the run in it")
    return path


def check_place(path: Path) -> None:
    """Raise FolderError where orbax could write checkpoints but not read them: it takes some paths for patterns."""
    place = str(path.absolute())
    if glob.escape(place) != place:
        raise FolderError(f"checkpoints cannot lie in {place}, which orbax takes for a pattern; choose a path without [, * and ?")


def fresh_path(config: Config, seeds: int) -> Path:
    """A new directory under runs/, which no other process has."""
    seed = f"seed{config.seed}" if seeds == 1 else f"seeds{config.seed}-{config.seed + seeds - 1}"
    name = f"{config.preset}-{time.strftime('%Y%m%d-%H%M%S')}-{seed}"
    candidates = [Path("runs") / name, *(Path("runs") / f"{name}-{i}" for i in range(2, 1000))]
    return next(path for path in candidates if claimed(path))


def claimed(path: Path) -> bool:
    """Make the directory, unless there is one."""
    try:
        path.mkdir(parents=True)
    except FileExistsError:
        return False
    return True


def open_existing(out: str | Path | None, config: Config) -> RunFolder:
    """The folder of the run to resume, whose settings have to be `config` but for those that do not change its result.

    Raises:
        FolderError: no folder was named, it holds no run, or another one.
    """
    if out is None:
        raise FolderError("--resume needs --out with the run folder to go on with")
    check_place(Path(out))
    folder = RunFolder(Path(out))
    saved, asked = folder.read_config().to_json(), config.to_json()
    differing = [name for name, value in saved.items() if value != asked[name] and name not in WITHOUT_EFFECT]
    if differing:
        told = ", ".join(f"its {name} is {saved[name]!r}, asked was {asked[name]!r}" for name in differing)
        raise FolderError(f"{out} holds another run: {told}; leave the option out or choose another --out")
    return folder


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary name to write under, which becomes `path` when all went well: a reader never sees half a file, none stays behind.

    Raises:
        FolderError: the disk is full or the place cannot be written.
    """
    check_file(path)
    temporary = path.with_name(path.name + PARTIAL)
    try:
        yield temporary
        temporary.replace(path)
    except OSError as error:
        raise cannot_write(path, error) from None
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def check_file(path: Path) -> None:
    """Raise FolderError where `path` is a directory or lies in none."""
    if not path.name or path.is_dir():
        raise FolderError(f"cannot write {path}, which is a directory; name a file")
    if not path.parent.is_dir():
        raise FolderError(f"cannot write {path}, whose directory does not exist; make it or choose another place")


def cannot_write(path: Path, error: OSError) -> FolderError:
    """The one line for a full disk or a missing permission."""
    reason = error.strerror or error
    return FolderError(f"cannot write {path} ({reason}); make room there (--resume then goes on with a run) or choose another place")


def jsonable(value: Any) -> Any:
    """Arrays as lists, and numbers that JSON does not know as None."""
    if isinstance(value, dict):
        return {name: jsonable(x) for name, x in value.items()}
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, list):
        return [jsonable(x) for x in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def write_json(path: Path, value: Any) -> None:
    """Write a whole file of JSON."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2) + "\n")


def write_figure(path: Path, png: bytes) -> None:
    """Write a picture, into a folder that is made if need be."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png)
    except OSError as error:
        raise FolderError(f"cannot write {path} ({error.strerror}); choose another --out") from None


def append_lines(path: Path, records: Iterable[dict[str, Any]]) -> None:
    """Append one JSON line per record."""
    try:
        with path.open("a") as file:
            file.writelines(json.dumps(record) + "\n" for record in records)
    except OSError as error:
        raise cannot_write(path, error) from None


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The records of a file of JSON lines; a last line that was cut short is left out.

    Raises:
        FolderError: another line is damaged, or the file cannot be read.
    """
    if not path.exists():
        return []
    try:
        records = [json.loads(line) for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]
    except OSError as error:
        raise FolderError(f"cannot read {path} ({error.strerror}); move away what is there") from None
    except (ValueError, RecursionError) as error:
        raise FolderError(f"{path} is damaged ({error}); remove the damaged line") from None
    for number, record in enumerate(records, 1):
        if not is_record(record):
            raise FolderError(f"{path} is damaged (line {number} is no record of a step); remove the damaged line")
    return records


def is_record(record: Any) -> bool:
    """Whether this is a step, a whole number, with numbers by name; the spectrum is a list."""
    if not isinstance(record, dict) or not isinstance(record.get("step"), int):
        return False
    return all(isinstance(value, list if name == "spectrum" else int | float) for name, value in record.items())


def losses_of(record: dict[str, Any]) -> dict[str, float]:
    """The loss and its terms in a record of metrics.jsonl."""
    return {name: value for name, value in record.items() if name not in NOT_LOSSES}


def last_speed(metrics: Path) -> dict[str, float]:
    """What the last record of metrics.jsonl says of the speed."""
    return {name: value for record in read_lines(metrics)[-1:] for name, value in record.items() if name in SPEED}


def keep_until(path: Path, step: int) -> None:
    """Drop the records after `step`, which a resumed run writes again."""
    kept = [record for record in read_lines(path) if record["step"] <= step]
    with replacing(path) as temporary:
        temporary.unlink(missing_ok=True)  # that of a process that was killed
        append_lines(temporary, kept)
