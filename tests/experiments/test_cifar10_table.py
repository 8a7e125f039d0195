"""The table of trained runs: each row tells the tree that trained it, however late the table is written."""

import importlib.util
from pathlib import Path

import pytest

from sslx import folder

EXPERIMENTS = Path(__file__).resolve().parents[2] / "experiments"
SCORES = {"knn_accuracy": 0.75, "linear_accuracy": 0.8}
SUMMARY = {
    **SCORES,
    "online_accuracy": 0.7,
    "baselines": {"random": SCORES, "raw": SCORES},
    "rankme": 50.04,
    "device": "1 x cpu",
    "versions": {"jax": "0"},
}


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(EXPERIMENTS)
    spec = importlib.util.spec_from_file_location("cifar10_table", EXPERIMENTS / "cifar10_table.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module.sslx, "pretrain", lambda config, out, **_: folder.write_json(folder.create(out, config).summary, SUMMARY))
    return module


def test_a_row_keeps_the_commit_that_trained_it(script, tmp_path, monkeypatch):
    run = script.run_folder(tmp_path, "isoloss without target", 3)
    for commit in ("trained", "later"):
        monkeypatch.setattr(script._script, "commit", lambda commit=commit: commit)
        script.train(run, "isoloss without target", {"dataset": "cifar10", "epochs": 100, "seed": 3})
    row = script.row("isoloss without target", run)
    assert (row["commit"], row["seed"], row["epochs"], row["kNN"], row["RankMe"]) == ("trained", 3, 100, 75.0, 50.0)
    (run.path / script.COMMIT).unlink()
    assert script.row("isoloss without target", run)["commit"] == ""


def test_a_table_keeps_the_rows_of_other_runs(script, tmp_path):
    byol = {"method": "byol", "seed": 0, "kNN": 70.0, "commit": "12e5678"}
    simclr = {"method": "simclr", "seed": 0, "kNN": 71.0, "commit": "1234567"}
    again = {**simclr, "kNN": 75.5, "commit": "abcdef0"}
    table, key = tmp_path / "table.csv", ("method", "seed")
    assert script._script.with_earlier(table, [simclr], key) == [simclr]
    script._script.write_csv(table, [byol, simclr])
    assert script._script.with_earlier(table, [again], key) == [byol, again]
    assert script._script.with_earlier(table, [{**again, "seed": 1}], key) == [byol, simclr, {**again, "seed": 1}]
