import json

import pytest

from sslx import folder
from sslx.presets import preset

CONFIG = preset("digits-vicreg", seed=3)


def test_fresh_folders_are_named_by_preset_time_and_seed_and_never_shared(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(folder.time, "strftime", lambda _: "20260101-000000")
    first, second = folder.create(None, CONFIG), folder.create(None, CONFIG)
    assert first.path.name == "digits-vicreg-20260101-000000-seed3"
    assert second.path.name == "digits-vicreg-20260101-000000-seed3-2"
    assert first.read_config() == CONFIG


def test_half_a_line_is_left_out_and_later_steps_are_dropped(tmp_path):
    path = tmp_path / "metrics.jsonl"
    folder.append_lines(path, [{"step": 1}, {"step": 2}, {"step": 3}])
    path.write_text(path.read_text() + '{"step": 4, "lo')
    assert folder.read_lines(path) == [{"step": 1}, {"step": 2}, {"step": 3}]
    folder.keep_until(path, 2)
    assert path.read_text() == '{"step": 1}\n{"step": 2}\n'


def test_a_reader_never_meets_half_a_file(tmp_path):
    folder.write_json(tmp_path / "summary.json", {"a": 1})
    assert [p.name for p in tmp_path.iterdir()] == ["summary.json"]
    assert json.loads((tmp_path / "summary.json").read_text()) == {"a": 1}


@pytest.mark.parametrize("text", ["{", '{"method": "vicreg"}', '{"colour": 3}', "[1]"])
def test_a_damaged_config_is_named(text, tmp_path, without_typing_hook):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(folder.FolderError, match=r"config\.json cannot be read.*restore it or train again"):
        folder.RunFolder(tmp_path).read_config()


def test_a_file_in_the_place_of_the_folder_is_named(tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(folder.FolderError, match=r"cannot write the run folder .*choose another --out"):
        folder.create(tmp_path / "taken", CONFIG)
