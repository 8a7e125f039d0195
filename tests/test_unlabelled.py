"""Images without labels: they are trained on as any others, and nothing that needs a label is measured."""

import contextlib
import dataclasses
import io
import json
import re
import shutil
from functools import partial

import numpy as np
import pytest

from cheap_view import brighten
from sslx import augment, cli, data, evaluate, frozen, run
from sslx.assemble import assemble
from sslx.checkpoint import Checkpoints
from sslx.config import ConfigError
from sslx.feed import training_data
from sslx.folder import RunFolder, read_lines
from sslx.presets import PRESETS, preset

EMBEDDING = {"rankme", "efficiency"}


@pytest.fixture(scope="module", autouse=True)
def cheap_views():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(augment.RECIPES, "digits", (brighten, brighten))
        yield


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A run on 250 digits, whose preset would train a probe."""
    archive = tmp_path_factory.mktemp("data") / "digits.npz"
    np.savez(archive, images=data.load("digits").train_images[:250])
    changes = {"projector": (16, 8), "batch_size": 64, "steps": 4, "checkpoint_every": 2, "online_probe": True}
    return preset("digits-vicreg", dataset=f"npz:{archive}", model="mlp", **changes)


@pytest.fixture(scope="module")
def several(tiny, tmp_path_factory):
    """Two runs by the command line, without their reports: their folder, and what was said."""
    out, said = tmp_path_factory.mktemp("runs") / "several", (io.StringIO(), io.StringIO())
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(said[0]), contextlib.redirect_stderr(said[1]):
        patch.setattr(run, "render", lambda *_: "a report")
        patch.setitem(PRESETS, "tiny", lambda: tiny)
        assert cli.main(["pretrain", "tiny", "--seeds", "2", "--out", str(out)]) == 0
    return out, *(each.getvalue() for each in said)


@pytest.fixture(scope="module")
def finished(several, tiny):
    """The first of them, which is scored once more from its last checkpoint on, as where it was stopped before its report; its summary."""
    out = several[0] / "seed0"
    (out / "summary.json").unlink()
    return out, run.pretrain(tiny, out=out, resume=True)


def test_a_report_that_fails_costs_no_scores_and_is_drawn_on_resuming(several, tiny, tmp_path, monkeypatch):
    """With the records lost as well, it is drawn without curves."""

    def fail(*_):
        raise ArithmeticError("a figure")

    out, go_on = tmp_path / "run", partial(run.pretrain, dataclasses.replace(tiny, seed=1), out=tmp_path / "run", resume=True)
    shutil.copytree(several[0] / "seed1", out)
    for name in ("summary.json", "report.html", "metrics.jsonl", "validation.jsonl"):
        (out / name).unlink()
    with monkeypatch.context() as patch:
        patch.setattr(run, "render", fail)
        with pytest.raises(ArithmeticError):
            go_on()
    assert RunFolder(out).read_summary()
    go_on()
    assert (out / "report.html").read_text().count("<figure>") == 2


def test_all_that_is_not_held_out_for_testing_is_trained_on(tiny):
    parts = assemble(tiny)
    images, labels = training_data(parts)
    np.testing.assert_array_equal(images, parts.dataset.train_images)
    assert (len(images), len(parts.dataset.test_images), set(labels)) == (200, 50, {-1})


def test_what_was_not_measured_is_left_out(finished):
    out, summary = finished
    assert json.loads((out / "summary.json").read_text()) == summary
    assert summary["baselines"] == {"random": {}, "raw": {}}
    assert summary.keys() >= EMBEDDING
    assert not [name for name in summary if "accuracy" in name or "few" in name]
    assert [set(record) for record in read_lines(out / "validation.jsonl")] == [{"step", "spectrum", *EMBEDDING}] * 2
    report = (out / "report.html").read_text()
    assert (report.count("<figure>"), "<table>" in report, "Validation accuracy" in report) == (5, False, False)


def test_the_last_checkpoint_counts_as_the_best(finished):
    with Checkpoints(finished[0] / "checkpoints") as checkpoints:
        assert checkpoints.last() == checkpoints.best() == 4


def test_features_are_there_and_accuracies_are_refused(finished, tiny, tmp_path, capsys):
    out, saved = str(finished[0]), tmp_path / "features.npz"
    assert cli.main(["evaluate", out, "--knn", "--features", str(saved)]) == 2
    assert capsys.readouterr().err == (
        f"sslx: {tiny.dataset} has no labels to measure an accuracy by; name images that have some with --dataset, or ask for features "
        "alone with --features OUT.npz\n"
    )
    assert not saved.exists()
    assert cli.main(["evaluate", out, "--features", str(saved)]) == 0
    with np.load(saved) as arrays:
        assert (set(arrays["labels"]), set(arrays["test_labels"])) == ({-1}, {-1})
        np.testing.assert_array_equal(arrays["test_features"], frozen.features(out, tiny.dataset, "test"))
    apply, variables = frozen.load(out)
    assert apply(variables, np.zeros((3, 8, 8, 1), np.uint8)).shape == (3, 256)


def test_labelled_images_that_are_named_measure_the_encoder(finished, tmp_path, capsys):
    out, digits = finished[0], data.load("digits")
    wanted = evaluate.evaluate(frozen.features(out, "digits", "train"), frozen.features(out, "digits", "test"), digits, parts=("knn",))
    saved = tmp_path / "transfer.npz"
    assert cli.main(["evaluate", str(out), "--dataset", "digits", "--knn", "--json", "--features", str(saved)]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out) == wanted
    assert printed.err == "evaluating the frozen encoder: features of the training images\n"
    with np.load(saved) as arrays:
        np.testing.assert_array_equal(arrays["test_labels"], digits.test_labels)


def test_other_images_that_do_not_fit_the_encoder_are_told(finished, tmp_path, capsys):
    digits = data.load("digits")
    np.savez(tmp_path / "rgb.npz", images=digits.train_images.repeat(3, -1), labels=digits.train_labels)
    assert cli.main(["evaluate", str(finished[0]), "--dataset", f"npz:{tmp_path}/rgb.npz", "--features", str(tmp_path / "none.npz")]) == 2
    assert f"{tmp_path}/rgb.npz: images of (8, 8, 3) do not fit this mlp" in capsys.readouterr().err
    assert not (tmp_path / "none.npz").exists()


def test_other_data_are_looked_for_where_the_user_says(finished, tmp_path, capsys):
    assert cli.main(["evaluate", str(finished[0]), "--dataset", "cifar10", "--data-dir", str(tmp_path)]) == 2
    assert str(tmp_path) in capsys.readouterr().err


def test_what_came_out_is_said_without_accuracies(finished, capsys):
    assert cli.main(["pretrain", "--out", str(finished[0]), "--resume"]) == 0
    words = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in words] == ["vicreg", "The", "Everything"]
    assert cli.main(["diagnose", str(finished[0]), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["evidence"]["neighbour_accuracy"] is None


def test_several_seeds_have_mean_and_deviation_of_what_there_is(several):
    root, out, err = several
    rankme, efficiency = (json.loads((root / "summary.json").read_text())[name] for name in ("rankme", "efficiency"))
    wanted = f"RankMe {rankme['mean']:.1f} ± {rankme['std']:.1f}, efficiency {efficiency['mean']:.3f} ± {efficiency['std']:.3f}"
    assert out.splitlines()[1] == wanted
    assert err.count(run.NO_LABELS) == 1
    assert len(re.findall(r"seed [01]: step 4/4, loss [\d.]+: RankMe", err)) == 2


def test_a_method_that_learns_from_labels_is_refused_before_anything_is_written(tiny, tmp_path):
    changes = {"dataset": tiny.dataset, "model": "mlp", "batch_size": 64}
    with pytest.raises(ConfigError, match=r"method supervised learns from labels, npz:.* has none; choose another method"):
        run.pretrain(preset("digits-supervised", **changes), out=tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_labels_that_leave_none_for_validation_are_none_to_it(tiny, tmp_path):
    """One of each class: an accuracy on the test images, none on the way, and the last checkpoint as the best."""
    images = data.load("digits").train_images[:80]
    labels = np.where(np.arange(80) < 2, np.arange(80), -1)
    np.savez(tmp_path / "one.npz", images=images, labels=labels, test_images=images[:2], test_labels=labels[:2])
    config = dataclasses.replace(tiny, dataset=f"npz:{tmp_path}/one.npz")
    summary = run.pretrain(config, out=tmp_path / "run")
    assert summary["knn_accuracy"] == 1.0
    assert not any({"validation_accuracy", "online_accuracy"} & record.keys() for record in read_lines(tmp_path / "run/validation.jsonl"))
    assert "Validation accuracy" not in (tmp_path / "run/report.html").read_text()
