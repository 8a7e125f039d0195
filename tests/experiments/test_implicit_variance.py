import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).resolve().parents[2] / "experiments" / "implicit_variance"


def script(name):
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def toy():
    yield script("_toy")
    del sys.modules["_toy"]


@pytest.fixture(scope="module")
def trained(toy):
    case = toy.Case("euclidean IsoLoss", toy.start(2, 3, 5), 0.01, 500)
    return case, toy.compare(case, 0)


@pytest.mark.parametrize(
    ("full", "half", "sampled", "also", "passed"),
    [
        (1.01, 1.005, False, True, True),
        (1.01, 1.005, False, False, False),
        (1.03, 1.015, False, True, False),
        (1.01, 1.008, False, True, False),  # leads to 1.006
        (1.01, 1.008, True, True, True),
        (np.nan, np.nan, True, True, False),
    ],
)
def test_word_and_exit_code_of_the_verdict_agree(toy, capsys, full, half, sampled, also, passed):
    one = np.ones((2, 1))
    code = toy.judge({"case": toy.Result(np.arange(2), full * one, half * one, one, sampled)}, also=also)
    assert code == (not passed)
    assert capsys.readouterr().out.startswith("PASS: " if passed else "FAIL: ")


def test_a_trained_network_passes_beside_its_flow(toy, trained):
    assert toy.judge({"case": trained[1]}) == 0


@pytest.mark.parametrize(("rate", "noise"), [(0.9, (0.0, 0.1)), (1.1, (0.0, 0.1)), (1.0, (0.1, 0.1))])
def test_it_fails_beside_a_flow_that_is_too_slow_too_fast_or_of_other_noise(toy, trained, rate, noise):
    case, result = trained
    wrong = toy.predict(replace(case, noise=noise).flow, rate * result.t, result.predicted[0])
    assert toy.judge({"case": replace(result, predicted=wrong)}) == 1


def test_levels_are_the_fixed_points_of_the_flow(toy):
    flow = toy.FLOWS["euclidean"](noise=toy.NOISE, weight_decay=0.2)
    np.testing.assert_allclose(np.ravel(flow.fixed_points(np.ones(1)))[1:], toy.levels(0.2), rtol=1e-12)


def test_runs_of_a_convnet_that_are_not_finite_or_collapse_fail(tmp_path, monkeypatch, capsys):
    convnet = script("convnet")
    monkeypatch.setattr(sys, "argv", ["convnet", "--quick", "--out", str(tmp_path)])
    monkeypatch.setattr(convnet, "train_variant", lambda variant, seeds, steps: np.full((len(seeds), 3, 32, 32), np.nan))
    assert convnet.main() == 1
    assert capsys.readouterr().out == "FAIL: not finite: Euclidean, Euclidean IsoLoss\n"
    ranks, order = np.array([[2.0, 3.0]]), np.array([[1.0, 0.95]])
    results = {name: {"effective rank": ranks, "order kept": order} for name in ("Euclidean", "cosine")}
    assert convnet.judge(results) == 0
    results["Euclidean"] = {"effective rank": ranks[:, ::-1]}
    assert convnet.judge(results) == 1
