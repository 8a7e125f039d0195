"""Diagnosis from the command line: of a run folder and of features that another library saved."""

import json
import re
from itertools import islice

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from sslx import cli, data, diagnosis, evaluate
from sslx.assemble import assemble, initial_state, inputs_of
from sslx.checkpoint import Checkpoints
from sslx.fit import build_step
from sslx.folder import append_lines, create, jsonable
from sslx.presets import preset
from sslx.train import Batch, batches

pytestmark = pytest.mark.usefixtures("without_typing_hook")
WIDTH = 8


def features(rank, n=200, width=16):
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, rank)) @ rng.normal(size=(rank, width))


@pytest.fixture
def plain_views(monkeypatch):
    """Views that compile in no time."""

    def noisy(key, images, index, views):
        return images + 0.1 * jax.random.normal(key, (2, *images.shape), images.dtype)

    monkeypatch.setattr(diagnosis, "make_views", noisy)


def untrained_run(path, method, spectrum=None, **changes):
    """A run folder as `sslx pretrain` leaves it, but at step 0, its predictor's correlation replaced by that of `spectrum`."""
    config = preset(f"digits-{method}", model="mlp", projector=(16, WIDTH), steps=4, **changes)
    run, inputs = create(path, config), inputs_of(data.load("digits"))
    state = initial_state(config, inputs, config.build_optimizer(4)[1])
    if spectrum is not None:
        state = state.replace(method_state=jnp.diag(jnp.asarray(spectrum, jnp.float32)))
    with Checkpoints(run.checkpoints) as checkpoints:
        checkpoints.save(4, state, inputs._asdict(), validation=0.5)
    append_lines(run.metrics, [{"step": 4, "learning_rate": 1.0, "gradient_norm": 1.0, "loss": 0.25, "attraction": 0.5}])
    return path


def test_a_run_with_a_closed_form_predictor(tmp_path, capsys, plain_views):
    """Below p_- lie the modes whose correlation has no strength; the decay is a quarter of the run's, in units of the theory."""
    run = untrained_run(tmp_path / "run", "isoloss", [1.0] * 5 + [0.0] * 3, weight_decay=0.2)
    assert cli.main(["diagnose", str(run), "--json"]) == 0
    printed = capsys.readouterr()
    record = json.loads(printed.out)
    assert printed.err == "evaluating the random encoder: two views\n"
    assert record["terms"] == {"loss": 0.25, "attraction": 0.5}
    assert record["evidence"]["neighbour_accuracy"] > 0.5
    modes = {name: np.array(values, float) for name, values in record["modes"].items()}
    kappa = 1 / modes["agreement"]
    np.testing.assert_allclose(modes["threshold"], (1 - np.sqrt(1 - 0.2 * kappa)) / (2 * kappa), rtol=1e-6)
    assert record["evidence"]["modes_below_threshold"] == np.sum(modes["gain"] < modes["threshold"])
    assert set(record["efficiency"]) == {"uncentred", "centred", "standardised"}
    assert Image.open(run / "run-diagnosis.png").width > 1000


@pytest.mark.parametrize(("std_coeff", "collapses"), [(0.0, True), (25.0, False)])
def test_vicreg_trained_without_its_variance_term_has_collapsed(std_coeff, collapses):
    """A run that is made to collapse on purpose, beside the same run as it should be; the script of that name has the other faults."""
    config = preset("digits-vicreg", model="mlp", projector=(64, 16), hyper={"std_coeff": std_coeff}, steps=100, batch_size=128)
    parts = assemble(config)
    step, state = jax.jit(build_step(config, parts)), initial_state(config, inputs_of(parts.dataset), parts.optimizer)
    stream = batches(parts.dataset.train_images, parts.dataset.train_labels, config.batch_size, seed=0)
    for batch in islice(stream, config.steps):
        state, metrics = step(state, Batch(*batch))
    material = diagnosis.features_of_state(config, state, parts.dataset)
    assert (diagnosis.judge(material)["verdict"] == "complete collapse") == collapses
    terms = {name: float(value) for name, value in metrics.items()}
    found = evaluate.diagnose(material.features, terms=terms)
    assert (found.verdict == "complete collapse") == collapses, terms["variance"]


def test_a_run_with_a_learnt_predictor(tmp_path, plain_views):
    record = diagnosis.diagnose(untrained_run(tmp_path / "run", "byol", weight_decay=4.0, predictor_hidden=16), out=tmp_path / "figures")
    assert record["modes"]["gain"][0] != record["modes"]["gain"][-1]
    assert record["modes"]["threshold"] == [None] * WIDTH
    assert record["evidence"]["modes_below_threshold"] == WIDTH
    assert (tmp_path / "figures" / "run-diagnosis.png").exists()


