"""The options of `sslx pretrain` and what they mean: `sslx.cli` reads them with tyro, `experiments/pretrain.py` without."""

import contextlib
import dataclasses
from pathlib import Path
from typing import Any

from sslx.config import Config, ConfigError, at_least, one_of
from sslx.folder import RunFolder
from sslx.methods import METHODS
from sslx.presets import PRESETS, preset
from sslx.processes import on_first

DEFAULT = "digits-isoloss"
SAME_NAME = (
    "dataset", "target", "data_dir", "model", "epochs", "steps", "batch_size", "optimizer", "learning_rate", "warmup",
    "weight_decay", "seed", "parallel", "checkpoint_every", "precision", "micro_batches", "views",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class PretrainOptions:
    """Train an encoder without labels, evaluate it, and write a run folder."""

    preset: str | None = None
    """Named settings, see `sslx list presets`; by default digits-isoloss, with --dataset X alone X-isoloss or else cifar10-isoloss."""
    method: str | None = None
    """Method, see `sslx list methods`; it means the preset digits-METHOD, with --dataset X the preset X-METHOD or else cifar10-METHOD."""
    dataset: str | None = None
    """Data set, see `sslx list datasets`."""
    data_dir: str | None = None
    """Directory of the data; by default that of the environment variable SSLX_DATA."""
    model: str | None = None
    """Encoder, see `sslx list models`."""
    projector: str | None = None
    """Widths of the projector's hidden layers and output in place of the preset's, say 2048,512."""
    epochs: int | None = None
    """Passes over the training images."""
    steps: int | None = None
    """Training steps, in place of epochs."""
    batch_size: int | None = None
    """Images per step over all devices."""
    optimizer: str | None = None
    """Optimiser: adamw, sgd, lars, or larc, which limits steps where lars scales them."""
    learning_rate: float | None = None
    """Peak learning rate."""
    warmup: float | None = None
    """Fraction of the steps over which the learning rate rises."""
    weight_decay: float | None = None
    """Weight decay; biases and norm parameters are left out."""
    hyper: str | None = None
    """Hyper-parameters of the method in place of the preset's, say std_coeff=50,cov_coeff=2."""
    views: str | None = None
    """Recipe of the views, see `sslx list views`."""
    target: str | None = None
    """Target network of BYOL and the closed-form predictors: ema or none."""
    seed: int | None = None
    """Seed of everything random."""
    seeds: int = 1
    """Runs, with seeds from --seed up, in a folder of their own each; the summary has mean and standard deviation."""
    precision: str | None = None
    """Of the network in training: float32, bfloat16, or auto (bfloat16 on an accelerator)."""
    micro_batches: int | None = None
    """Parts of a batch that go through the network one after the other to save memory."""
    stream: bool = False
    """Read the images from disk while the device works; by default only where they would take half of its memory."""
    parallel: str | None = None
    """How to run on several devices: auto, jit or pmap."""
    distributed: bool = False
    """Join the other processes of the run: for a program that is started once per host (or device) by srun, mpirun or on a TPU pod, or with
    JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID set."""
    checkpoint_every: int | None = None
    """Steps between checkpoints; by default there are at most eight in a run."""
    keep_all: bool = False
    """Keep every checkpoint, not the last and the best alone; `sslx evaluate RUN --step N` reads them."""
    out: str | None = None
    """Run folder; by default a fresh one under runs/."""
    resume: bool = False
    """Go on with the run in --out."""
    json: bool = False
    """Print the summary as one JSON object on standard output."""


def to_config(options: PretrainOptions) -> Config:
    """The settings that the options stand for.

    Raises:
        ConfigError: an unknown name, a value out of range, or options that contradict each other.
        FolderError: a run to resume that cannot be read.
    """
    at_least("seeds", options.seeds, 1)
    changes: dict[str, Any] = {name: value for name in SAME_NAME if (value := getattr(options, name)) is not None}
    if options.projector is not None:
        changes["projector"] = tuple(map(number_or_name, options.projector.split(",")))
    if options.stream:
        changes["feed"] = "stream"
    if options.keep_all:
        changes["keep_all"] = True
    if options.resume and options.out and options.preset is None and options.method is None:
        config = dataclasses.replace(saved_config(options), **changes)
    else:
        config = preset(preset_name(options), **changes)
    return dataclasses.replace(config, hyper={**config.hyper, **hyper_parameters(options.hyper)})


@on_first
def saved_config(options: PretrainOptions) -> Config:
    """The settings of the run in --out; of several those of the one with --seed, or else the lowest."""
    out, seed = Path(options.out or ""), "[0-9]*" if options.seed is None else options.seed
    several = [config.parent for config in out.glob(f"seed{seed}/config.json")] if options.seeds > 1 else []
    return min((RunFolder(path).read_config() for path in several or [out]), key=lambda config: config.seed)


def hyper_parameters(words: str | None) -> dict[str, Any]:
    """The values by name in "name=value,name=value"."""
    pairs = [pair.partition("=") for pair in words.split(",")] if words else []
    if not all(name and equals and value for name, equals, value in pairs):
        raise ConfigError(f"hyper must be name=value, with commas between several, got {words!r}")
    return {name.strip(): number_or_name(value.strip()) for name, _, value in pairs}


def number_or_name(word: str) -> Any:
    """A word as a whole number, a number, or itself."""
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return kind(word)
    return word


def preset_name(options: PretrainOptions) -> str:
    """The preset that the options name: directly, or by data set and method; an unknown data set takes the recipe of CIFAR-10."""
    if options.preset is not None:
        chosen = PRESETS[options.preset]() if options.preset in PRESETS else None
        if chosen and options.method not in (None, chosen.method):
            raise ConfigError(f"preset {options.preset} has method {chosen.method}, asked was {options.method}; leave out one of them")
        return options.preset
    default = PRESETS[DEFAULT]()
    method, dataset = options.method or default.method, options.dataset or default.dataset
    one_of("method", method, METHODS)
    names = [name for name in (f"{dataset}-{method}", f"cifar10-{method}") if name in PRESETS]
    if not names:
        raise ConfigError(f"method {method} has no preset; add one to sslx.presets.PRESETS and name it")
    return names[0]
