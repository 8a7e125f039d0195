import dataclasses

import pytest

from sslx import folder
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
    changes |= {"optimizer": "lars", "warmup": 0.25}
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


def test_streaming_widths_and_seeds_are_options(without_typing_hook):
    assert to_config(PretrainOptions(stream=True)).feed == "stream"
    assert to_config(PretrainOptions(projector="16,8")).projector == (16, 8)
    for words, message in {"16": r"the two widths \(hidden, output\), got \(16,\)", "16,x": "a whole number .*got 'x'"}.items():
        with pytest.raises(ConfigError, match=f"projector must be {message}"):
            to_config(PretrainOptions(projector=words))
    with pytest.raises(ConfigError, match="seeds must be a whole number of at least 1, got 0"):
        to_config(PretrainOptions(seeds=0))


def test_runs_to_resume_have_their_own_settings(tmp_path):
    for seed in (10, 3):
        folder.create(tmp_path / f"several/seed{seed}", preset("digits-vicreg", seed=seed, steps=40 + seed))
    folder.create(tmp_path / "one", preset("digits-byol", steps=7))
    several, one = (PretrainOptions(resume=True, out=str(tmp_path / name), seeds=n) for name, n in (("several", 2), ("one", 1)))
    assert to_config(several) == preset("digits-vicreg", seed=3, steps=43)
    assert to_config(dataclasses.replace(several, seed=10, batch_size=64)) == preset("digits-vicreg", seed=10, steps=50, batch_size=64)
    assert to_config(dataclasses.replace(one, seed=2)) == preset("digits-byol", seed=2, steps=7)
    with pytest.raises(folder.FolderError, match=r"\(no config\.json\); it holds the runs seed10, seed3; name one of them"):
        to_config(dataclasses.replace(several, seed=4))
