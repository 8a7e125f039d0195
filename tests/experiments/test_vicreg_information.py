import csv
import importlib.util
import itertools
import sys
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).resolve().parents[2] / "experiments" / "vicreg_information"


@pytest.fixture(autouse=True)
def _beside_its_neighbours(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)


def script(name):
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("name", "table", "picture"),
    [
        ("pairwise_distances", "distances.csv", "pairwise_distances.png"),
        ("mixture_bounds", "mixture_bounds.csv", "mixture_bounds.png"),
    ],
)
def test_quick_run_passes_and_leaves_its_files(name, table, picture, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [name, "--quick", "--out", str(tmp_path)])
    assert script(name).main() == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("PASS: ")
    with (tmp_path / table).open() as file:
        assert len(list(csv.DictReader(file))) >= 1
    assert (tmp_path / picture).read_bytes().startswith(b"\x89PNG")


def test_distances_and_overlap_by_hand():
    module = script("pairwise_distances")
    squared = module.squared_distances(np.array([[0.0, 0.0], [3.0, 4.0], [3.0, 4.0]]))
    np.testing.assert_allclose(squared, [[np.inf, 25, 25], [25, np.inf, 0], [25, 0, np.inf]])
    edge = 5 / np.sqrt(8 * np.log(100))  # the coefficient of two Gaussians at distance 5 is then 0.01
    np.testing.assert_allclose(module.overlapping_fraction(np.array([5.0, 0.0]), edge * np.array([0.99, 1.01])), [0.5, 1.0])


def test_methods_that_have_nothing_in_common_are_not_related():
    module, rng = script("surrogate"), np.random.default_rng(0)

    def alike():
        return rng.normal(size=(5, 1, 1)) + 0.1 * rng.normal(size=(5, 5, 1)) + 0.01 * rng.normal(size=(5, 5, 4))

    found = [module.correlate(alike(), alike())[1] for _ in range(60)]
    assert np.mean(np.array(found) < 0.05) < 0.15
    x = alike()
    assert module.correlate(x, x) == (pytest.approx(1), pytest.approx(2 / 120))


def test_a_column_is_put_in_order_of_methods_seeds_and_steps():
    order = itertools.product(("a", "b"), range(3), range(3))
    rows = [{"method": m, "seed": s, "step": t, "x": 100 * (m == "b") + 10 * s + t} for m, s, t in order]
    np.testing.assert_array_equal(script("surrogate").by_run(rows, "x")[1], [[101, 102], [111, 112], [121, 122]])
