"""Trouble with a run or its folder: one line, an exit code, and nothing lost or half-written."""

import errno
import inspect
import os
import re
import shutil
from functools import partial
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from cheap_view import brighten
from sslx import augment, cli, data, evaluate, folder, run, seeds
from sslx.assemble import Inputs, initial_state
from sslx.checkpoint import Checkpoints
from sslx.config import ConfigError
from sslx.methods import METHODS
from sslx.presets import preset

pytestmark = pytest.mark.usefixtures("without_typing_hook")
digits = data.DATASETS["digits"]
CONFIG = preset("digits-isoloss", model="mlp", projector=(16, 8), steps=12, checkpoint_every=4, batch_size=64)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a run at its last step, made without training."""
    out = tmp_path_factory.mktemp("runs") / "finished"
    run = folder.create(out, CONFIG)
    inputs = Inputs((8, 8, 1), 10)
    with Checkpoints(run.checkpoints) as checkpoints:
        checkpoints.save(12, initial_state(CONFIG, inputs, CONFIG.build_optimizer(12)[1]), inputs._asdict(), validation=0.5)
    folder.append_lines(run.metrics, [{"step": 12, "loss": 1.0}])
    folder.append_lines(run.validation, [])
    return out


def damage(path):
    path.write_bytes(b"damage")


def other_digits(request):
    """The digits without their first and last row."""
    whole = digits(request)
    return whole._replace(train_images=whole.train_images[:, 1:-1], test_images=whole.test_images[:, 1:-1])


def no_room(*_, **__):
    """What a full disk does."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def no_room_for_records(run, patch):
    """A disk that is full when the first line of metrics.jsonl is written."""

    def opened(self, mode="r", *options, **named):
        return no_room() if mode == "a" and self.name == "metrics.jsonl" else open(self, mode, *options, **named)

    patch.setattr(Path, "open", opened)
    patch.setattr("sslx.run.fit", lambda parts, recorders, *_: recorders[0].log(12, {"loss": 1.0}))


def no_room_for_the_summary(run, patch):
    """A disk that is full when a trained run is written down."""
    patch.setattr("sslx.run.report_material", lambda *_: ())
    patch.setattr("sslx.run.render", lambda *_: "a report")
    patch.setattr(Path, "write_text", no_room)


SPOILT = {
    "taken": (lambda run, patch: None, "pretrain --out {run}", r"is not empty; choose another --out, or add --resume"),
    "another run": (lambda run, patch: None, "pretrain --resume --out {run} --seed 5", r"holds another run: its seed is 0, asked was 5"),
    "another preset": (
        lambda run, patch: None,
        "pretrain digits-vicreg --resume --out {run}",
        r"holds another run: its method is 'isoloss', asked was 'vicreg'",
    ),
    "config": (
        lambda run, patch: damage(run / "config.json"),
        "evaluate {run}",
        r"config\.json cannot be read .*; restore it or train again",
    ),
    "no checkpoint": (lambda run, patch: shutil.rmtree(run / "checkpoints"), "evaluate {run}", r"has no checkpoint yet; train it with"),
    "checkpoint": (
        lambda run, patch: damage(run / "checkpoints/12/state/manifest.ocdbt"),
        "evaluate {run}",
        r"a checkpoint in .* cannot be read \(.*\); delete .*/checkpoints/12 to use an earlier one, or train again",
    ),
    "a file for checkpoints": (
        lambda run, patch: (shutil.rmtree(run / "checkpoints"), (run / "checkpoints").write_text("")),
        "evaluate {run}",
        r"cannot use .*checkpoints for checkpoints \(File exists\); move away what is there",
    ),
    **{
        f"inputs {text}": (
            lambda run, patch, text=text: (run / "checkpoints/12/inputs/metadata").write_text(text),
            "evaluate {run}",
            r"checkpoints/12/inputs is damaged; train the run again",
        )
        for text in (
            "{}",
            "null",
            '{"image_shape": "abc", "classes": 10}',
            '{"image_shape": [8, -8, 1], "classes": 10}',
            '{"image_shape": [8, 8, 1], "classes": "ten"}',
            '{"image_shape": [8, 8, 1], "classes": 10, "steps": "z"}',
        )
    },
    "views": (
        lambda run, patch: folder.write_json(run / "config.json", {**CONFIG.to_json(), "views": "cifar"}),
        "diagnose {run}",
        r"views cifar are for RGB images, digits has shape \(8, 8, 1\); use --views digits",
    ),
    "metrics of a checkpoint": (
        lambda run, patch: damage(run / "checkpoints/12/metrics/metrics"),
        "evaluate {run}",
        r"a checkpoint in .* cannot be read \(.*\); move what is damaged away, or train again",
    ),
    "other epochs": (
        lambda run, patch: patch.setattr("sslx.fit.Checkpoints.inputs", lambda *_: {"image_shape": (8, 8, 1), "classes": 10, "steps": 24}),
        "pretrain --resume --out {run}",
        r"run is at step 12 of 24, with the epochs of digits as it is now it would have 12; put its data back, or train a new run",
    ),
    **{
        f"other data to {command}": (
            lambda run, patch: patch.setitem(data.DATASETS, "digits", other_digits),
            f"{command} {{run}}",
            r"digits has images of shape \(6, 8, 1\) in 10 classes, .*run was trained on \(8, 8, 1\) in 10; put its data back",
        )
        for command in ("evaluate", "diagnose", "pretrain --resume --out")
    },
    "checkpoint to resume": (
        lambda run, patch: damage(run / "checkpoints/12/state/manifest.ocdbt"),
        "pretrain --resume --out {run}",
        r"a checkpoint in .* cannot be read",
    ),
    "metrics": (
        lambda run, patch: (run / "metrics.jsonl").write_text("no json\n"),
        "pretrain --resume --out {run}",
        r"metrics\.jsonl is damaged \(.*\); remove the damaged line",
    ),
    "full disk at the start": (
        lambda run, patch: patch.setattr(Path, "write_text", no_room),
        "pretrain --out {run}/new",
        r"cannot write .*new/config\.json \(No space left on device\); make room there",
    ),
    "full disk for records": (
        no_room_for_records,
        "pretrain --resume --out {run}",
        r"cannot write .*metrics\.jsonl \(No space left on device\); make room there",
    ),
    "full disk at the end": (
        no_room_for_the_summary,
        "pretrain --resume --out {run}",
        r"cannot write .*summary\.json \(No space left on device\); make room there \(--resume then goes on with a run\)",
    ),
    "full disk for features": (
        lambda run, patch: patch.setattr(np, "savez", no_room),
        "evaluate {run} --features {run}/f.npz",
        r"cannot write .*f\.npz \(No space left on device\)",
    ),
    "no place for features": (
        lambda run, patch: None,
        "evaluate {run} --features {run}/none/f.npz",
        r"^sslx: cannot write .*f\.npz, whose directory does not exist; make it or choose another place$",
    ),
}


