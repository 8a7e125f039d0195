"""How the training images reach the step: they stay on the device, or the host hands them over batch by batch."""

import importlib.util
import itertools
import math
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

from sslx import data, speed
from sslx.assemble import Parts
from sslx.config import Config, ConfigError
from sslx.data import Dataset
from sslx.train import Batch, batches, make_chunk, streamed
from sslx.train._loop import StepFn


class Feed(NamedTuple):
    """A step lifted to the devices, what its calls take, how many steps one call takes, and steps in an epoch."""

    step: StepFn
    stream: Iterator[Batch]
    per_call: int
    per_epoch: int


def choose(config: Config, dataset: Dataset) -> str:
    """The config's feed; "auto" is "host" on a CPU, else "resident", or where the images would take half of the memory (of 16 GiB where it
    is not known) "stream", without grain "host"."""
    if config.feed != "auto":
        return config.feed
    if jax.default_backend() == "cpu":
        return "host"
    if size_of(dataset) < (speed.memory_limit() or 2**34) / 2:
        return "resident"
    return "stream" if has_grain() else "host"


def has_grain() -> bool:
    """Whether grain is installed."""
    return importlib.util.find_spec("grain") is not None


def check_feed(config: Config) -> None:
    """Raise ConfigError where the images are to be streamed and grain is missing."""
    if config.feed == "stream" and not has_grain():
        raise ConfigError("streaming needs grain, which is not installed; pip install grain, or leave out --stream")


def size_of(dataset: Dataset) -> int:
    """Bytes of all images to train on."""
    return math.prod(all_images(dataset).shape)


def describe_feed(config: Config, dataset: Dataset) -> str:
    """Where the images of a run lie, in words."""
    words = {
        "host": "the host hands the images over batch by batch",
        "resident": f"all images ({size_of(dataset) / 2**20:.0f} MiB) stay on the device, which takes many steps per call",
        "stream": "the images are read from disk while the device works",
    }
    return words[choose(config, dataset)]


def make_feed(config: Config, parts: Parts, step: StepFn, *, seeds: Sequence[int], start: int, chunk: int) -> Feed:
    """The feed of runs with these seeds, side by side, from step `start` on; a resident one takes `chunk` steps per call."""
    images, labels = training_data(parts)
    lift, size = parts.lift, config.batch_size
    per_epoch = len(images) // size
    chosen = choose(config, parts.dataset)
    if chosen != "resident":
        source = batches if chosen == "host" else partial(streamed, stop=parts.steps)
        lanes = [source(images, labels, size, seed=seed, start=start, part=lift.held(size)) for seed in seeds]
        stream = (Batch(*lift.shard(tuple(map(beside, *group)))) for group in zip(*lanes, strict=True))
        return Feed(lift.step(step), stream, 1, per_epoch)
    many = make_chunk(step, lift.share, steps=chunk, batch_size=size, seeds=seeds)
    resident = Batch(*lift.place((images[np.arange(len(images))], labels)))
    return Feed(lift.step(many), itertools.repeat(resident), chunk, per_epoch)


def beside(*arrays: np.ndarray) -> np.ndarray:
    """Arrays of several runs side by side along a second axis; a single one as it is."""
    return arrays[0] if len(arrays) == 1 else np.stack(arrays, axis=1)


def training_data(parts: Parts) -> tuple[Any, np.ndarray]:
    """Images to train on, with labels.

    A method that learns from labels leaves out the validation images; others take all there are, the validation images without their
    labels, so that the online probe does not see them.
    """
    dataset, split = parts.dataset, parts.split
    if parts.method.target == "labels":
        return data.Chosen(dataset.train_images, split.kept), dataset.train_labels[split.kept]
    labels = dataset.train_labels.copy()
    labels[split.held] = -1
    images = all_images(dataset)
    unknown = np.full(len(images) - len(labels), -1, np.int32)
    return images, np.concatenate([labels, unknown])


def all_images(dataset: Dataset) -> Any:
    """The training images and, where there are any, the unlabelled ones after them."""
    extra = dataset.unlabelled_images
    return dataset.train_images if extra is None else data.Stacked(dataset.train_images, extra)
