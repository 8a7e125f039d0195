import dataclasses
import math

import pytest

from sslx.config import Config, ConfigError
from sslx.methods import METHODS
from sslx.presets import PRESETS, preset

pytestmark = pytest.mark.usefixtures("without_typing_hook")


def test_every_method_has_a_preset_on_every_named_data_set():
    for method in METHODS:
        for dataset in ("digits", "cifar10", "cifar100", "stl10"):
            config = preset(f"{dataset}-{method}")
            assert (config.method, config.dataset) == (method, dataset)


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_survives_json(name):
    config = preset(name)
    assert Config.from_json(config.to_json()) == config


def test_epochs_replace_the_steps_of_a_preset():
    config = preset("digits-isoloss", epochs=3)
    assert (config.epochs, config.steps) == (3, None)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": "moco"}, "method must be one of vicreg"),
        ({"model": "vit"}, "model must be one of convnet"),
        ({"optimizer": "adam"}, "optimizer must be one of sgd"),
        ({"parallel": "xmap"}, "parallel must be one of auto, jit, pmap, got 'xmap'"),
        ({"steps": 0}, "steps must be a whole number of at least 1, got 0"),
        ({"steps": 3.5}, "steps must be a whole number"),
        ({"steps": None, "epochs": -1}, "epochs must be a whole number of at least 1, got -1"),
        ({"steps": 3, "epochs": 3}, "give either steps or epochs"),
        ({"batch_size": 1}, "batch_size must be a whole number of at least 2"),
        ({"learning_rate": 0}, "learning_rate must be a number above 0"),
        ({"learning_rate": math.nan}, "learning_rate must be a number above 0.*got nan"),
        ({"learning_rate": math.inf}, "learning_rate"),
        ({"weight_decay": -1e-4}, "weight_decay must be a number from 0"),
        ({"warmup": 1.5}, "warmup must be a number from 0 to 1, got 1.5"),
        ({"seed": -1}, "seed must be a whole number of at least 0"),
        ({"target": "ema", "method": "vicreg", "hyper": {}}, "vicreg has no target network"),
        ({"hyper": {"lambda": 3}}, "isoloss has no hyper-parameter 'lambda'"),
        ({"stepps": 3}, "a run has no setting 'stepps'"),
    ],
)
def test_a_bad_setting_is_named_with_what_was_wanted(changes, message):
    with pytest.raises(ConfigError, match=message):
        preset("digits-isoloss", **changes)


def test_a_config_cannot_be_changed_by_accident():
    with pytest.raises(dataclasses.FrozenInstanceError):
        preset("digits-vicreg").steps = 3
