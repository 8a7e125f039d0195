import importlib.util
from pathlib import Path

import numpy as np

SCRIPT = Path(__file__).resolve().parents[2] / "experiments" / "stepwise" / "barlow_twins.py"


def test_pairs_have_the_stated_eigenvalues_and_a_crossing_is_read_off():
    spec = importlib.util.spec_from_file_location("barlow_twins", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    x_a, x_b, v = module.exact_pairs(np.random.default_rng(0))
    gamma = v.T @ (x_a.T @ x_b + x_b.T @ x_a) @ v / (2 * len(x_a))
    np.testing.assert_allclose(gamma, np.diag(module.GAMMA), atol=1e-12)
    t = np.array([0.0, 1.0, 3.0])
    assert module.crossing(t, np.array([0.0, 0.4, 0.8])) == 1.5
    assert module.crossing(t, np.array([0.0, 0.1, 0.2])) == np.inf
