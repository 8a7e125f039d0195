"""Several seeds: a run folder each, mean and standard deviation over them, side by side or in turn."""

import dataclasses
import json
from functools import partial

import numpy as np
import pytest

from cheap_view import brighten
from sslx import augment, evaluate, folder, run, seeds
from sslx.checkpoint import Checkpoints
from sslx.config import ConfigError
from sslx.presets import preset

SMALL = preset("digits-vicreg", model="mlp", projector=(16, 8), steps=4, batch_size=64, checkpoint_every=4)


@pytest.fixture
def scores(monkeypatch):
    """Views, probes and reports that cost nothing; the probes give 0, 1, 2, ... over 100."""
    calls = iter(range(100))

    def stub(*_, **__):
        value = next(calls) / 100
        return {"knn_accuracy": value, "linear_accuracy": value, "few_label_accuracy": {"2": value}, "few_label_std": {"2": 0.0}}

    monkeypatch.setitem(augment.RECIPES, "digits", (brighten, brighten))
    monkeypatch.setattr(evaluate, "evaluate", stub)
    monkeypatch.setattr(run, "render", lambda *_: "a report")


def test_side_by_side_and_in_turn_write_the_same_folders(scores, tmp_path, monkeypatch):
    beside = seeds.pretrain_seeds(SMALL, 2, out=tmp_path / "beside")
    monkeypatch.setattr(seeds, "SIDE_BY_SIDE", ())
    monkeypatch.setattr(run, "read_data", lambda *_: pytest.fail("all seeds have the same data"))
    turns = []
    turn = seeds.pretrain_seeds(SMALL, 2, out=tmp_path / "turn", watch=lambda kind, record: turns.append(record.get("turn")))
    assert list(dict.fromkeys(turns)) == ["seed 0, 1 of 2", "seed 1, 2 of 2"]
    for name, summary in (("beside", beside), ("turn", turn)):
        root = tmp_path / name
        assert json.loads((root / "summary.json").read_text()) == summary
        assert summary["seeds"] == [0, 1]
        runs = [json.loads((root / f"seed{seed}/summary.json").read_text()) for seed in (0, 1)]
        values = [run["knn_accuracy"] for run in runs]
        assert summary["knn_accuracy"] == {"mean": np.mean(values), "std": np.std(values, ddof=1)}
        assert set(summary["few_label_accuracy"]) == {"2"}
        assert (root / "seed1/report.html").exists()
    raw = [json.loads((tmp_path / f"beside/seed{seed}/summary.json").read_text())["baselines"]["raw"] for seed in (0, 1)]
    assert raw[0] == raw[1]  # scored once for both
    losses = [last_losses(tmp_path / name) for name in ("beside", "turn")]
    np.testing.assert_allclose(*losses, rtol=1e-3)
    assert seeds.pretrain_seeds(SMALL, 2, out=tmp_path / "turn", resume=True)["knn_accuracy"] == turn["knn_accuracy"]


@pytest.mark.parametrize(("steps", "way"), [((2, 2), "side by side"), ((4, 2), "in turn"), ((2,), "in turn")])
def test_interrupted_runs_go_on_side_by_side_from_one_step(steps, way, tmp_path, monkeypatch):
    def stop(way, *_, **__):
        raise InterruptedError(way)

    for seed, step in enumerate(steps):
        run = folder.create(tmp_path / f"seed{seed}", dataclasses.replace(SMALL, seed=seed))
        with Checkpoints(run.checkpoints) as checkpoints:
            checkpoints.save(step, {"w": np.zeros(1)}, {}, validation=0.5)
    monkeypatch.setattr(seeds, "train_and_score", partial(stop, "side by side"))
    monkeypatch.setattr(seeds, "train_one", partial(stop, "in turn"))
    with pytest.raises(InterruptedError, match=way):
        seeds.pretrain_seeds(SMALL, 2, out=tmp_path, resume=True)


def last_losses(root):
    return [folder.read_lines(root / f"seed{seed}/metrics.jsonl")[-1]["loss"] for seed in (0, 1)]


def test_one_seed_has_no_standard_deviation():
    with pytest.raises(ConfigError, match="count must be at least 2 for a standard deviation, got 1; use sslx"):
        seeds.pretrain_seeds(SMALL, 1)


def test_resuming_needs_a_folder():
    with pytest.raises(folder.FolderError, match="--resume needs --out"):
        seeds.pretrain_seeds(SMALL, 2, resume=True)


def test_a_single_run_is_not_resumed_as_several(tmp_path):
    folder.create(tmp_path / "one", SMALL)
    with pytest.raises(folder.FolderError, match="holds a single run; leave the number of seeds out"):
        seeds.pretrain_seeds(SMALL, 2, out=tmp_path / "one", resume=True)


def test_a_fresh_folder_is_named_by_all_seeds(tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(seeds, "train_and_score", stop)
    with pytest.raises(KeyboardInterrupt):
        seeds.pretrain_seeds(SMALL, 2)
    assert len(list(tmp_path.glob("runs/digits-vicreg-*-seeds0-1/seed1"))) == 1
