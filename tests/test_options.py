import pytest

from sslx.config import ConfigError
from sslx.options import PretrainOptions, to_config
from sslx.presets import preset


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({}, "digits-isoloss"),
        ({"method": "vicreg"}, "digits-vicreg"),
        ({"dataset": "cifar10"}, "cifar10-isoloss"),
        ({"method": "byol", "dataset": "stl10"}, "stl10-byol"),
        ({"preset": "cifar10-simclr"}, "cifar10-simclr"),
        ({"preset": "digits-byol", "method": "byol"}, "digits-byol"),
    ],
)
def test_options_name_a_preset(options, name):
    assert to_config(PretrainOptions(**options)) == preset(name)


def test_a_data_set_without_a_preset_takes_the_recipe_of_cifar10():
    config = to_config(PretrainOptions(method="vicreg", dataset="folder:/images", epochs=2))
    assert config == preset("cifar10-vicreg", dataset="folder:/images", epochs=2)


def test_every_option_of_the_same_name_changes_its_field():
    changes = {"model": "mlp", "batch_size": 32, "learning_rate": 0.5, "weight_decay": 0.25, "seed": 9, "parallel": "pmap", "target": "ema"}
    assert to_config(PretrainOptions(**changes)) == preset("digits-isoloss", **changes)


def test_streaming_and_seeds_are_options():
    assert to_config(PretrainOptions(stream=True)).feed == "stream"
    with pytest.raises(ConfigError, match="seeds must be a whole number of at least 1, got 0"):
        to_config(PretrainOptions(seeds=0))
