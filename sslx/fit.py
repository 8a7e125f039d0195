"""The training of a run, or of several that differ in their seed: events of the loop become metrics, validation records, checkpoints."""

import dataclasses
import itertools
import math
import statistics
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sslx import evaluate, folder as folders, speed
from sslx.assemble import Inputs, Parts, build_network, compute_dtype, frozen_encoder, frozen_projector, inputs_of, variables_of
from sslx.augment import RECIPES
from sslx.checkpoint import Checkpoints
from sslx.config import Config
from sslx.data import DataError, Dataset
from sslx.feed import make_feed
from sslx.flops import count_flops
from sslx.folder import FolderError, RunFolder
from sslx.interruption import deferred
from sslx.processes import on_first
from sslx.train import TrainState, make_step, probe_accuracy, train
from sslx.watch import Watch, of_seed

LOG_EVERY = 20
SPECTRUM_IMAGES = 25_600  # as many as RankMe's authors use


class Recorder:
    """Writes what one run gives at its events, in the first process."""

    def __init__(self, config: Config, parts: Parts, run: RunFolder, checkpoints: Checkpoints, watch: Watch) -> None:
        self.config, self.parts, self.run, self.checkpoints = config, parts, run, checkpoints
        self.watch = of_seed(watch, config.seed)
        self.inputs = inputs_of(parts.dataset)
        rows = evaluate.monitored(parts.split)
        self.images, self.labels = parts.dataset.train_images[rows], parts.dataset.train_labels[rows]
        self.project = frozen_projector(config, self.inputs)

    def begin(self, first: TrainState, start: int) -> TrainState:
        """The state to start from, that of the checkpoint at step `start` or `first`; later records of an earlier start are dropped, and
        settings that may change on resuming are written down."""
        if start:
            self.check(start)
        state = self.checkpoints.restore(start, first) if start else first
        if self.run.read_config() != self.config:
            folders.write_json(self.run.config, self.config.to_json())
        for path in (self.run.metrics, self.run.validation):
            folders.keep_until(path, start)
        self.watch("checkpoint", {"step": start, "state": state})
        return state

    def check(self, start: int) -> None:
        """Raise unless data and length of the run are those of the checkpoint at step `start`."""
        inputs, steps = saved_inputs(self.checkpoints, start)
        check_data(self.parts.dataset, inputs, self.run)
        steps = steps or self.parts.steps
        if steps != self.parts.steps or start > steps:
            raise FolderError(
                f"{self.run.path} is at step {start} of {max(start, steps)}, with the epochs of {self.config.dataset} as it is now "
                f"it would have {self.parts.steps}; put its data back, or train a new run"
            )

    @on_first
    def log(self, step: int, metrics: dict[str, float]) -> None:
        """One line of metrics.jsonl."""
        record = {"step": step, "learning_rate": float(np.asarray(self.parts.schedule(step - 1))), **metrics}
        folders.append_lines(self.run.metrics, [record])
        self.watch("log", record)

    @on_first
    def validate(self, step: int, state: TrainState) -> None:
        """One line of validation.jsonl and a checkpoint; without an accuracy to choose by, the last one counts as the best."""
        held = len(self.parts.split.held)
        features = evaluate.extract(frozen_encoder(self.config.model), variables_of(state), self.images)
        z = evaluate.extract(self.project, variables_of(state, "projector"), features)
        record = {"step": step, **evaluate.monitor(features, z, self.labels, held)}
        if state.probe and held:
            record["online_accuracy"] = probe_accuracy(state.probe, features[:held], self.labels[:held])
        folders.append_lines(self.run.validation, [record])
        self.watch("validation", record)
        score = record.get("validation_accuracy", float(step))
        self.checkpoints.save(step, state, {**self.inputs._asdict(), "steps": self.parts.steps}, validation=score)
        self.watch("checkpoint", {"step": step, "state": state})


def saved_inputs(checkpoints: Checkpoints, step: int) -> tuple[Inputs, int | None]:
    """What the network saved at `step` knows of its data, and the steps of its whole run (None in older checkpoints)."""
    match checkpoints.inputs(step):
        case {"image_shape": [int(h), int(w), int(c)], "classes": int(classes), **rest} if min(h, w, c) > 0 <= classes:
            if isinstance(steps := rest.get("steps"), int | None):
                return Inputs((h, w, c), classes), steps
    raise FolderError(f"{checkpoints.folder}/{step}/inputs is damaged; train the run again")


def check_data(dataset: Dataset, inputs: Inputs, run: RunFolder) -> None:
    """Raise DataError unless the data set is like the one that the run was trained on."""
    found = inputs_of(dataset)
    if found != inputs:
        raise DataError(
            f"{dataset.name} has images of shape {found.image_shape} in {found.classes} classes, {run.path} was trained on "
            f"{inputs.image_shape} in {inputs.classes}; put its data back, or train a new run"
        )


