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


@pytest.mark.parametrize(
    ("preset_name", "words", "hyper"),
    [
        ("digits-vicreg", "std_coeff=50, cov_coeff=2e-1", {"std_coeff": 50, "cov_coeff": 0.2}),
        ("digits-barlow_twins", "lambd=1", {"lambd": 1}),
        ("digits-byol", None, {"ema": 0.96}),
        ("digits-isoloss", "distance=euclidean", {"distance": "euclidean"}),
    ],
)
def test_hyper_parameters_are_taken_over_the_presets(preset_name, words, hyper, without_typing_hook):
    assert to_config(PretrainOptions(preset=preset_name, hyper=words)) == preset(preset_name, hyper=hyper)


@pytest.mark.parametrize("words", ["std_coeff", "std_coeff=", "=3", "std_coeff=3,", ","])
def test_hyper_parameters_without_name_or_value_are_told(words):
    with pytest.raises(ConfigError, match=r"hyper must be name=value, with commas between several, got "):
        to_config(PretrainOptions(preset="digits-vicreg", hyper=words))


def test_streaming_and_seeds_are_options():
    assert to_config(PretrainOptions(stream=True)).feed == "stream"
    with pytest.raises(ConfigError, match="seeds must be a whole number of at least 1, got 0"):
        to_config(PretrainOptions(seeds=0))
