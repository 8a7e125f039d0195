"""Runs are compared by their settings, over their seeds; what is not compared is named."""

import errno
import json
import os

import numpy as np
import pytest

from sslx import cli, comparison, folder, plotting
from sslx.presets import preset

LABELS = {"knn_accuracy": 0.9, "linear_accuracy": 0.8, "few_label_accuracy": {"2": 0.5, "10": 0.7}}


@pytest.fixture
def finished(tmp_path):
    """Writes the folder of a finished run."""

    def write(name, knn=None, *, rankme=5.0, base="digits-vicreg", **changes):
        config = preset(base, **changes)
        run = folder.create(tmp_path / name, config)
        scores = {} if knn is None else {**LABELS, "knn_accuracy": knn}
        what = {"method": config.method, "dataset": config.dataset, "steps": 800, "run": "moved away"}
        summary = {**what, **scores, "rankme": rankme, "efficiency": 0.25, "baselines": {}, "device": "", "seconds": 1.0}
        folder.write_json(run.summary, summary)
        monitored = {} if knn is None else {"validation_accuracy": knn}
        folder.append_lines(run.validation, [{"step": step, "rankme": rankme, **monitored} for step in (400, 800)])
        return str(run.path)

    return write


def test_runs_that_differ_in_the_seed_are_one_row(finished, tmp_path):
    runs = [finished(f"all/seeds/seed{seed}", knn, seed=seed, rankme=seed) for seed, knn in ((2, 0.5), (10, 0.8))]
    single = finished("all/single", 0.6, seed=1, data_dir="elsewhere", feed="host", checkpoint_every=9)
    other = finished("all/zz", 0.4, learning_rate=0.5)
    rows = comparison.compare([tmp_path / "all"])["rows"]
    assert [row["runs"] for row in rows] == [[single, *runs], [other]]
    assert rows[0]["seeds"] == [1, 2, 10]
    assert rows[0]["knn_accuracy"] == {"mean": pytest.approx(1.9 / 3), "std": pytest.approx(np.std([0.5, 0.6, 0.8], ddof=1))}
    assert rows[0]["few_label_accuracy"]["10"]["mean"] == pytest.approx(0.7)
    assert rows[1]["rankme"] == {"mean": 5.0, "std": None}
    assert [row["settings"] for row in rows] == [{"learning_rate": 8e-3}, {"learning_rate": 0.5}]


def test_a_row_is_named_by_its_preset_and_what_is_not_the_presets(finished, tmp_path):
    finished("a", 0.5)
    finished("b", 0.5, hyper={"std_coeff": 3.0}, batch_size=64)
    finished("c", base="digits-isoloss", dataset="npz:images.npz", rankme=7.0)
    head, _, *lines = comparison.describe(comparison.compare([tmp_path])).splitlines()
    titles = ["", "seeds", "kNN", "linear probe", "RankMe", "efficiency", "2 labels per class", "10 labels per class", "runs"]
    assert words(head) == titles
    assert [words(line) for line in lines] == [
        ["digits-vicreg", "1", "50.0", "80.0", "5.0", "0.250", "50.0", "70.0", str(tmp_path / "a")],
        ["digits-vicreg, batch_size 64, std_coeff 3.0", "1", "50.0", "80.0", "5.0", "0.250", "50.0", "70.0", str(tmp_path / "b")],
        ["digits-isoloss, dataset npz:images.npz", "1", "", "", "7.0", "0.250", "", "", str(tmp_path / "c")],
    ]
    assert len({len(line) for line in (head, *lines)}) == 1


def test_the_same_settings_in_other_words_are_one_row(finished, tmp_path, without_typing_hook):
    finished("a", 0.5, hyper={"std_coeff": 50, "cov_coeff": 2.0})
    finished("b", 0.7, hyper={"cov_coeff": 2, "std_coeff": 50.0}, seed=1)
    (row,) = comparison.compare([tmp_path])["rows"]
    assert row["seeds"] == [0, 1]


@pytest.mark.parametrize(
    ("base", "changes", "words"),
    [
        ("digits-byol", {"hyper": {}}, "digits-byol, ema unset"),
        ("digits-vicreg", {"projector": None}, "digits-vicreg, projector unset"),
        ("digits-vicreg", {"steps": None, "epochs": 3}, "digits-vicreg, epochs 3"),
    ],
)
def test_what_a_run_leaves_out_is_told(base, changes, words, finished, tmp_path):
    finished("a", 0.5, base=base)
    finished("b", 0.5, base=base, **changes)
    assert [comparison.label(row) for row in comparison.compare([tmp_path])["rows"]] == [base, words]


def test_where_runs_lie(finished, tmp_path, monkeypatch):
    finished("a", 0.5), finished("b", 0.5, seed=1), finished("deep/c", 0.5, seed=2)
    monkeypatch.chdir(tmp_path)
    for paths, told in ((["a"], "a"), (["a", "b"], "."), (["deep", tmp_path / "b", "a"], "a and 2 more")):
        assert f"| {told} |" in " ".join(comparison.describe(comparison.compare(paths)).split())


