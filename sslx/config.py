"""What a run is: a frozen dataclass that is checked when it is made."""

import dataclasses
import math
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import optax

from sslx import methods
from sslx.augment import RECIPES
from sslx.hints import near
from sslx.models import ENCODERS
from sslx.parallel import MODES
from sslx.train import OPTIMIZERS, optimizer, warmup_cosine

FEEDS = ("auto", "resident", "host", "stream")
PRECISIONS = ("auto", "float32", "bfloat16")
WITHOUT_EFFECT = ("data_dir", "feed", "checkpoint_every", "keep_all")  # on the network at the end


class ConfigError(ValueError):
    """A setting that cannot be used: one line with what came, what was wanted and the remedy."""


@dataclasses.dataclass(frozen=True)
class Config:
    """All settings of a run. Give `steps` or `epochs`, not both; a numpy scalar or a path becomes a plain number or text."""

    method: str
    dataset: str = "digits"
    """A name that `sslx.data.load` knows."""
    model: str = "convnet"
    preset: str = "custom"
    hyper: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Hyper-parameters of the method, by the names in its row of `sslx.methods`."""
    target: str | None = None
    """Target network, "ema" or "none"; None leaves the method's own."""
    projector: tuple[int, int] | None = None
    """Widths of the projector's hidden layers and output; None leaves the published ones."""
    predictor_hidden: int | None = None
    data_dir: str | None = None
    views: str = "digits"
    steps: int | None = None
    epochs: int | None = None
    batch_size: int = 256
    optimizer: str = "adamw"
    learning_rate: float = 3e-3
    weight_decay: float = 1e-4
    trust_coefficient: float = 0.02
    """Of LARS and LARC: 0.02 in most recipes for CIFAR, 0.001 in those for ImageNet."""
    warmup: float = 0.05
    """Fraction of the steps over which the learning rate rises."""
    seed: int = 0
    parallel: str = "auto"
    feed: str = "auto"
    """Where the images lie: "resident" on the device, many steps per call; "host", handed over batch by batch; "stream", read from
    disk while the device works."""
    precision: str = "float32"
    """Of the network in training, "float32" or "bfloat16"; "auto" is bfloat16 on an accelerator. Parameters, statistics and losses are
    float32 in any case."""
    micro_batches: int = 1
    """Parts of a batch that go through the network one after the other to save memory."""
    online_probe: bool = False
    """Train a linear probe beside the encoder."""
    checkpoint_every: int | None = None
    """Steps between checkpoints, each with a validation score; None makes at most eight of them in a run."""
    keep_all: bool = False
    """Keep every checkpoint, not the last and the best alone; true stays true where a run is resumed."""

    def __post_init__(self) -> None:
        """Check every field that can be checked without the data, once it is a value that JSON has."""
        for name, value in vars(self).items():
            object.__setattr__(self, name, plain(value))
        for name, table in (
            ("method", methods.METHODS),
            ("model", ENCODERS),
            ("views", RECIPES),
            ("optimizer", OPTIMIZERS),
            ("parallel", MODES),
            ("feed", FEEDS),
            ("precision", PRECISIONS),
        ):
            one_of(name, getattr(self, name), table)
        for name in ("dataset", "preset", "data_dir", "target"):
            text(name, getattr(self, name), optional=name in ("data_dir", "target"))
        if (self.steps is None) == (self.epochs is None):
            raise ConfigError(f"give either steps or epochs, got steps {self.steps} and epochs {self.epochs}")
        for name in ("steps", "epochs", "checkpoint_every", "predictor_hidden", "micro_batches"):
            at_least(name, getattr(self, name), 1)
        for name, lowest in (("batch_size", 2), ("seed", 0)):
            at_least(name, getattr(self, name), lowest, optional=False)
        if self.seed >= 2**32:
            raise ConfigError(f"seed must be below {2**32}, got {self.seed}; a larger one draws what a smaller one does")
        if self.projector is not None:
            if not isinstance(self.projector, tuple) or len(self.projector) != 2:
                raise ConfigError(f"projector must be the two widths (hidden, output), got {self.projector!r}")
            for width in self.projector:
                at_least("projector", width, 1, optional=False)
        in_range("learning_rate", self.learning_rate, 100.0, positive=True)
        in_range("weight_decay", self.weight_decay, 10.0)
        for name in ("online_probe", "keep_all"):
            if not isinstance(getattr(self, name), bool):
                raise ConfigError(f"{name} must be true or false, got {getattr(self, name)!r}")
        in_range("trust_coefficient", self.trust_coefficient, 1.0, positive=True)
        in_range("warmup", self.warmup, 1.0)
        self.build_method()

    def build_method(self) -> methods.Method:
        """The method's row with this run's hyper-parameters."""
        if not isinstance(self.hyper, Mapping) or not all(isinstance(name, str) for name in self.hyper):
            raise ConfigError(f"hyper must hold hyper-parameters by name, got {self.hyper!r}")
        if "target" in self.hyper:
            raise ConfigError("target is a setting of its own; take it out of hyper")
        try:
            return methods.build(self.method, target=self.target, **self.hyper)
        except ValueError as error:
            raise ConfigError(str(error)) from None

    def build_optimizer(self, steps: int) -> tuple[optax.Schedule, optax.GradientTransformation]:
        """Learning-rate schedule and optimiser of a run of this many steps."""
        schedule = warmup_cosine(self.learning_rate, steps=steps, warmup_steps=min(round(self.warmup * steps), steps - 1))
        return schedule, optimizer(self.optimizer, schedule, weight_decay=self.weight_decay, trust_coefficient=self.trust_coefficient)

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "Config":
        """The config whose fields these are; an unknown field is an error."""
        if not isinstance(fields, Mapping) or "method" not in fields:
            raise ConfigError(f"settings must be an object that names at least a method, got {fields!r}")
        check_fields(fields)
        projector = fields.get("projector")
        return cls(**{**fields, "projector": tuple(projector) if isinstance(projector, list) else projector})


