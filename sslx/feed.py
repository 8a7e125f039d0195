"""How the training images reach the step: they stay on the device, or the host hands them over batch by batch."""

import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

from sslx import data
from sslx.assemble import Parts
from sslx.config import Config
from sslx.evaluate import ValidationSplit
from sslx.train import Batch, batches, make_chunk
from sslx.train._loop import StepFn


class Feed(NamedTuple):
    """A step lifted to the devices, what its calls take, and how many steps one call takes."""

    step: StepFn
    stream: Iterator[Batch]
    per_call: int


def choose(config: Config) -> str:
    """The config's feed; "auto" is the host's on a CPU, where XLA computes a convolution in a loop on one core, else "resident"."""
    if config.feed != "auto":
        return config.feed
    return "host" if jax.default_backend() == "cpu" else "resident"


def make_feed(config: Config, parts: Parts, step: StepFn, split: ValidationSplit, *, start: int, chunk: int) -> Feed:
    """The feed of a run from step `start` on; a resident one takes `chunk` steps per call."""
    images, labels = training_data(parts, split)
    lift = parts.lift
    if choose(config) == "host":
        shuffled = batches(images, labels, config.batch_size, seed=config.seed, start=start)
        return Feed(lift.step(step), (Batch(*lift.shard(batch)) for batch in shuffled), 1)
    many = make_chunk(step, lift.share, steps=chunk, batch_size=config.batch_size, seed=config.seed)
    resident = Batch(*lift.place((images[np.arange(len(images))], labels)))
    return Feed(lift.step(many), itertools.repeat(resident), chunk)


def training_data(parts: Parts, split: ValidationSplit) -> tuple[Any, np.ndarray]:
    """Images to train on, with labels: a method that learns from labels leaves out the validation images, others take all there are."""
    dataset = parts.dataset
    if parts.method.target == "labels":
        return dataset.train_images[split.kept], dataset.train_labels[split.kept]
    if dataset.unlabelled_images is None:
        return dataset.train_images, dataset.train_labels
    unknown = np.full(len(dataset.unlabelled_images), -1, np.int32)
    return data.Stacked(dataset.train_images, dataset.unlabelled_images), np.concatenate([dataset.train_labels, unknown])