def test_a_run_is_named_by_where_it_lies_not_by_a_link_to_it(finished, tmp_path):
    run = finished("deep/seeds/z", 0.5)
    for link in ("deep/best", "deep/seeds/a", "deep/seeds/zz", "other"):
        (tmp_path / link).symlink_to(run)
    assert [row["runs"] for row in comparison.compare([tmp_path / "deep", tmp_path / "other"])["rows"]] == [[run]]


def test_a_score_that_not_all_seeds_have_is_left_out(finished, tmp_path):
    finished("a", 0.5), finished("b", 0.5, seed=1)
    summary = tmp_path / "b/summary.json"
    summary.write_text(summary.read_text().replace('"10"', '"20"'))
    (row,) = comparison.compare([tmp_path])["rows"]
    assert "few_label_accuracy" not in row
    assert "knn_accuracy" in row


def words(line):
    return [word.strip() for word in line.split("|")[1:-1]]


def test_what_is_passed_over_is_named(finished, tmp_path):
    first, second = finished("first", 0.5), finished("second", 0.7)
    stopped = folder.create(tmp_path / "stopped", preset("digits-byol")).path
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged/config.json").write_text("{")
    result = comparison.compare([tmp_path, first, second, first])
    assert [row["runs"] for row in result["rows"]] == [[second]]
    passed = result["passed_over"]
    assert passed.keys() == {first, str(stopped), str(tmp_path / "damaged")}
    assert passed[first] == f"{second} has its settings and its seed"
    assert "has not ended" in passed[str(stopped)]
    assert "cannot be read" in passed[str(tmp_path / "damaged")]
    assert f"passed over {first}: {second} has" in comparison.describe(result)


@pytest.mark.parametrize(("name", "value"), [("knn_accuracy", "high"), ("few_label_accuracy", None), ("few_label_accuracy", [1])])
def test_a_damaged_summary_is_passed_over(name, value, finished, tmp_path):
    damaged = tmp_path / "damaged/summary.json"
    finished("damaged", 0.5), finished("sound", 0.5)
    damaged.write_text(json.dumps({**json.loads(damaged.read_text()), name: value}))
    result = comparison.compare([tmp_path])
    assert [row["runs"] for row in result["rows"]] == [[str(tmp_path / "sound")]]
    assert f"{damaged} is damaged; delete it" in result["passed_over"][str(damaged.parent)]


def test_what_is_no_number_is_null_in_json(finished, capsys):
    assert cli.main(["compare", finished("a", 0.5, rankme=np.nan), "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)["rows"]
    assert row["rankme"] == {"mean": None, "std": None}
    assert cli.main(["compare", row["runs"][0]]) == 0
    assert "| 50.0 | 80.0         |        | 0.250" in capsys.readouterr().out


def test_a_preset_that_is_not_known_here_is_told_by_method_and_data(finished, tmp_path):
    finished("a", 0.5)
    config = tmp_path / "a/config.json"
    config.write_text(config.read_text().replace("digits-vicreg", "mine"))
    assert "| vicreg on digits |" in comparison.describe(comparison.compare([tmp_path]))


def test_the_course_of_training_is_drawn(finished, tmp_path, monkeypatch):
    finished("a", 0.5)
    drawn, draw = {}, plotting.validation_curves
    monkeypatch.setattr(plotting, "validation_curves", lambda curves: drawn.update(curves) or draw(curves))
    result = comparison.compare([tmp_path], out=tmp_path / "new/figures")
    assert drawn == {"digits-vicreg": [[{"step": step, "rankme": 5.0, "validation_accuracy": 0.5} for step in (400, 800)]]}
    assert (tmp_path / "new/figures/comparison.png").read_bytes().startswith(b"\x89PNG")
    assert result["figure"] == str(tmp_path / "new/figures/comparison.png")


@pytest.mark.usefixtures("without_typing_hook")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("", "there is no finished run to compare; name run folders, or folders of runs"),
        ("stopped", "there is no finished run to compare; stopped: it has not ended; go on with sslx pretrain --resume --out"),
        ("nowhere", "nowhere is not a run folder"),
        ("done/config.json", "done/config.json is not a run folder"),
        ("n" * 300, "nnn cannot be read (File name too long); change its permissions or name other folders"),
        ("done --out done/config.json", "cannot write done/config.json/comparison.png"),
    ],
)
def test_a_mistake_is_one_line(arguments, message, finished, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    folder.create("stopped", preset("digits-vicreg"))
    finished("done", 0.5)
    assert cli.main(["compare", *arguments.split()]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert message in err


def test_a_folder_that_may_not_be_read_is_told(tmp_path, monkeypatch):
    def refused(path):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(comparison.os, "listdir", refused)
    with pytest.raises(folder.FolderError, match=r"cannot be read \(Permission denied\); change its permissions"):
        comparison.compare([tmp_path])


def test_the_command_prints_json(finished, capsys):
    assert cli.main(["compare", finished("a", 0.5), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"][0]["knn_accuracy"]["mean"] == 0.5
