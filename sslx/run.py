"""A run from a config: train, watch, evaluate, write the folder; and a finished run as a frozen encoder.

These are the functions that the command line and the scripts call.
"""

import contextlib
import platform
import time
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

import sslx
from sslx import data, evaluate, folder as folders
from sslx.assemble import Inputs, Parts, assemble, frozen_encoder, frozen_projector, initial_state, inputs_of, variables_of
from sslx.augment import RECIPES, make_views
from sslx.checkpoint import Checkpoints
from sslx.config import Config, check_config
from sslx.data import DataError, Dataset
from sslx.feed import check_feed, describe_feed
from sslx.fit import SPECTRUM_IMAGES, Recorder, Watch, begin, check_data, fit, saved_inputs
from sslx.folder import FolderError, RunFolder
from sslx.memory import enough_memory, explain_evaluation, explain_state, explain_step
from sslx.pixels import unit_interval
from sslx.processes import on_all, on_first
from sslx.report import render
from sslx.train import TrainState, probe_accuracy

NO_LABELS = "there are no labels: no accuracy is measured, only RankMe and efficiency of the embedding"
Features = tuple[np.ndarray, np.ndarray]  # of the training and the test images


def silent(kind: str, record: dict[str, Any]) -> None:
    """Watch nothing."""


def pretrain(config: Config, *, out: str | Path | None = None, resume: bool = False, watch: Watch = silent) -> dict[str, Any]:
    """Train, evaluate and write a run folder.

    After `jax.distributed.initialize` every process calls this; the first writes the folder and evaluates.

    Args:
        config: the settings, as `sslx.presets.preset("digits-isoloss", steps=200)` makes them.
        out: the run folder, new or empty; by default a fresh one under runs/.
        resume: go on from the last checkpoint of the run in `out`, which has to have the same settings but for data_dir, feed and
            checkpoint_every; of a finished one read the summary.
        watch: called with a kind ("data", "start", "log", "validation", "checkpoint" or "evaluate") and a record as the run goes on;
            "log" and "validation" have the lines of the two files, "checkpoint" has "state" at "step", from 0 on; all three the "seed".

    Returns:
        The summary that is also written to summary.json: accuracies as fractions in [0, 1], with those of the random encoder
        and of raw pixels under "baselines". What was not measured is left out: without labels no accuracy is there, and both baselines
        are {}.

    Raises:
        ConfigError, DataError, FolderError: something about the settings, the data or the folder is wrong; nothing was lost.
        Divergence: the loss became NaN or infinite; checkpoints before it are kept.
        OutOfMemory: the device has not enough memory; the message says what would fit.
        ProcessError: another process could not read the data.
    """
    check_config(config)
    return train_one(config, partial(read_data, config, watch), out=out, resume=resume, watch=watch)


def train_one(config: Config, read: Callable[[], Parts], *, out: str | Path | None, resume: bool, watch: Watch) -> dict[str, Any]:
    """`pretrain` with the parts that `read` gives where something is left to train."""
    clock = time.perf_counter()
    run = on_first(folders.open_existing)(out, config) if resume else None
    if run and (summary := on_first(run.read_summary)()) and on_first(run.report.exists)():
        return {**summary, "run": str(run.path)}
    parts = read()
    run = run or on_first(folders.create)(out, config)
    return train_and_score(parts, [config], [run], watch, clock)[0]


@on_all
def read_data(config: Config, watch: Watch) -> Parts:
    """The parts of a run, which every process reads; `watch` hears how many images have been read."""
    parts = assemble(config, lambda done, total: watch("data", {"done": done, "total": total}))
    check_feed(config, parts.dataset)
    return parts


def train_and_score(parts: Parts, configs: Sequence[Config], runs: Sequence[RunFolder], watch: Watch, clock: float) -> list[dict[str, Any]]:
    """Train runs that differ in their seed side by side (a single one from its last checkpoint on), score them, write their folders."""
    unmeasured = () if parts.dataset.classes else (NO_LABELS,)
    notes = (*parts.dataset.notes, *unmeasured, describe_feed(configs[0], parts.dataset))
    what = {"config": configs[0], "seeds": [config.seed for config in configs], "steps": parts.steps, "devices": len(jax.devices())}
    watch("start", {"run": ", ".join(str(run.path) for run in runs), **what, "notes": notes})
    with contextlib.ExitStack() as stack:
        opened = [stack.enter_context(Checkpoints(run.checkpoints)) for run in runs]
        recorders = [Recorder(*each, watch) for each in zip(configs, [parts] * len(runs), runs, opened, strict=True)]
        with enough_memory(partial(explain_state, configs, parts)):
            firsts = jax.block_until_ready([initial_state(config, inputs_of(parts.dataset), parts.optimizer) for config in configs])
            start, states = begin(recorders, firsts)
        with enough_memory(partial(explain_step, configs[0], parts)):
            states, speed = fit(parts, recorders, states, start)
    watch("evaluate", {})
    with enough_memory(explain_evaluation):
        return score(parts, configs, runs, firsts, states, speed, clock)