def test_a_loss_that_is_not_finite_is_told():
    record = diagnosis.judge(diagnosis.Material(features(16), terms={"loss": np.nan, "variance": np.inf, "covariance": 0.5}))
    words = diagnosis.describe({**jsonable(record), "figure": "here"})
    assert "Training diverged: loss, variance not finite." in words
    assert "Loss at the end: loss not finite, variance not finite, covariance 0.5." in words


def test_features_from_another_library(tmp_path, capsys, monkeypatch):
    """Integers, float16 and unlabelled images are taken; the figure goes to the current folder."""
    monkeypatch.chdir(tmp_path)
    np.savez("z.npz", features=features(3).astype(np.float16), labels=np.full(200, -1))
    assert cli.main(["diagnose", "z.npz"]) == 0
    words = capsys.readouterr().out
    assert words.startswith("dimensional collapse: The features fill about 2.")
    assert "Remedy: Add a term that decorrelates" in words
    assert "drawn in z-diagnosis.png" in words
    assert (tmp_path / "z-diagnosis.png").exists()
    np.savez("z.npz", features=(100 * features(16)).astype(int), features_b=(100 * features(16)).astype(int))
    record = diagnosis.diagnose("z.npz")
    assert record["verdict"] == "healthy"
    assert len(record["modes"]["agreement"]) == 16


def test_features_alone_and_labels_of_any_type(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("z.npy", features(16))
    record = diagnosis.diagnose("z.npy")
    assert record["evidence"]["neighbour_accuracy"] is None
    labels = np.repeat(np.arange(4), 50)
    np.savez("z.npz", features=features(16), labels=labels.astype(np.float32))
    evidence = diagnosis.diagnose("z.npz")["evidence"]
    assert evidence == {**record["evidence"], "neighbour_accuracy": evidence["neighbour_accuracy"]}
    assert 0 < evidence["neighbour_accuracy"] < 0.5


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"z": features(3)}, "z.npz has no array 'features' .but z.; save it with np.savez"),
        ({"features": features(3)[None]}, r"features must have shape \[N >= 20, d >= 2\], got \(1, 200, 16\); flatten"),
        ({"features": features(3)[:5]}, r"features must have shape .* got \(5, 16\); take at least 20 images"),
        ({"features": features(3), "features_b": features(3)[1:]}, r"features_b must have shape \(200, 16\)"),
        ({"features": features(3), "labels": np.zeros(3, int)}, r"labels must have shape \(200,\)"),
        ({"features": features(3), "labels": np.full(200, 0.5)}, "z.npz: labels must be whole numbers, got dtype float64; number the"),
        ({"features": features(3) * np.nan}, "features must be finite, got NaN or infinity"),
        ({"features": features(3).astype(complex)}, "z.npz: features must be real numbers, got dtype complex128; convert"),
        ({"features": np.array([None, {}])}, "is no .npz archive of plain arrays"),
        (b"not an archive", "is no .npz archive of plain arrays"),
        (None, "z.npz does not exist; save it with np.savez"),
    ],
)
def test_bad_features_are_one_line_and_exit_code_2(arrays, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    if isinstance(arrays, bytes):
        (tmp_path / "z.npz").write_bytes(arrays)
    elif arrays is not None:
        np.savez("z.npz", **arrays)
    assert cli.main(["diagnose", "z.npz"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert re.search(message, err), err
    assert not list(tmp_path.glob("*.png"))


def test_a_place_that_cannot_be_written(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    np.savez("z.npz", features=features(16))
    assert cli.main(["diagnose", "z.npz", "--out", "/proc/version/x"]) == 2
    out, err = capsys.readouterr()
    assert re.fullmatch(r"sslx: cannot write /proc/version/x/z-diagnosis.png .*choose another --out\n", err)
    assert out.startswith("healthy: ")
    assert "drawn in" not in out
    assert cli.main(["diagnose", "nowhere"]) == 2
    assert "nowhere is not a run folder" in capsys.readouterr().err
    assert cli.main(["diagnose", "n" * 300]) == 2
    assert "config.json cannot be read ([Errno 36] File name too long" in capsys.readouterr().err


@pytest.mark.parametrize(("source", "name"), [("lr0.1", "lr0.1"), (".", "r0.2"), ("z.v1.npz", "z.v1"), ("z.v1", "z.v1")])
def test_a_figure_has_the_whole_name_of_what_it_shows(source, name, tmp_path, monkeypatch):
    (tmp_path / "r0.2").mkdir()
    monkeypatch.chdir(tmp_path / "r0.2")
    record = {"source": source, **jsonable(diagnosis.judge(diagnosis.Material(features(16))))}
    assert diagnosis.draw(record, tmp_path) == str(tmp_path / f"{name}-diagnosis.png")