def plain(value: Any) -> Any:
    """Numpy scalars as numbers and paths as text, also in a mapping or a tuple; anything else as it is."""
    match value:
        case np.generic():
            return value.item()
        case os.PathLike():
            return os.fspath(value)
        case Mapping():
            return {name: plain(each) for name, each in value.items()}
        case tuple():
            return tuple(map(plain, value))
    return value


def check_config(config: Any) -> None:
    """Raise ConfigError unless this is a Config."""
    if not isinstance(config, Config):
        raise ConfigError(f"config must be a Config, as sslx.presets.preset makes it, got {config!r}")


def one_of(name: str, value: Any, table: Any) -> None:
    """Raise ConfigError unless `value` is in the table."""
    if not isinstance(value, str) or value not in table:
        raise ConfigError(f"{name} must be one of {', '.join(table)}, got {value!r}{near(value, table)}")


def text(name: str, value: Any, *, optional: bool) -> None:
    """Raise ConfigError unless `value` is a string, or None where that is allowed."""
    if not isinstance(value, str) and not (optional and value is None):
        raise ConfigError(f"{name} must be a text, got {value!r}")


def at_least(name: str, value: Any, lowest: int, *, optional: bool = True) -> None:
    """Raise ConfigError unless `value` is a whole number that is not below `lowest`, or None where that is allowed."""
    if value is None and optional:
        return
    if isinstance(value, bool) or not isinstance(value, int) or value < lowest:
        raise ConfigError(f"{name} must be a whole number of at least {lowest}, got {value!r}")


def in_range(name: str, value: Any, high: float, *, positive: bool = False) -> None:
    """Raise ConfigError unless `value` is a finite number from 0 to `high`, or above 0 where it has to be positive."""
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not number or not 0 <= value <= high or (positive and value == 0):
        wanted = f"above 0 up to {high:g}" if positive else f"from 0 to {high:g}"
        raise ConfigError(f"{name} must be a number {wanted}, got {value!r}")


def check_fields(fields: Mapping[str, Any]) -> None:
    """Raise ConfigError for a field that a config does not have."""
    known = [field.name for field in dataclasses.fields(Config)]
    for name in fields:
        if name not in known:
            raise ConfigError(f"a run has no setting {name!r}; it has {', '.join(known)}{near(name, known)}")
