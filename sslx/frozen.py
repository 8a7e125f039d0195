"""A finished run as a frozen encoder: load it, have features, measure their accuracies."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax import Array

from sslx import data, evaluate, folder as folders
from sslx.assemble import Inputs, frozen_encoder, initial_state, variables_of
from sslx.checkpoint import Checkpoints
from sslx.config import Config, ConfigError
from sslx.data import DataError, Dataset
from sslx.fit import check_data, saved_inputs
from sslx.folder import FolderError, RunFolder
from sslx.memory import enough_memory, explain_evaluation
from sslx.train import TrainState
from sslx.watch import Watch, evaluating, reading, silent

Features = tuple[np.ndarray, np.ndarray]  # of the training and the test images


def encode(config: Config, dataset: Dataset, state: TrainState, tell: Callable[..., None] = lambda part, **_: None) -> Features:
    """Features of the training and the test images; `tell` hears of the images that are done."""
    apply, variables = frozen_encoder(config.model), variables_of(state)

    def features(name: str, images: np.ndarray) -> np.ndarray:
        part = f"features of the {name} images"
        return evaluate.extract(apply, variables, images, progress=lambda done, total: tell(part, done=done, total=total))

    return features("training", dataset.train_images), features("test", dataset.test_images)


def assess(
    run: str | Path,
    parts: tuple[str, ...],
    *,
    dataset: str | None = None,
    data_dir: str | None = None,
    save_to: str | None = None,
    best: bool = False,
    step: int | None = None,
    watch: Watch = silent,
) -> dict[str, Any]:
    """The accuracies of a finished run that `parts` asks for ("knn", "linear", "few_label").

    Args:
        run: run folder.
        parts: which accuracies.
        dataset: labelled images that the frozen encoder is evaluated on, by default those of the run; the network stays as it is.
        data_dir: where they lie; by default where the run had its data.
        save_to: an .npz file for features, labels, test_features and test_labels.
        best: take the checkpoint with the best validation accuracy in place of the last one.
        step: take that of this step.
        watch: called with "data" and "evaluate" and a record, as in `sslx.pretrain`.

    Raises:
        FolderError, DataError: the run or the data cannot be read, the images do not fit the encoder, there are no labels for accuracies,
            or `save_to` cannot be written.
        OutOfMemory: the device has not enough memory.
    """
    if save_to is not None:
        folders.check_file(Path(save_to))  # before long work
    config, state, images = load_run(run, dataset, data_dir, best=best, step=step, watch=watch)
    tell = evaluating(watch, "frozen encoder")
    if parts and not images.classes:
        raise DataError(
            f"{images.name} has no labels to measure an accuracy by; name images that have some with --dataset, or ask for features alone "
            "with --features OUT.npz"
        )
    try:
        with enough_memory(explain_evaluation):
            arrays = encode(config, images, state, tell)
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
    return evaluate.evaluate(*arrays, images, parts=parts, progress=tell) if parts else {}


def load(run: str | Path, *, best: bool = False, step: int | None = None) -> tuple[Callable[..., Array], dict[str, Any]]:
    """The frozen encoder of a run folder: of its last checkpoint, of the one with the best validation accuracy, or of that at a step.

    Returns:
        `(apply, variables)`: `apply(variables, images [N >= 0, H, W, C]) -> features [N, d]`, jitted, for images of whole numbers from 0 to
        255, whatever their type (divide those of 16 bits by 65535), or floating point in [0, 1]; ValueError for images of another shape
        than the encoder takes, TypeError for a list.

    Raises:
        FolderError: the folder holds no run, or a run without such a checkpoint.
        ConfigError: both were asked for.
    """
    config, _, state = read_run(RunFolder(Path(run)), best=best, step=step)
    return frozen_encoder(config.model), variables_of(state)


def load_run(
    run: str | Path,
    dataset: str | None = None,
    data_dir: str | None = None,
    *,
    best: bool = False,
    step: int | None = None,
    watch: Watch = silent,
) -> tuple[Config, TrainState, Dataset]:
    """Settings and last or chosen state of a run folder, and its data set or the other one that is named.

    Raises:
        FolderError, DataError: the run or the data cannot be read, or its own data are not as they were.
    """
    folder = RunFolder(Path(run))
    config, inputs, state = read_run(folder, best=best, step=step)
    images = data.load(dataset or config.dataset, data_dir=data_dir or config.data_dir, progress=reading(watch))
    if dataset in (None, config.dataset):
        check_data(images, inputs, folder)
    return config, state, images


def read_run(folder: RunFolder, *, best: bool = False, step: int | None = None) -> tuple[Config, Inputs, TrainState]:
    """Settings of a run folder, what its network knows of the data, and its last or chosen state."""
    config = folder.read_config()
    if not folder.checkpoints.exists():
        raise no_checkpoint(folder)
    with Checkpoints(folder.checkpoints) as checkpoints:
        step = chosen(checkpoints, folder, best=best, step=step)
        inputs, _ = saved_inputs(checkpoints, step)
        like = jax.eval_shape(partial(initial_state, config, inputs, config.build_optimizer(1)[1]))
        return config, inputs, checkpoints.restore(step, like)


def chosen(checkpoints: Checkpoints, folder: RunFolder, *, best: bool, step: int | None) -> int:
    """The step of the checkpoint that was asked for, by default the last.

    Raises:
        FolderError: it is not there.
        ConfigError: both the best one and a step were asked for.
    """
    if best and step is not None:
        raise ConfigError(f"give either the best checkpoint or a step, got both and step {step}")
    found = checkpoints.steps()
    if not found:
        raise no_checkpoint(folder)
    wanted = checkpoints.best() if best else checkpoints.last() if step is None else step
    if wanted not in found:
        there = ", ".join(map(str, found))
        raise FolderError(f"{folder.path} has checkpoints of the steps {there}, asked was {step!r}; --keep-all keeps more")
    return wanted


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
