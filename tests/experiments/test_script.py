"""What every experiment script shares."""

import importlib.util
import json
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "experiments" / "_script.py"


def test_a_table_says_how_it_was_made_but_not_where(tmp_path, monkeypatch):
    spec = importlib.util.spec_from_file_location("_script", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    for words in (["--quick", "--out", str(tmp_path), "--seed", "3"], ["--quick", f"--out={tmp_path}", "--seed", "3"]):
        monkeypatch.setattr("sys.argv", ["/some/where/path.py", *words])
        script.write_csv(tmp_path / "path.csv", [{"t": 1, "eta": 0.5}])
        made = json.loads((tmp_path / "provenance.json").read_text())
        assert made["command"] == "path.py --quick --seed 3"
        assert set(made) == {"command", "commit", "versions", "device"}
        assert (tmp_path / "path.csv").read_text() == "t,eta\n1,0.5\n"