@pytest.mark.parametrize("case", SPOILT)
def test_trouble_with_a_run_folder_is_one_line_and_exit_code_2(case, finished, tmp_path, monkeypatch, capsys):
    spoil, arguments, message = SPOILT[case]
    copy = tmp_path / "run"
    shutil.copytree(finished, copy)
    monkeypatch.setattr(evaluate, "evaluate", lambda *_, **__: {})
    spoil(copy, monkeypatch)
    before, checkpoints = contents(copy), (copy / "checkpoints").exists()
    assert cli.main(arguments.format(run=copy).split()) == 2
    out, err = capsys.readouterr()
    last = err.splitlines()[-1]
    assert out == ""
    assert "Traceback" not in err
    assert last.startswith("sslx: ")
    assert re.search(message, last), last
    assert (contents(copy), (copy / "checkpoints").exists()) == (before, checkpoints)


def contents(root):
    return {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ("2000", "batch_size must be at most 1437, the training images of digits, got 2000"),
        ("63", "batch size 63 does not split over 8 devices; use a multiple such as 56"),
    ],
)
def test_a_batch_that_does_not_fit_is_refused_before_anything_is_written(size, message, tmp_path, capsys):
    assert cli.main(["pretrain", "--batch-size", size, "--out", str(tmp_path / "new")]) == 2
    assert capsys.readouterr() == ("", f"sslx: {message}\n")
    assert not (tmp_path / "new").exists()


def test_a_diverging_run_keeps_its_last_good_checkpoint(tmp_path, monkeypatch, capsys):
    """From the command line, with a loss that is NaN from the seventh step on: exit code 3, step and terms named."""
    row = METHODS["isoloss"]
    monkeypatch.setitem(augment.RECIPES, "digits", (brighten, brighten))

    def poisoned(**hyper):
        method = row(**hyper)

        def loss(online, target, state, key, step, axis_name):
            value, terms, state = method.loss(online, target, state, key, step, axis_name)
            return jnp.where(step < 6, value, jnp.nan), terms, state

        return method._replace(loss=loss)

    poisoned.__signature__ = inspect.signature(row)
    monkeypatch.setitem(METHODS, "isoloss", poisoned)
    options = ["--model", "mlp", "--steps", "12", "--checkpoint-every", "4", "--batch-size", "64"]
    assert cli.main(["pretrain", *options, "--out", str(tmp_path / "bad")]) == 3
    message = capsys.readouterr().err.splitlines()[-1]
    assert re.match(
        r"sslx: training diverged at step 7 \(attraction .*, loss nan, restraint .*\); lower .*; checkpoints before it are kept$", message
    )
    with Checkpoints(tmp_path / "bad/checkpoints") as checkpoints:
        assert checkpoints.last() == 4
    assert [record["step"] for record in folder.read_lines(tmp_path / "bad" / "validation.jsonl")] == [4]


@pytest.mark.parametrize("pretrain", [run.pretrain, partial(seeds.pretrain_seeds, count=2)])
def test_a_name_is_no_config(pretrain):
    with pytest.raises(ConfigError, match=r"config must be a Config, as sslx.presets.preset makes it, got 'digits-vicreg'"):
        pretrain("digits-vicreg")
