"""What the figures of linear networks share: the start and the losses, training beside theory, and how both are written and drawn.

The setting is the toy network of Halvagal, Laborieux, Zenke (2023), arXiv 2212.04858: z = W x, x ~ N(0, I), entries of W_0 ~ N(0, 1/16),
W_P = F^alpha with alpha = 1 and F = W W^T, plain gradient descent, augmentation noise of deviation 0.1 on the target view alone. The
losses are -cos and 1/2 ||.||^2, half of those of sslx, so that n steps of learning rate lr are the time t = lr n of the flows.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import matplotlib as mpl
import numpy as np
from jax import Array
from matplotlib.lines import Line2D
from scipy.integrate import solve_ivp

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import _script
from sslx import dynamics, losses

jax.config.update("jax_enable_x64", True)

NOISE = (0.0, 0.1)
BOUND = 0.05  # of the largest eigenvalue
SEED = 2  # the paper's, of another generator
NO_PREDICTOR = 1e-12  # as the exponent of a predictor

Loss = Callable[[Array, Array, Array], Array]
LOSSES: dict[str, Loss] = {
    "euclidean, no stop-gradient": lambda a, b, p: losses.euclidean(a @ p, b, stop_gradient="none")[0] / 2,
    "euclidean, no predictor": lambda a, b, p: losses.euclidean(a, b)[0] / 2,
    "euclidean": lambda a, b, p: losses.euclidean(a @ p, b)[0] / 2,
    "euclidean IsoLoss": lambda a, b, p: losses.iso_euclidean(a, b, p)[0] / 2,
    "euclidean, wrong side": lambda a, b, p: losses.euclidean(a @ p, b, stop_gradient="online")[0] / 2,
    "cosine, no stop-gradient": lambda a, b, p: losses.cosine(a @ p, b, stop_gradient="none")[0] / 2,
    "cosine, no predictor": lambda a, b, p: (losses.cosine(a, b)[0] + losses.cosine(a, 2 * a - b)[0]) / 4,  # the opposite noise as well
    "cosine": lambda a, b, p: losses.cosine(a @ p, b)[0] / 2,
    "cosine IsoLoss": lambda a, b, p: losses.iso_cosine(a, b, p)[0] / 2,
}
FLOWS = {
    "euclidean, no stop-gradient": dynamics.euclidean_no_stop_gradient(alpha=1.0, noise=NOISE),
    "euclidean, no predictor": dynamics.euclidean_no_predictor(noise=NOISE),
    "euclidean": dynamics.euclidean(alpha=1.0, noise=NOISE),
    "euclidean IsoLoss": dynamics.iso_euclidean(alpha=1.0, noise=NOISE),
    "euclidean, wrong side": dynamics.euclidean_wrong_stop_gradient(alpha=1.0, noise=NOISE),
    "cosine, no stop-gradient": dynamics.cosine_no_stop_gradient(alpha=1.0, noise=NOISE, nodes=100),  # dead modes beside large ones
    "cosine, no predictor": dynamics.cosine(alpha=NO_PREDICTOR, noise=NOISE),
    "cosine": dynamics.cosine(alpha=1.0, noise=NOISE),
    "cosine IsoLoss": dynamics.iso_cosine(alpha=1.0, noise=NOISE),
}


@dataclass(frozen=True)
class Case:
    """One training: which loss (a name of LOSSES and FLOWS), from where, for how long; `batch_size` None is exact for quadratic losses."""

    loss: str
    w0: np.ndarray
    learning_rate: float
    steps: int
    batch_size: int | None = None
    weight_decay: float = 0.0
    flow: dynamics.EigenFlow | None = None


@dataclass(frozen=True)
class Result:
    """What was trained and what was predicted at the times t [T]: [T, M], and by how much they differ at lr and lr/2."""

    t: np.ndarray
    simulated: np.ndarray
    predicted: np.ndarray
    deviation: float
    deviation_half: float


def start(seed: int, modes: int = 10, inputs: int = 15, scale: float = 0.25) -> np.ndarray:
    """W_0 [modes, inputs]."""
    return scale * np.random.default_rng(seed).normal(size=(modes, inputs))


def train(case: Case, seed: int, every: int = 1, **record: Any) -> np.ndarray:
    """What `sslx.dynamics.simulate` records of the case, at every so many steps; sampled batches in float32."""
    w0 = jnp.asarray(case.w0, jnp.float64 if case.batch_size is None else jnp.float32)
    path = dynamics.simulate(
        jax.random.key(seed), w0, LOSSES[case.loss], predictor=lambda f: f, noise=NOISE, learning_rate=case.learning_rate,
        steps=case.steps, batch_size=case.batch_size, weight_decay=case.weight_decay, **record,
    )  # fmt: skip
    return np.asarray(path, np.float64)[::every]


def predict(flow: dynamics.EigenFlow, t: np.ndarray, start: np.ndarray) -> np.ndarray:
    """The states of the flow at the times t, by its closed form where it has one, else by SciPy, which has no solver to compile."""
    if flow.solution:
        return np.asarray(flow.solution(t, jnp.asarray(start)))
    velocity = jax.jit(lambda state: flow.velocity(state.reshape(start.shape)).ravel())
    path = solve_ivp(lambda _, state: velocity(state), (0, t[-1]), start.ravel(), "DOP853", t_eval=t, rtol=1e-7, atol=1e-10)
    return path.y.T.reshape(len(t), *start.shape)


def compare(case: Case, seed: int) -> Result:
    """Train at lr and at lr/2 and hold both against the flow, at about 1500 times."""
    every = max(1, case.steps // 1500)
    flow = FLOWS[case.loss] if case.flow is None else case.flow
    s0 = np.linalg.eigvalsh(case.w0 @ case.w0.T)
    simulated = train(case, seed, every)
    t = case.learning_rate * every * np.arange(len(simulated))
    predicted = np.sort(predict(flow, t, s0), axis=-1)
    half = train(replace(case, learning_rate=case.learning_rate / 2, steps=2 * case.steps), seed, 2 * every)
    return Result(t, simulated, predicted, deviation(simulated, predicted), deviation(half, predicted))


def deviation(simulated: np.ndarray, predicted: np.ndarray) -> float:
    """The largest difference at any time, over the largest eigenvalue that theory predicts."""
    return float(np.max(np.abs(simulated - predicted)) / np.max(predicted))


def descend(step: Callable[[Any], Any], state: Any, steps: int) -> Any:
    """The state (a pytree) before the first step and after each."""

    def scanned(state, _):
        return step(state), state

    last, path = jax.jit(lambda state: jax.lax.scan(scanned, state, length=steps))(jax.tree.map(jnp.asarray, state))
    return jax.tree.map(lambda a, b: jnp.concatenate([a, b[None]]), path, last)


def write(out: Path, name: str, cases: Mapping[str, Case], results: Mapping[str, Result]) -> None:
    """NAME.csv: the deviation of every case. NAME.npz: t, simulated and predicted eigenvalues of each."""
    rows = []
    for key, result in results.items():
        case = cases[key]
        numbers = {"deviation": result.deviation, "deviation_half_rate": result.deviation_half}
        rows.append(
            {"case": key, "learning_rate": case.learning_rate, "steps": case.steps, "batch": case.batch_size or "exact"}
            | {label: f"{value:.2e}" for label, value in numbers.items()}
        )
        print(", ".join(f"{label} {value}" for label, value in rows[-1].items()), flush=True)
    _script.write_csv(out / f"{name}.csv", rows)
    arrays = {f"{key}/{part}": getattr(r, part) for key, r in results.items() for part in ("t", "simulated", "predicted")}
    np.savez_compressed(out / f"{name}.npz", **arrays)  # type: ignore[arg-type]


def judge(results: Mapping[str, Result], text: str = "") -> int:
    """The verdict: every deviation within the bound."""
    worst = max(results, key=lambda key: results[key].deviation)
    result = results[worst]
    gap = f"{result.deviation:.2%} of the largest eigenvalue ({worst}; {result.deviation_half:.2%} at half the learning rate)"
    text = f"largest deviation {gap}, wanted <= {BOUND:.0%}{text}"
    return _script.verdict(all(r.deviation <= BOUND for r in results.values()), text)


def colours(modes: int) -> list[Any]:
    """From the smallest mode to the largest, told apart by lightness as well."""
    return [mpl.colormaps["viridis"](0.92 - 0.92 * m / max(modes - 1, 1)) for m in range(modes)]


def curves(axis: Any, t: np.ndarray, simulated: np.ndarray, predicted: np.ndarray | None = None) -> None:
    """Simulated modes in colour; theory dashed over them."""
    for m, colour in enumerate(colours(simulated.shape[1])):
        axis.plot(t, simulated[:, m], color=colour, linewidth=1.6)
        if predicted is not None:
            axis.plot(t, predicted[:, m], color="black", linewidth=0.7, dashes=(4, 3))


def legend(axis: Any, theory: str = "theory", **where: Any) -> None:
    """Which line is which."""
    handles = [Line2D([], [], color=colours(10)[5], linewidth=1.6), Line2D([], [], color="black", linewidth=0.7, dashes=(4, 3))]
    axis.legend(handles, ["gradient descent", theory], handlelength=2.6, **where)
