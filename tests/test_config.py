import dataclasses
import json
import math
from functools import cache
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from sslx.assemble import Inputs, build_network
from sslx.augment import RECIPES
from sslx.config import Config, ConfigError
from sslx.folder import FolderError, RunFolder
from sslx.methods import METHODS
from sslx.presets import PRESETS, preset

pytestmark = pytest.mark.usefixtures("without_typing_hook")


def test_every_method_has_a_preset_on_every_named_data_set():
    for method in METHODS:
        for dataset in ("digits", "cifar10", "cifar100", "stl10", "folder:imagenet"):
            config = preset(f"{dataset.removeprefix('folder:')}-{method}")
            assert (config.method, config.dataset) == (method, dataset)


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_survives_json(name):
    config = preset(name)
    assert Config.from_json(config.to_json()) == config


@cache
def width_of(model):
    """Width of the features of an encoder, by its name."""
    encoder = build_network(preset("digits-isoloss", model=model), Inputs((8, 8, 3), 10)).encoder
    return jax.eval_shape(encoder.init_with_output, jax.random.key(0), jnp.zeros((2, 8, 8, 3)))[0].shape[-1]


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_builds_its_network_its_optimiser_and_its_views(name):
    """By shapes alone: the encoder's features go through the heads, supervised ones end in the classes."""
    config = preset(name)
    network = build_network(config, Inputs((8, 8, 3), 10))
    z = jax.ShapeDtypeStruct((2, width_of(config.model)), jnp.float32)
    for head in filter(None, (network.projector, network.predictor)):
        z, variables = jax.eval_shape(head.init_with_output, jax.random.key(0), z)
        jax.eval_shape(config.build_optimizer(100)[1].init, variables["params"])
    assert z.shape == (2, 10 if config.method == "supervised" else network.projector.out)
    assert len(RECIPES[config.views]) >= 2


def test_epochs_replace_the_steps_of_a_preset():
    config = preset("digits-isoloss", epochs=3)
    assert (config.epochs, config.steps) == (3, None)


def test_a_recipe_keeps_its_epochs_of_warm_up():
    for epochs in (100, 200, 1000):
        assert preset("cifar10-vicreg", epochs=epochs).warmup * epochs == pytest.approx(10)
    assert preset("cifar10-vicreg", epochs=2).warmup == 0.1
    assert preset("digits-vicreg", epochs=2).warmup == preset("digits-vicreg").warmup


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
        ({"learning_rate": 0}, "learning_rate must be a number above 0 up to 100, got 0"),
        ({"learning_rate": 101}, "learning_rate must be a number above 0 up to 100, got 101"),
        ({"learning_rate": math.nan}, "learning_rate must be a number above 0.*got nan"),
        ({"learning_rate": math.inf}, "learning_rate"),
        ({"weight_decay": -1e-4}, "weight_decay must be a number from 0 to 10, got -0.0001"),
        ({"trust_coefficient": 2}, "trust_coefficient must be a number above 0 up to 1, got 2"),
        ({"feed": "disk"}, "feed must be one of auto, resident, host, stream"),
        ({"precision": "float16"}, "precision must be one of auto, float32, bfloat16"),
        ({"online_probe": 1}, "online_probe must be true or false, got 1"),
        ({"micro_batches": 0}, "micro_batches must be a whole number of at least 1"),
        ({"warmup": 1.5}, "warmup must be a number from 0 to 1, got 1.5"),
        ({"seed": -1}, "seed must be a whole number of at least 0"),
        ({"target": "ema", "method": "vicreg", "hyper": {}}, "vicreg has no target network"),
        ({"hyper": {"lambda": 3}}, "isoloss has no hyper-parameter 'lambda'"),
        ({"hyper": {"alpha": "half"}}, "hyper-parameter alpha of isoloss must be a finite number, got 'half'"),
        ({"hyper": {"alpha": math.nan}}, "hyper-parameter alpha of isoloss must be a finite number, got nan"),
        ({"hyper": {"order": 2.5}, "method": "mec", "target": None}, "hyper-parameter order of mec must be a whole number of at least 1"),
        ({"hyper": {"eps_squared": -3.0}, "method": "mec", "target": None}, "eps_squared must be above 0, got -3"),
        ({"hyper": 3}, "hyper must hold hyper-parameters by name, got 3"),
        ({"projector": (16,)}, r"projector must be the two widths \(hidden, output\), got \(16,\)"),
        ({"projector": (16, 0)}, "projector must be a whole number of at least 1, got 0"),
        ({"dataset": 3}, "dataset must be a text, got 3"),
        ({"batch_size": None}, "batch_size must be a whole number of at least 2, got None"),
        ({"stepps": 3}, r"a run has no setting 'stepps'; it has .*; did you mean steps\?"),
    ],
)
def test_a_bad_setting_is_named_with_what_was_wanted(changes, message):
    with pytest.raises(ConfigError, match=message):
        preset("digits-isoloss", **changes)


