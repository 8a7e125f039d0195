"""The training of a run: events of the loop become metrics, validation records and checkpoints in its folder."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from sslx import evaluate, folder as folders
from sslx.assemble import Parts, build_network, inputs_of
from sslx.augment import RECIPES
from sslx.checkpoint import Checkpoints
from sslx.config import Config
from sslx.feed import make_feed
from sslx.folder import RunFolder
from sslx.train import TrainState, make_step, train

LOG_EVERY = 20
SPECTRUM_IMAGES = 25_600  # as many as RankMe's authors use
Watch = Callable[[str, dict[str, Any]], None]


class Recorder:
    """Writes what a run gives at its events."""

    def __init__(self, config: Config, parts: Parts, run: RunFolder, checkpoints: Checkpoints, watch: Watch) -> None:
        self.parts, self.run, self.checkpoints, self.watch = parts, run, checkpoints, watch
        self.inputs = inputs_of(parts.dataset)
        self.split = evaluate.validation_split(parts.dataset.train_labels)
        rows = evaluate.monitored(self.split)
        self.images, self.labels = parts.dataset.train_images[rows], parts.dataset.train_labels[rows]
        self.embed = evaluate.jitted(build_network(config, self.inputs).apply)

    def log(self, step: int, metrics: dict[str, float]) -> None:
        """One line of metrics.jsonl."""
        record = {"step": step, "learning_rate": float(np.asarray(self.parts.schedule(step - 1))), **metrics}
        folders.append_lines(self.run.metrics, [record])
        self.watch("log", record)

    def validate(self, step: int, state: TrainState) -> None:
        """One line of validation.jsonl and a checkpoint."""
        features, z, _ = evaluate.extract(self.embed, {"params": state.params, "batch_stats": state.batch_stats}, self.images)
        record = {"step": step, **evaluate.monitor(features, z, self.labels, len(self.split.held))}
        folders.append_lines(self.run.validation, [record])
        self.watch("validation", record)
        self.checkpoints.save(step, state, self.inputs._asdict(), validation=record["validation_accuracy"])
        self.watch("checkpoint", {"step": step, "state": state})


def fit(config: Config, parts: Parts, recorder: Recorder, state: TrainState, start: int) -> TrainState:
    """Train from step `start` to the end."""
    lift, steps = parts.lift, parts.steps
    network = build_network(config, recorder.inputs, axis_name=lift.axis_name)
    step = make_step(network, parts.method, parts.optimizer, RECIPES[config.views], total_steps=steps, axis_name=lift.axis_name)
    chunk, save_every = cadence(config.checkpoint_every, steps)
    feed = make_feed(config, parts, step, recorder.split, start=start, chunk=chunk)
    every = math.gcd(save_every, LOG_EVERY)
    for event in train(feed.step, lift.replicate(state), feed.stream, start=start, stop=steps, every=every, per_call=feed.per_call):
        if event.step % LOG_EVERY == 0 or event.step == steps:
            recorder.log(event.step, {name: float(values[-1, 0]) for name, values in event.metrics.items()})
        if event.step % save_every == 0 or event.step == steps:
            state = lift.unreplicate(event.state)
            recorder.validate(event.step, state)
    return state


def cadence(checkpoint_every: int | None, steps: int) -> tuple[int, int]:
    """Steps of one call of a resident feed, which divides everything else so that one program serves, and steps between checkpoints."""
    chunk = math.gcd(LOG_EVERY, steps)
    save_every = checkpoint_every or max(chunk, steps // 8 // chunk * chunk)
    return math.gcd(chunk, save_every), save_every
