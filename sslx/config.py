"""What a run is: a frozen dataclass, and the named presets that make one.

A preset is a function of no arguments; `preset("digits-isoloss", steps=200)` is that preset with a field changed.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import optax

from sslx import methods
from sslx.augment import RECIPES
from sslx.data import DATASETS
from sslx.models import ENCODERS
from sslx.parallel import MODES
from sslx.train import OPTIMIZERS, optimizer, warmup_cosine


class ConfigError(ValueError):
    """A setting that cannot be used: one line with what came, what was wanted and the remedy."""


@dataclasses.dataclass(frozen=True)
class Config:
    """All settings of a run. Give `steps` or `epochs`, not both."""

    method: str
    dataset: str = "digits"
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
    warmup: float = 0.05
    """Fraction of the steps over which the learning rate rises."""
    seed: int = 0
    parallel: str = "auto"
    checkpoint_every: int | None = None
    """Steps between checkpoints, each with a validation score; None makes eight of them in a run."""

    def __post_init__(self) -> None:
        """Check every field that can be checked without the data."""
        for name, table in (
            ("method", methods.METHODS),
            ("model", ENCODERS),
            ("views", RECIPES),
            ("optimizer", OPTIMIZERS),
            ("parallel", MODES),
        ):
            one_of(name, getattr(self, name), table)
        if ":" not in self.dataset:
            one_of("dataset", self.dataset, DATASETS)
        if (self.steps is None) == (self.epochs is None):
            raise ConfigError(f"give either steps or epochs, got steps {self.steps} and epochs {self.epochs}")
        for name in ("steps", "epochs", "checkpoint_every", "predictor_hidden"):
            at_least(name, getattr(self, name), 1)
        at_least("batch_size", self.batch_size, 2)
        at_least("seed", self.seed, 0)
        in_range("learning_rate", self.learning_rate, 0.0, 100.0, open_below=True)
        in_range("weight_decay", self.weight_decay, 0.0, 10.0)
        in_range("warmup", self.warmup, 0.0, 1.0)
        self.build_method()

    def build_method(self) -> methods.Method:
        """The method's row with this run's hyper-parameters."""
        try:
            return methods.build(self.method, target=self.target, **self.hyper)
        except ValueError as error:
            raise ConfigError(str(error)) from None

    def build_optimizer(self, steps: int) -> tuple[optax.Schedule, optax.GradientTransformation]:
        """Learning-rate schedule and optimiser of a run of this many steps."""
        schedule = warmup_cosine(self.learning_rate, steps=steps, warmup_steps=round(self.warmup * steps))
        return schedule, optimizer(self.optimizer, schedule, weight_decay=self.weight_decay)

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "Config":
        """The config whose fields these are; an unknown field is an error."""
        check_fields(fields)
        projector = fields.get("projector")
        return cls(**{**fields, "projector": projector and tuple(projector)})


def one_of(name: str, value: Any, table: Any) -> None:
    """Raise ConfigError unless `value` is in the table."""
    if value not in table:
        raise ConfigError(f"{name} must be one of {', '.join(table)}, got {value!r}")


def at_least(name: str, value: Any, lowest: int) -> None:
    """Raise ConfigError unless `value` is None or a whole number that is not below `lowest`."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < lowest):
        raise ConfigError(f"{name} must be a whole number of at least {lowest}, got {value!r}")


def in_range(name: str, value: Any, low: float, high: float, *, open_below: bool = False) -> None:
    """Raise ConfigError unless `value` is a finite number from `low` to `high`."""
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not number or not low <= value <= high or (open_below and value == low):
        wanted = f"above {low:g} up to {high:g}" if open_below else f"from {low:g} to {high:g}"
        raise ConfigError(f"{name} must be a number {wanted}, got {value!r}")


def check_fields(fields: Mapping[str, Any]) -> None:
    """Raise ConfigError for a field that a config does not have."""
    known = [field.name for field in dataclasses.fields(Config)]
    for name in fields:
        if name not in known:
            raise ConfigError(f"a run has no setting {name!r}; it has {', '.join(known)}")


def digits(method: str, **changes: Any) -> Config:
    """Scikit-learn's digits with the small convnet: 800 steps of batch 256, AdamW; values tuned on validation data."""
    settings: dict[str, Any] = {"projector": (256, 64), "steps": 800, "learning_rate": 3e-3}
    return Config(method=method, preset=f"digits-{method}", **{**settings, **changes})


DIGITS: dict[str, dict[str, Any]] = {
    "vicreg": {"projector": (256, 128)},
    "barlow_twins": {"projector": (256, 128), "hyper": {"lambd": 0.02}},
    "simclr": {},
    "byol": {"predictor_hidden": 256},
    "simsiam": {"predictor_hidden": 64},
    "directpred": {"target": "none"},
    "directcopy": {"target": "none"},
    "isoloss": {"target": "none", "learning_rate": 8e-3},
    "vicreg_logdet": {"projector": (256, 64)},
    "vicreg_pairdist": {"projector": (256, 64)},
    "byol_logdet": {"predictor_hidden": 256},
    "byol_pairdist": {"predictor_hidden": 256},
    "spectral_contrastive": {},
    "mec": {"predictor_hidden": 64},
    "matrix_ssl": {"predictor_hidden": 64},
    "corinfomax": {},
    "emp_ssl": {},
    "mmcr": {},
    "w_mse": {},
    "ssl_hsic": {},
    "lejepa": {"projector": (256, 16)},
    "supervised": {},
}

PRESETS: dict[str, Callable[[], Config]] = {
    f"digits-{method}": (lambda method=method, changes=changes: digits(method, **changes)) for method, changes in DIGITS.items()
}


def preset(name: str, **changes: Any) -> Config:
    """The preset of that name with some fields changed; changing `epochs` drops the preset's `steps` and the reverse.

    Raises:
        ConfigError: unknown preset or field, or a value out of range.
    """
    one_of("preset", name, PRESETS)
    check_fields(changes)
    if ("steps" in changes) != ("epochs" in changes):
        changes = {"steps": None, "epochs": None, **changes}
    return dataclasses.replace(PRESETS[name](), **changes)
