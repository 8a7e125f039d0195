import csv
import importlib.util
import random
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SCRIPT = Path(__file__).resolve().parents[2] / "experiments" / "benchmarks" / "views.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("views", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_quick_run_passes_and_leaves_its_files(script, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["views", "--quick", "--out", str(tmp_path)])
    assert script.main() == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("PASS: ")
    with (tmp_path / "views.csv").open() as file:
        assert [row["size"] for row in csv.DictReader(file)] == ["32"]
    assert (tmp_path / "views.png").read_bytes().startswith(b"\x89PNG")


def test_the_pillow_pipeline_changes_an_image_and_keeps_its_shape(script):
    pixels = np.random.default_rng(0).integers(0, 256, (20, 20, 3)).astype(np.uint8)
    views = [script.pillow_view(random.Random(seed), Image.fromarray(pixels)) for seed in range(40)]
    assert {view.shape for view in views} == {(20, 20, 3)}
    assert 0 <= min(view.min() for view in views) < max(view.max() for view in views) <= 1
    grey = [np.ptp(view, axis=-1).max() == 0 for view in views]
    assert 2 <= sum(grey) <= 18