@on_first
def begin(recorders: Sequence[Recorder], firsts: Sequence[TrainState]) -> tuple[int, list[TrainState]]:
    """The step to start from, that of the last checkpoint or 0, and the states there."""
    start = recorders[0].checkpoints.last() or 0
    return start, [recorder.begin(first, start) for recorder, first in zip(recorders, firsts, strict=True)]


def fit(parts: Parts, recorders: Sequence[Recorder], states: Sequence[TrainState], start: int) -> tuple[list[TrainState], dict[str, float]]:
    """Train the runs of `recorders`, which differ in their seed only, side by side from step `start` to the end.

    Returns:
        Their states at the end, and `speed.describe` of all of them together ({} where there was no step left to take).
    """
    config, lift, steps, lanes = recorders[0].config, parts.lift, parts.steps, len(recorders)
    if start == steps:
        return list(states), {}
    step = jax.jit(build_step(config, parts, axis_name=lift.axis_name))
    chunk, save_every = cadence(config.checkpoint_every, steps, start)
    seeds = [recorder.config.seed for recorder in recorders]
    feed = make_feed(config, parts, side_by_side(step, lanes), seeds=seeds, start=start, chunk=chunk)
    state, first = lift.replicate(stack(states)), next(feed.stream)
    program = speed.compile_step(feed.step, state, first)
    stream, every, rates = itertools.chain([first], feed.stream), math.gcd(save_every, LOG_EVERY), []
    describe = partial(
        speed.describe,
        program,
        flops=lanes * step_flops(config, parts, step, states[0], state.step.sharding),
        batch_size=lanes * config.batch_size,
        per_epoch=feed.per_epoch,
        peak=speed.peak_flops(compute_dtype(config.precision) or jnp.float32),
    )
    since, last = time.perf_counter(), start
    with deferred() as ended:
        for event in train(program.call, state, stream, start=start, stop=steps, every=every, per_call=feed.per_call):
            rates.append((event.step - last) / (time.perf_counter() - since))
            for lane, recorder in enumerate(recorders):
                if event.step % LOG_EVERY == 0 or event.step == steps:
                    metrics = {name: float(values[-1, lane]) for name, values in event.metrics.items()}
                    recorder.log(event.step, {**metrics, **describe(steps_per_second=rates[-1])})
            ending = ended()
            if event.step % save_every == 0 or event.step == steps or ending:
                states = unstack(lift.unreplicate(event.state), lanes)
                for recorder, state in zip(recorders, states, strict=True):
                    recorder.validate(event.step, state)
            if ending:
                break
            since, last = time.perf_counter(), event.step
    return list(states), describe(steps_per_second=statistics.median(rates))


def build_step(config: Config, parts: Parts, *, axis_name: str | None = None) -> Any:
    """The training step of a run."""
    network = build_network(config, inputs_of(parts.dataset), axis_name=axis_name, dtype=compute_dtype(config.precision))
    return make_step(
        network,
        parts.method,
        parts.optimizer,
        RECIPES[config.views],
        total_steps=parts.steps,
        micro_batches=config.micro_batches,
        axis_name=axis_name,
    )


def step_flops(config: Config, parts: Parts, step: Any, state: TrainState, sharding: Any) -> float:
    """Operations of a training step; what is computed again to save memory counts once.

    With its arguments placed as in the training program jax has traced it already, unless devices or micro-batches share its work.
    """
    if parts.lift.axis_name or config.micro_batches > 1:
        step, sharding = build_step(dataclasses.replace(config, micro_batches=1), parts), None
    arguments = state, speed.abstract_batch(config.batch_size, inputs_of(parts.dataset).image_shape)
    return count_flops(step, *jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), arguments))


def side_by_side(step: Any, lanes: int) -> Any:
    """The step of several runs at once: their states lie along the first axis, their batches along the second, after the images."""
    return step if lanes == 1 else jax.vmap(step, in_axes=(0, 1))


def stack(states: Sequence[TrainState]) -> TrainState:
    """Several states as one with an axis in front; a single one as it is."""
    return states[0] if len(states) == 1 else jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)


def unstack(state: TrainState, lanes: int) -> list[TrainState]:
    """The inverse of `stack`."""
    return [state] if lanes == 1 else [jax.tree.map(lambda x, i=i: x[i], state) for i in range(lanes)]


def cadence(checkpoint_every: int | None, steps: int, start: int) -> tuple[int, int]:
    """Steps of one call of a resident feed, which divides everything else so that one program serves, and steps between checkpoints;
    with another number of these before, `start` need not be a multiple of it."""
    chunk = math.gcd(LOG_EVERY, steps)
    save_every = checkpoint_every or -(-steps // (8 * chunk)) * chunk  # at most eight of them
    return math.gcd(chunk, save_every, start), save_every
