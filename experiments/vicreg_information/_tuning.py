"""Many short runs of one method: compiled once for all learning rates and seeds, scored, and written down as they are made."""

import dataclasses
import itertools
import json
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from sslx import data, evaluate, methods, train
from sslx.assemble import build_network, initial_state, inputs_of
from sslx.augment import RECIPES
from sslx.frozen import encode
from sslx.presets import preset

Row = dict[str, Any]


class Run(NamedTuple):
    """What makes a run that run: the preset `digits-<method>` with another learning rate and one hyper-parameter set."""

    method: str
    learning_rate: float
    coefficient: str
    value: float
    seed: int
    steps: int


@cache
def trainer(method: str, steps: int, coefficient: str, value: float) -> Callable[[int, float], tuple[np.ndarray, np.ndarray]]:
    """`(seed, learning rate) -> features of the training and of the test images`, compiled once for all of these."""
    config, dataset = preset(f"digits-{method}", steps=steps), data.load("digits")
    inputs = inputs_of(dataset)
    network = build_network(config, inputs)
    row = methods.build(method, **{**config.hyper, coefficient: value})

    @partial(jax.jit, donate_argnums=0)
    def step(state: Any, batch: train.Batch, rate: float) -> Any:
        schedule = train.warmup_cosine(1.0, steps=steps, warmup_steps=round(config.warmup * steps))
        rule = train.optimizer(config.optimizer, lambda t: rate * schedule(t), weight_decay=config.weight_decay)
        return train.make_step(network, row, rule, RECIPES[config.views], total_steps=steps)(state, batch)

    def run(seed: int, rate: float) -> tuple[np.ndarray, np.ndarray]:
        settings = dataclasses.replace(config, seed=seed)
        state = initial_state(settings, inputs, config.build_optimizer(steps)[1])
        stream = itertools.starmap(train.Batch, train.batches(dataset.train_images, dataset.train_labels, config.batch_size, seed=seed))
        for event in train.train(lambda s, batch: step(s, batch, rate), state, stream, start=0, stop=steps, every=20):
            state = event.state
        return encode(settings, dataset, state)

    return run


def score(run: Run) -> Row:
    """Accuracy with two labels per class on validation images (0 for a run that diverged), and the protocol's on the test images."""
    dataset = data.load("digits")
    try:
        features, test_features = trainer(run.method, run.steps, run.coefficient, run.value)(run.seed, run.learning_rate)
    except train.Divergence:
        return {**run._asdict(), "validation": 0.0}
    split, labels = evaluate.validation_split(dataset.train_labels), dataset.train_labels
    cut = dataset._replace(train_labels=labels[split.kept], test_labels=labels[split.held])
    validation = evaluate.evaluate(features[split.kept], features[split.held], cut, parts=("few_label",))
    scores = evaluate.evaluate(features, test_features, dataset, parts=("knn", "few_label"))
    return {
        **run._asdict(),
        "validation": validation["few_label_accuracy"]["2"],
        "kNN": scores["knn_accuracy"],
        **scores["few_label_accuracy"],
    }


class Ledger:
    """The rows of the runs made so far, in a file of one JSON object a line."""

    def __init__(self, path: Path) -> None:
        self.path = path
        rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        self.rows = {Run(*(row[name] for name in Run._fields)): row for row in rows}

    def __getitem__(self, run: Run) -> Row:
        """The row of a run, which is made now if it is not there yet."""
        if run not in self.rows:
            self.rows[run] = score(run)
            with self.path.open("a") as file:
                file.write(json.dumps(self.rows[run]) + "\n")
        return self.rows[run]