@on_first
def score(
    parts: Parts,
    configs: Sequence[Config],
    runs: Sequence[RunFolder],
    firsts: Sequence[TrainState],
    states: Sequence[TrainState],
    speed: dict[str, float],
    clock: float,
) -> list[dict[str, Any]]:
    """Summaries of trained runs that began at `clock`; they are written to their folders, with the reports."""
    summaries = []
    for config, run, first, state in zip(configs, runs, firsts, states, strict=True):
        features = encode(config, parts.dataset, state)
        summary = {
            **summarise(config, parts, run, first, state, features),
            "speed": speed,
            "seconds": round(time.perf_counter() - clock, 1),
        }
        folders.write_json(run.summary, summary)  # before anything is drawn, which could fail
        with folders.replacing(run.report) as temporary:
            temporary.write_text(render(summary, *report_material(config, parts, run, state, features[1])))
        summaries.append(summary)
    return summaries


def summarise(config: Config, parts: Parts, run: RunFolder, first: TrainState, state: TrainState, features: Features) -> dict[str, Any]:
    """What a run is and how good its encoder is, beside the encoder before training and raw pixels."""
    dataset = parts.dataset
    return {
        "run": str(run.path),
        "preset": config.preset,
        "method": config.method,
        "dataset": config.dataset,
        "seed": config.seed,
        "steps": parts.steps,
        **score_encoder(config, dataset, state, features),
        "baselines": {
            "random": evaluate.evaluate(*encode(config, dataset, first), dataset) if dataset.classes else {},
            "raw": parts.raw(),
        },
        **provenance(),
    }


def report_material(config: Config, parts: Parts, run: RunFolder, state: TrainState, test_features: np.ndarray) -> tuple[Any, ...]:
    """What the report draws: records, view examples, and the features of the test images."""
    dataset = parts.dataset
    sample = unit_interval(dataset.train_images[:12])
    views = jax.jit(partial(make_views, views=RECIPES[config.views]))(state.key, sample, jnp.arange(len(sample)))
    return (
        folders.read_lines(run.metrics),
        folders.read_lines(run.validation),
        np.concatenate([sample[None], views]),
        test_features,
        dataset.test_labels,
        dataset.classes,
    )


def score_encoder(config: Config, dataset: Dataset, state: TrainState, features: Features) -> dict[str, Any]:
    """The accuracies of the trained encoder and its online probe where there are labels, and RankMe and efficiency of the embedding of
    at most SPECTRUM_IMAGES random training images."""
    train, test = features
    some = train[evaluate.random_rows(len(train), SPECTRUM_IMAGES)]
    z = evaluate.extract(frozen_projector(config, inputs_of(dataset)), variables_of(state, "projector"), some)
    online = {"online_accuracy": probe_accuracy(state.probe, test, dataset.test_labels)} if state.probe else {}
    accuracies = evaluate.evaluate(train, test, dataset) if dataset.classes else {}
    return {**accuracies, **online, **evaluate.embedding_scores(z)}


def encode(config: Config, dataset: Dataset, state: TrainState) -> Features:
    """Features of the training and the test images."""
    apply, variables = frozen_encoder(config.model), variables_of(state)
    return evaluate.extract(apply, variables, dataset.train_images), evaluate.extract(apply, variables, dataset.test_images)


