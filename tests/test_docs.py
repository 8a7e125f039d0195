"""The program of the documentation runs as it stands there, and the command line takes what it adds."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from cheap_view import brighten
from sslx import augment, cli, data, evaluate, frozen, methods, models, presets, run

TABLES: tuple[dict[str, Any], ...] = (methods.METHODS, models.ENCODERS, augment.RECIPES, data.DATASETS, presets.PRESETS)
BLOCKS = re.findall(r"```python\n(.*?)```", (Path(__file__).parent.parent / "docs" / "extending.md").read_text(), re.DOTALL)
STUB = {"knn_accuracy": 0.0, "linear_accuracy": 0.0, "few_label_accuracy": {"2": 0.0}, "few_label_std": {"2": 0.0}}


@pytest.fixture
def tables(monkeypatch):
    """The tables, which are as before afterwards, and views of the digits that compile in no time."""
    kept = [dict(table) for table in TABLES]
    monkeypatch.setattr(augment, "digits_view", lambda key, images, index, **_: brighten(key, images, index))
    augment.RECIPES["digits"] = (brighten, brighten)
    yield
    for table, rows in zip(TABLES, kept, strict=True):
        table.clear()
        table.update(rows)


def test_own_parts_are_trained_evaluated_and_resumed(tables, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(evaluate, "evaluate", lambda *_, **__: STUB)
    monkeypatch.setattr(run, "render", lambda *_: "a report")
    program = "\n".join(block for block in BLOCKS if "cli.main" not in block)
    assert "steps=300" in program
    names: dict[str, Any] = {"__name__": "extending"}
    exec(program.replace("steps=300", "steps=2"), names)  # the steps are all that differs
    summary, features = names["summary"], names["features"]
    assert (summary["method"], summary["steps"], summary["preset"]) == ("align_uniform", 2, "mine")
    assert set(methods.build("align_uniform", weight=2.0)._fields) == set(methods.Method._fields)
    assert features.shape == (3, 256)
    assert np.all(np.isfinite(features))
    assert set(names["metrics"]) == {"loss", "invariance", "variance", "covariance", "gradient_norm"}
    assert cli.main(["pretrain", "mine", "--resume", "--out", summary["run"], "--hyper", "weight=2"]) == 2
    assert "its hyper is {'weight': 0.5}, asked was {'weight': 2}" in capsys.readouterr().err
    assert cli.main(["evaluate", summary["run"], "--features", "f.npz"]) == 0
    assert cli.main(["pretrain", "--method", "align_uniform"]) == 2
    assert "method align_uniform has no preset; add one to sslx.presets.PRESETS" in capsys.readouterr().err


def test_an_encoder_of_nnx_is_trained(tables, tmp_path, monkeypatch):
    monkeypatch.setattr(evaluate, "evaluate", lambda *_, **__: STUB)
    monkeypatch.setattr(run, "render", lambda *_: "a report")
    exec("\n".join(block for block in BLOCKS if "ENCODERS[" in block), {})
    events = []
    run.pretrain(
        presets.preset("digits-vicreg", model="small", steps=2, batch_size=32, projector=(16, 8)),
        out=tmp_path / "run",
        watch=lambda *event: events.append(event),
    )
    first, last = (record["state"] for kind, record in events if kind == "checkpoint")
    for before, after in ((first.params, last.params), (first.batch_stats, last.batch_stats)):
        moved = [not np.array_equal(*pair) for pair in zip(*map(jax.tree.leaves, (before["encoder"], after["encoder"])), strict=True)]
        assert all(moved)
    assert np.all(np.isfinite(frozen.features(tmp_path / "run", "digits", "test")))


def test_a_program_with_own_rows_is_a_command_line(tmp_path):
    *rows, end = (block for block in BLOCKS if "METHODS[" in block or "cli.main" in block)
    (tmp_path / "mine.py").write_text("\n".join((*rows, end)))
    done = subprocess.run([sys.executable, "mine.py", "list", "methods"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "align_uniform"