def test_numpy_scalars_and_paths_become_what_json_has():
    plain = {"seed": 3, "learning_rate": 0.5, "projector": (16, 8), "data_dir": "there", "online_probe": True, "hyper": {"alpha": 0.25}}
    rich = {
        "seed": np.arange(4)[3],
        "learning_rate": np.float32(0.5),
        "projector": tuple(np.array([16, 8])),
        "data_dir": Path("there"),
        "online_probe": np.True_,
        "hyper": {"alpha": np.float32(0.25)},
    }
    assert json.dumps(preset("digits-isoloss", **rich).to_json()) == json.dumps(preset("digits-isoloss", **plain).to_json())
    for name, value in {"seed": np.float64(3.5), "batch_size": np.True_, "learning_rate": np.float32(np.nan)}.items():
        with pytest.raises(ConfigError, match=f"{name} must be"):
            preset("digits-isoloss", **{name: value})


@pytest.mark.parametrize("fields", [{}, {"steps": 3}, ["method"], None])
def test_what_names_no_method_is_no_config(fields):
    with pytest.raises(ConfigError, match="settings must be an object that names at least a method, got"):
        Config.from_json(fields)


@pytest.mark.parametrize("changes", [{}, {"learning_rate": 0.3}, {"weight_decay": 2.0}, {"trust_coefficient": 0.1}])
def test_the_settings_of_the_optimiser_reach_it(changes):
    """LARS, whose first step is of the length rate x trust x |w| along the decayed gradient."""
    config = Config("vicreg", steps=9, warmup=0.0, optimizer="lars", **changes)
    w, g = np.array([[3.0, 4.0]]), np.array([[0.8, 0.6]])
    _, transform = config.build_optimizer(9)
    step, _ = transform.update(g, transform.init(w), w)
    along = g + config.weight_decay * w
    wanted = -config.learning_rate * config.trust_coefficient * np.linalg.norm(w) * along / np.linalg.norm(along)
    np.testing.assert_allclose(step, wanted, rtol=1e-6)


def test_a_config_cannot_be_changed_by_accident():
    with pytest.raises(dataclasses.FrozenInstanceError):
        preset("digits-vicreg").steps = 3


SAVED = json.dumps(preset("digits-isoloss").to_json()).encode()


def one_field():
    """A setting that a config has, or one that it has not, with any JSON value."""
    names = st.sampled_from([field.name for field in dataclasses.fields(Config)]) | st.text(max_size=3)
    words = st.sampled_from(["vicreg", "byol", "supervised", "ema", "none", "resnet18", "mlp", "pmap", "lars", "cifar", "digits"])
    plain = st.none() | st.booleans() | st.integers(-2, 300) | st.floats() | st.text(max_size=4) | words
    hyper = st.dictionaries(st.sampled_from(["decay", "eps", "alpha", "distance", "target", "order", "x"]), plain, max_size=2)
    return st.tuples(names, plain | st.lists(plain, max_size=3) | hyper) | st.tuples(st.just("hyper"), hyper)


@settings(max_examples=500, deadline=None)
@given(changes=st.lists(one_field(), max_size=3))
def test_any_settings_are_a_config_or_one_line(changes):
    fields = {**json.loads(SAVED), **dict(changes)}
    config = outcome(Config.from_json, fields)
    assert config is None or Config.from_json(json.loads(json.dumps(config.to_json()))) == config


def outcome(read, *arguments):
    """The config, or None with an error of one line."""
    try:
        return read(*arguments)
    except (ConfigError, FolderError) as error:
        message = str(error)
    assert message.isprintable()
    return None


@settings(max_examples=200, deadline=None)
@given(
    place=st.floats(0, 1),
    gone=st.sampled_from([0, 1, 4, 40, 4000]),
    new=st.binary(max_size=6) | st.sampled_from([b"null", b"[]", b"{}", b"1e999"]),
)
def test_a_damaged_config_file_is_a_config_or_one_line(place, gone, new, tmp_path_factory):
    at = int(place * len(SAVED))
    path = tmp_path_factory.getbasetemp() / "damaged-config"
    path.mkdir(exist_ok=True)
    (path / "config.json").write_bytes(SAVED[:at] + new + SAVED[at + gone :])
    config = outcome(RunFolder(path).read_config)
    assert config is None or isinstance(config, Config)


def test_a_warm_up_over_the_whole_run_ends_at_its_last_step():
    schedule, _ = Config("vicreg", steps=20, warmup=1.0, learning_rate=0.5).build_optimizer(20)
    assert schedule(19) == 0.5


def test_a_seed_that_jax_would_cut_is_refused():
    assert Config("vicreg", steps=1, seed=2**32 - 1).seed == 2**32 - 1
    with pytest.raises(ConfigError, match="seed must be below 4294967296, got 4294967296"):
        Config("vicreg", steps=1, seed=2**32)