def assess(
    run: str | Path,
    parts: tuple[str, ...],
    *,
    dataset: str | None = None,
    data_dir: str | None = None,
    save_to: str | None = None,
    best: bool = False,
) -> dict[str, Any]:
    """The accuracies of a finished run that `parts` asks for ("knn", "linear", "few_label").

    Args:
        run: run folder.
        parts: which accuracies.
        dataset: labelled images that the frozen encoder is evaluated on, by default those of the run; the network stays as it is.
        data_dir: where they lie; by default where the run had its data.
        save_to: an .npz file for features, labels, test_features and test_labels.
        best: take the checkpoint with the best validation accuracy in place of the last one.

    Raises:
        FolderError, DataError: the run or the data cannot be read, the images do not fit the encoder, there are no labels for accuracies,
            or `save_to` cannot be written.
        OutOfMemory: the device has not enough memory.
    """
    config, state, images = load_run(run, dataset, data_dir, best=best)
    if parts and not images.classes:
        raise DataError(
            f"{images.name} has no labels to measure an accuracy by; name images that have some with --dataset, or ask for features alone "
            "with --features OUT.npz"
        )
    try:
        with enough_memory(explain_evaluation):
            arrays = encode(config, images, state)
    except ValueError as error:
        raise DataError(f"{images.name}: {error}") from None
    if save_to is not None:
        split: dict[str, Any] = {
            "features": arrays[0],
            "labels": images.train_labels,
            "test_features": arrays[1],
            "test_labels": images.test_labels,
        }
        with folders.replacing(Path(save_to)) as temporary, temporary.open("wb") as file:
            np.savez(file, **split)
    return evaluate.evaluate(*arrays, images, parts=parts) if parts else {}


def load(run: str | Path, *, best: bool = False) -> tuple[Callable[..., Array], dict[str, Any]]:
    """The frozen encoder of a run folder, of its last checkpoint or the one with the best validation accuracy.

    Returns:
        `(apply, variables)`: `apply(variables, images [N >= 0, H, W, C]) -> features [N, d]`, jitted, for images of whole numbers from 0 to
        255, whatever their type (divide those of 16 bits by 65535), or floating point in [0, 1]; ValueError for images of another shape
        than the encoder takes, TypeError for a list.

    Raises:
        FolderError: the folder holds no run, or a run without a checkpoint.
    """
    config, _, state = read_run(RunFolder(Path(run)), best=best)
    return frozen_encoder(config.model), variables_of(state)


def load_run(
    run: str | Path, dataset: str | None = None, data_dir: str | None = None, *, best: bool = False
) -> tuple[Config, TrainState, Dataset]:
    """Settings and last or best state of a run folder, and its data set or the other one that is named.

    Raises:
        FolderError, DataError: the run or the data cannot be read, or its own data are not as they were.
    """
    folder = RunFolder(Path(run))
    config, inputs, state = read_run(folder, best=best)
    images = data.load(dataset or config.dataset, data_dir=data_dir or config.data_dir)
    if dataset in (None, config.dataset):
        check_data(images, inputs, folder)
    return config, state, images


def read_run(folder: RunFolder, *, best: bool = False) -> tuple[Config, Inputs, TrainState]:
    """Settings of a run folder, what its network knows of the data, and its last or best state."""
    config = folder.read_config()
    if not folder.checkpoints.exists():
        raise no_checkpoint(folder)
    with Checkpoints(folder.checkpoints) as checkpoints:
        step = checkpoints.best() if best else checkpoints.last()
        if step is None:
            raise no_checkpoint(folder)
        inputs, _ = saved_inputs(checkpoints, step)
        like = jax.eval_shape(partial(initial_state, config, inputs, config.build_optimizer(1)[1]))
        return config, inputs, checkpoints.restore(step, like)


def no_checkpoint(folder: RunFolder) -> FolderError:
    """The one line for a run without a state to load."""
    return FolderError(f"{folder.path} has no checkpoint yet; train it with sslx pretrain --resume --out {folder.path}")


def features(run: str | Path, dataset: str, split: str, *, data_dir: str | None = None) -> np.ndarray:
    """Features of the "train" or "test" images of a data set through the frozen encoder of a run, [N, d] float32."""
    apply, variables = load(run)
    images = {"train": "train_images", "test": "test_images"}
    if split not in images:
        raise ValueError(f"split must be 'train' or 'test', got {split!r}")
    return evaluate.extract(apply, variables, getattr(data.load(dataset, data_dir=data_dir), images[split]))


def provenance() -> dict[str, Any]:
    """Versions and device."""
    names = ("jax", "flax", "optax", "orbax-checkpoint", "numpy")
    return {
        "versions": {"python": platform.python_version(), "sslx": sslx.__version__, **{name: version(name) for name in names}},
        "device": f"{len(jax.devices())} x {jax.devices()[0].device_kind}",
    }
