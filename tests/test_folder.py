import dataclasses
import errno
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sslx import folder
from sslx.presets import preset

CONFIG = preset("digits-vicreg", seed=3)
DEEP = pytest.param("[" * 100_000, id="deep")
SUMMARY = dict.fromkeys(sorted(folder.SUMMARY), 3)


def test_fresh_folders_are_named_by_preset_time_and_seed_and_never_shared(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(folder.time, "strftime", lambda _: "20260101-000000")
    first, second = folder.create(None, CONFIG), folder.create(None, CONFIG)
    assert first.path.name == "digits-vicreg-20260101-000000-seed3"
    assert second.path.name == "digits-vicreg-20260101-000000-seed3-2"
    assert first.read_config() == CONFIG
    assert folder.empty(None, CONFIG, 3).name == "digits-vicreg-20260101-000000-seeds3-5"


@pytest.mark.parametrize(("count", "names"), [(2, "seed0, seed1"), (7, "seed0, seed1, seed2, seed3, seed4, ...")])
def test_a_folder_of_runs_names_them(count, names, tmp_path):
    for seed in range(count):
        folder.create(tmp_path / f"seed{seed}", CONFIG)
    remedy = rf"it holds the runs {names}; name one of them \(--resume --seeds {count} goes on with all\)$"
    with pytest.raises(folder.FolderError, match=rf"is not a run folder \(no config.json\); {remedy}"):
        folder.RunFolder(tmp_path).read_config()


def test_half_a_line_is_left_out_and_later_steps_are_dropped(tmp_path):
    path = tmp_path / "metrics.jsonl"
    folder.append_lines(path, [{"step": 1}, {"step": 2}, {"step": 3}])
    path.write_text(path.read_text() + '{"step": 4, "lo')
    assert folder.read_lines(path) == [{"step": 1}, {"step": 2}, {"step": 3}]
    folder.keep_until(path, 2)
    assert path.read_text() == '{"step": 1}\n{"step": 2}\n'


def test_what_a_killed_process_left_is_not_read(tmp_path):
    path = tmp_path / "metrics.jsonl"
    folder.append_lines(path, [{"step": 1}, {"step": 2}])
    (tmp_path / "metrics.jsonl.partial").write_text('{"step": 1}\n')
    folder.keep_until(path, 2)
    assert folder.read_lines(path) == [{"step": 1}, {"step": 2}]


def test_a_reader_never_meets_half_a_file(tmp_path):
    folder.write_json(tmp_path / "summary.json", {"a": 1})
    assert [p.name for p in tmp_path.iterdir()] == ["summary.json"]
    assert json.loads((tmp_path / "summary.json").read_text()) == {"a": 1}


@pytest.mark.parametrize("text", ["{", '{"method": "vicreg"}', '{"colour": 3}', "[1]", DEEP])
def test_a_damaged_config_is_named(text, tmp_path, without_typing_hook):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(folder.FolderError, match=r"config\.json cannot be read.*restore it or train again"):
        folder.RunFolder(tmp_path).read_config()


def test_a_row_that_the_program_does_not_have_is_named(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(preset("digits-vicreg").to_json() | {"method": "mine"}))
    with pytest.raises(folder.FolderError, match=r"got 'mine'\); start from the program that adds a row of your own \(docs/extending.md\)"):
        folder.RunFolder(tmp_path).read_config()


@pytest.mark.parametrize("name", ["lr[0.1]", "a*", "why?"])
def test_a_folder_whose_checkpoints_could_not_be_read_is_refused_before_it_is_made(name, tmp_path, monkeypatch):
    with pytest.raises(folder.FolderError, match=r"^checkpoints cannot lie in .*; choose a path without \[, \* and \?$"):
        folder.create(tmp_path / name / "run", CONFIG)
    assert list(tmp_path.iterdir()) == []
    moved = tmp_path / name
    folder.create(tmp_path / "run", CONFIG).path.rename(moved)
    with pytest.raises(folder.FolderError, match="checkpoints cannot lie in"):
        folder.open_existing(moved, CONFIG)
    monkeypatch.chdir(moved)
    with pytest.raises(folder.FolderError, match="checkpoints cannot lie in"):
        folder.empty(None, CONFIG)


def test_a_file_in_the_place_of_the_folder_is_named(tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(folder.FolderError, match=r"cannot write the run folder .*choose another --out"):
        folder.create(tmp_path / "taken", CONFIG)


def test_the_same_settings_in_other_words_are_the_same_run(tmp_path, without_typing_hook):
    projector = (16, 8)
    folder.create(tmp_path, preset("digits-vicreg", projector=projector, warmup=0.0, hyper={"std_coeff": 50, "cov_coeff": 2.0}))
    same = preset("digits-vicreg", projector=projector, warmup=0, hyper={"cov_coeff": 2, "std_coeff": 50.0})
    assert folder.open_existing(tmp_path, same).path == tmp_path
    other = preset("digits-vicreg", projector=projector, warmup=0, hyper={"cov_coeff": 2, "std_coeff": 51})
    with pytest.raises(folder.FolderError, match=r"holds another run: its hyper is .*50.*, asked was .*51"):
        folder.open_existing(tmp_path, other)


def test_a_setting_that_changes_the_result_up_to_rounding_makes_another_run(tmp_path):
    folder.create(tmp_path, CONFIG)
    with pytest.raises(folder.FolderError, match="holds another run: its parallel is 'auto', asked was 'pmap'"):
        folder.open_existing(tmp_path, dataclasses.replace(CONFIG, parallel="pmap", data_dir="elsewhere"))


def test_all_that_differs_is_told(tmp_path):
    folder.create(tmp_path, CONFIG)
    other = dataclasses.replace(CONFIG, steps=None, epochs=7)
    with pytest.raises(folder.FolderError, match=r"its steps is \d+, asked was None, its epochs is None, asked was 7; leave"):
        folder.open_existing(tmp_path, other)


def test_half_a_config_leaves_the_folder_free(tmp_path):
    (tmp_path / "config.json.partial").write_text("{")
    assert folder.create(tmp_path, CONFIG).read_config() == CONFIG
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]


def half_a_write(path, text):
    """What a full disk does to `Path.write_text`."""
    with path.open("w") as file:
        file.write(text[: len(text) // 2])
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "summary.json"
    folder.write_json(path, {"a": 1})
    monkeypatch.setattr(Path, "write_text", half_a_write)
    with pytest.raises(folder.FolderError, match=r"cannot write .*summary\.json \(No space left on device\); make room there"):
        folder.write_json(path, {"a": 2})
    with pytest.raises(folder.FolderError, match=r"config\.json \(No space left on device\)"):
        folder.create(tmp_path / "new", CONFIG)
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == ["summary.json"]
    assert json.loads(path.read_text()) == {"a": 1}


def test_a_record_that_finds_no_room_is_one_line():
    with pytest.raises(folder.FolderError, match=r"cannot write /dev/full \(No space left on device\)"):
        folder.append_lines(Path("/dev/full"), [{"step": 1}])


def test_records_stay_when_there_is_no_room_to_write_them_again(tmp_path, monkeypatch):
    path = tmp_path / "metrics.jsonl"
    folder.append_lines(path, [{"step": 1}, {"step": 2}])

    def full(*_):
        raise folder.cannot_write(path, OSError(errno.ENOSPC, "No space left on device"))

    monkeypatch.setattr(folder, "append_lines", full)
    with pytest.raises(folder.FolderError, match="No space left on device"):
        folder.keep_until(path, 1)
    assert folder.read_lines(path) == [{"step": 1}, {"step": 2}]
    assert list(tmp_path.iterdir()) == [path]


def test_a_damaged_record_is_named(tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"step": 1\n{"step": 2}\n')
    with pytest.raises(folder.FolderError, match=r"metrics\.jsonl is damaged .*; remove the damaged line"):
        folder.keep_until(tmp_path / "metrics.jsonl", 2)


def test_two_runs_of_one_second_have_folders_of_their_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(folder.time, "strftime", lambda _: "now")
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: folder.create(None, CONFIG).path, range(8)))
    assert len(set(made)) == 8


@pytest.mark.parametrize(
    "line",
    ["[]", '{"loss": 1}', '{"step": "x"}', '{"step": null}', *(f'{{"step": 1, "loss": {loss}}}' for loss in ('"x"', "null", "[1]"))],
)
def test_a_line_that_is_no_record_is_named(tmp_path, line):
    (tmp_path / "metrics.jsonl").write_text(line + "\n")
    with pytest.raises(folder.FolderError, match=r"line 1 is no record of a step\); remove the damaged line"):
        folder.read_lines(tmp_path / "metrics.jsonl")


def test_a_directory_is_no_file_to_write(tmp_path):
    for path in (tmp_path, Path()):
        with pytest.raises(folder.FolderError, match="is a directory; name a file"):
            folder.write_json(path, {})


@pytest.mark.parametrize("text", [None, "{", "5", "[1]", '{"a": 1}', DEEP, json.dumps(SUMMARY)])
def test_a_summary_that_is_missing_or_damaged_is_none(text, tmp_path):
    if text is not None:
        (tmp_path / "summary.json").write_text(text)
    assert folder.RunFolder(tmp_path).read_summary() == (SUMMARY if text == json.dumps(SUMMARY) else None)


def test_a_directory_is_no_file_to_read(tmp_path):
    (tmp_path / "summary.json").mkdir()
    assert folder.RunFolder(tmp_path).read_summary() is None
    with pytest.raises(folder.FolderError, match=r"cannot read .*summary\.json \(Is a directory\); move away what is there"):
        folder.read_lines(tmp_path / "summary.json")
