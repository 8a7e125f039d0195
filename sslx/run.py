"""A run from a config: train, watch, evaluate, write the folder.

This is what the command line and the scripts call.
"""

import contextlib
import dataclasses
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

import sslx
from sslx import evaluate, folder as folders
from sslx.assemble import Parts, assemble, frozen_projector, initial_state, inputs_of, variables_of
from sslx.augment import RECIPES, make_views
from sslx.checkpoint import Checkpoints
from sslx.config import Config, check_config
from sslx.data import Dataset
from sslx.feed import check_feed, describe_feed
from sslx.fit import SPECTRUM_IMAGES, Recorder, begin, fit
from sslx.folder import RunFolder
from sslx.frozen import Features, encode
from sslx.memory import enough_memory, explain_evaluation, explain_state, explain_step
from sslx.pixels import unit_interval
from sslx.processes import is_first, on_all, on_first
from sslx.report import render
from sslx.train import TrainState, probe_accuracy
from sslx.watch import Watch, evaluating, of_seed, reading, silent

NO_LABELS = "there are no labels: no accuracy is measured, only RankMe and efficiency of the embedding"


def pretrain(config: Config, *, out: str | Path | None = None, resume: bool = False, watch: Watch = silent) -> dict[str, Any]:
    """Train, evaluate and write a run folder.

    After `jax.distributed.initialize` every process calls this; the first writes the folder and evaluates.

    Args:
        config: the settings, as `sslx.presets.preset("digits-isoloss", steps=200)` makes them.
        out: the run folder, new or empty; by default a fresh one under runs/.
        resume: go on from the last checkpoint of the run in `out`, which has to have the same settings but for data_dir, feed,
            checkpoint_every and keep_all, which stays once it is true; of a finished one read the summary.
        watch: called with a kind ("data", "start", "log", "validation", "checkpoint" or "evaluate") and a record as the run goes on;
            "log" and "validation" have the lines of the two files, "checkpoint" has "state" at "step", from 0 on, "evaluate" says which
            "part" "of" what begins or how many images of the "total" are "done"; these four have the "seed".

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
    parts = assemble(config, reading(watch))
    check_feed(config)
    return parts


def train_and_score(parts: Parts, configs: Sequence[Config], runs: Sequence[RunFolder], watch: Watch, clock: float) -> list[dict[str, Any]]:
    """Train runs that differ in their seed side by side (a single one from its last checkpoint on), score them, write their folders."""
    on_first(check_alone)(runs)  # where all processes hear of it
    configs = [on_first(keeping)(*each) for each in zip(configs, runs, strict=True)]
    unmeasured = () if parts.dataset.classes else (NO_LABELS,)
    notes = (*parts.dataset.notes, *unmeasured, describe_feed(configs[0], parts.dataset))
    what = {"config": configs[0], "seeds": [config.seed for config in configs], "steps": parts.steps, "devices": len(jax.devices())}
    watch("start", {"run": ", ".join(str(run.path) for run in runs), **what, "notes": notes})
    with contextlib.ExitStack() as stack:
        for run in runs if is_first() else ():
            stack.enter_context(run.alone())
        opened = [
            stack.enter_context(Checkpoints(run.checkpoints, keep_all=config.keep_all)) for config, run in zip(configs, runs, strict=True)
        ]
        recorders = [Recorder(*each, watch) for each in zip(configs, [parts] * len(runs), runs, opened, strict=True)]
        with enough_memory(partial(explain_state, configs, parts)):
            firsts = jax.block_until_ready([initial_state(config, inputs_of(parts.dataset), parts.optimizer) for config in configs])
            start, states = begin(recorders, firsts)
        with enough_memory(partial(explain_step, configs[0], parts)):
            states, speed = fit(parts, recorders, states, start)
    with enough_memory(explain_evaluation):
        return score(parts, configs, runs, firsts, states, speed, clock, watch)


def keeping(config: Config, run: RunFolder) -> Config:
    """The settings, which keep all checkpoints where the run has kept them so far."""
    return dataclasses.replace(config, keep_all=config.keep_all or run.read_config().keep_all)


def check_alone(runs: Sequence[RunFolder]) -> None:
    """Raise FolderError where another process trains one of the runs."""
    for run in runs:
        with run.alone():
            pass


@on_first
def score(
    parts: Parts,
    configs: Sequence[Config],
    runs: Sequence[RunFolder],
    firsts: Sequence[TrainState],
    states: Sequence[TrainState],
    speed: dict[str, float],
    clock: float,
    watch: Watch,
) -> list[dict[str, Any]]:
    """Summaries of trained runs that began at `clock`; they are written to their folders, with the reports."""
    summaries = []
    for config, run, first, state in zip(configs, runs, firsts, states, strict=True):
        told = partial(evaluating, of_seed(watch, config.seed))
        features = encode(config, parts.dataset, state, told("trained encoder"))
        summary = {
            **summarise(config, parts, run, first, state, features, told),
            "speed": speed or folders.last_speed(run.metrics),
            "seconds": round(time.perf_counter() - clock, 1),
        }
        folders.write_json(run.summary, summary)  # before anything is drawn, which could fail
        told("trained encoder")("report")
        with folders.replacing(run.report) as temporary:
            temporary.write_text(render(summary, *report_material(config, parts, run, state, features[1])))
        summaries.append(summary)
    return summaries


def summarise(
    config: Config,
    parts: Parts,
    run: RunFolder,
    first: TrainState,
    state: TrainState,
    features: Features,
    told: Callable[[str], Callable[..., None]],
) -> dict[str, Any]:
    """What a run is and how good its encoder is, beside the encoder before training and raw pixels."""
    dataset = parts.dataset
    scores = score_encoder(config, dataset, state, features, told("trained encoder"))
    random = {}
    if dataset.classes:
        tell = told("random encoder")
        random = evaluate.evaluate(*encode(config, dataset, first, tell), dataset, progress=tell)
    told("raw pixels")("accuracies")
    return {
        "run": str(run.path),
        "preset": config.preset,
        "method": config.method,
        "dataset": config.dataset,
        "seed": config.seed,
        "steps": parts.steps,
        **scores,
        "baselines": {"random": random, "raw": parts.raw()},
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


def score_encoder(config: Config, dataset: Dataset, state: TrainState, features: Features, tell: Callable[..., None]) -> dict[str, Any]:
    """The accuracies of the trained encoder and its online probe where there are labels, and RankMe and efficiency of the embedding of
    at most SPECTRUM_IMAGES random training images."""
    train, test = features
    some = train[evaluate.random_rows(len(train), SPECTRUM_IMAGES)]
    z = evaluate.extract(frozen_projector(config, inputs_of(dataset)), variables_of(state, "projector"), some)
    online = {"online_accuracy": probe_accuracy(state.probe, test, dataset.test_labels)} if state.probe else {}
    accuracies = evaluate.evaluate(train, test, dataset, progress=tell) if dataset.classes else {}
    return {**accuracies, **online, **evaluate.embedding_scores(z)}


def provenance() -> dict[str, Any]:
    """Versions and device."""
    names = ("jax", "flax", "optax", "orbax-checkpoint", "numpy")
    return {
        "versions": {"python": platform.python_version(), "sslx": sslx.__version__, **{name: version(name) for name in names}},
        "device": f"{len(jax.devices())} x {jax.devices()[0].device_kind}",
    }
