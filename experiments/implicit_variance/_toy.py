"""What the figures of linear networks share: the start and the losses, training beside theory, and how both are written and drawn.

The setting is the toy network of Halvagal, Laborieux, Zenke (2023), arXiv 2212.04858: z = W x, x ~ N(0, I), entries of W_0 ~ N(0, 1/16),
W_P = F^alpha with alpha = 1 and F = W W^T, plain gradient descent, augmentation noise of deviation 0.1 on the target view alone. The
losses are -cos and 1/2 ||.||^2, half of those of sslx, so that n steps of learning rate lr are the time t = lr n of the flows.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from jax import Array
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from scipy.integrate import solve_ivp

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import _script
from sslx import dynamics, losses

jax.config.update("jax_enable_x64", True)

NOISE = (0.0, 0.1)
BOUND = 0.02  # of the largest eigenvalue
LIMIT_BOUND = 0.002  # the same where the learning rate goes to 0
SEED = 2  # the paper's, of another generator
FAMILIES, VARIANTS = ("euclidean", "cosine"), (", no stop-gradient", ", no predictor", "", " IsoLoss")
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
FLOWS: dict[str, Callable[..., dynamics.EigenFlow]] = {
    "euclidean, no stop-gradient": partial(dynamics.euclidean_no_stop_gradient, alpha=1.0),
    "euclidean, no predictor": dynamics.euclidean_no_predictor,
    "euclidean": partial(dynamics.euclidean, alpha=1.0),
    "euclidean IsoLoss": partial(dynamics.iso_euclidean, alpha=1.0),
    "euclidean, wrong side": partial(dynamics.euclidean_wrong_stop_gradient, alpha=1.0),
    "cosine, no stop-gradient": partial(dynamics.cosine_no_stop_gradient, alpha=1.0, nodes=100),  # dead modes beside large ones
    "cosine, no predictor": partial(dynamics.cosine, alpha=NO_PREDICTOR),
    "cosine": partial(dynamics.cosine, alpha=1.0),
    "cosine IsoLoss": partial(dynamics.iso_cosine, alpha=1.0),
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
    noise: tuple[float, float] = NOISE

    @property
    def every(self) -> int:
        """Steps between two of about 1500 times."""
        return max(1, self.steps // 1500)

    @property
    def flow(self) -> dynamics.EigenFlow:
        """What is predicted."""
        decay = {"weight_decay": self.weight_decay} if self.weight_decay else {}
        return FLOWS[self.loss](noise=self.noise, **decay)


@dataclass(frozen=True)
class Result:
    """What was trained with lr and with lr/2, and what was predicted, at the times t [T]: [T, M]. `sampled`: every step drew a batch."""

    t: np.ndarray
    simulated: np.ndarray
    half: np.ndarray
    predicted: np.ndarray
    sampled: bool = False

    @property
    def deviations(self) -> tuple[float, float, float]:
        """At the learning rate, at half of it, and at none, to which the two others lead; sampling noise hides the last (nan)."""
        limit = np.nan if self.sampled else 2 * self.half - self.simulated
        full, half, none = (deviation(path, self.predicted) for path in (self.simulated, self.half, limit))
        return full, half, none


def start(seed: int, modes: int = 10, inputs: int = 15, scale: float = 0.25) -> np.ndarray:
    """W_0 [modes, inputs]."""
    return scale * np.random.default_rng(seed).normal(size=(modes, inputs))


def train(case: Case, seed: int, every: int = 1, **record: Any) -> np.ndarray:
    """What `sslx.dynamics.simulate` records of the case, at every so many steps; sampled batches in float32."""
    w0 = jnp.asarray(case.w0, jnp.float64 if case.batch_size is None else jnp.float32)
    path = dynamics.simulate(
        jax.random.key(seed), w0, LOSSES[case.loss], predictor=lambda f: f, noise=case.noise, learning_rate=case.learning_rate,
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
    s0 = np.linalg.eigvalsh(case.w0 @ case.w0.T)
    simulated = train(case, seed, case.every)
    t = case.learning_rate * case.every * np.arange(len(simulated))
    predicted = np.sort(predict(case.flow, t, s0), axis=-1)
    half = train(replace(case, learning_rate=case.learning_rate / 2, steps=2 * case.steps), seed, 2 * case.every)
    return Result(t, simulated, half, predicted, sampled=case.batch_size is not None)


def deviation(simulated: np.ndarray | float, predicted: np.ndarray) -> float:
    """The largest difference at any time, over the largest eigenvalue that theory predicts."""
    return float(np.max(np.abs(simulated - predicted)) / np.max(predicted))


def levels(eta: Any) -> tuple[Any, Any]:
    """The roots of lam (1 - lam) = eta: with weight decay eta modes die below the first and end at the second."""
    root = np.sqrt(1 - 4 * eta)
    return (1 - root) / 2, (1 + root) / 2


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
        numbers = dict(zip(("deviation", "deviation_half_rate", "deviation_no_rate"), result.deviations, strict=True))
        rows.append(
            {"case": key, "learning_rate": case.learning_rate, "steps": case.steps, "batch": case.batch_size or "exact"}
            | {label: f"{value:.2e}" for label, value in numbers.items()}
        )
        print(", ".join(f"{label} {value}" for label, value in rows[-1].items()), flush=True)
    _script.write_csv(out / f"{name}.csv", rows)
    arrays = {f"{key}/{part}": getattr(r, part) for key, r in results.items() for part in ("t", "simulated", "predicted")}
    np.savez_compressed(out / f"{name}.npz", **arrays)  # type: ignore[arg-type]


def judge(results: Mapping[str, Result], text: str = "", *, also: bool = True) -> int:
    """The verdict: every deviation within the bound, those of exact batches close to 0 with the learning rate, and what `text` tells."""
    found = {key: result.deviations for key, result in results.items()}
    worst = max(found, key=lambda key: found[key][0])
    full, half, _ = found[worst]
    limits = [limit for key, (*_, limit) in found.items() if not results[key].sampled]
    told = f"largest deviation {full:.2%} of the largest eigenvalue ({worst}; {half:.2%} at half the learning rate), wanted <= {BOUND:.0%}"
    if limits:
        told += f"; {np.max(limits):.3%} where the rate goes to 0, wanted <= {LIMIT_BOUND:.1%}"
    passed = also and all(full <= BOUND for full, *_ in found.values()) and all(limit <= LIMIT_BOUND for limit in limits)
    return _script.verdict(passed, told + text)


def panels(height: float, x: str, y: str, **shared: Any) -> tuple[Figure, dict[str, Any]]:
    """A figure of eight panels, and the axis of each loss: the Euclidean losses above the cosine ones."""
    figure, axes = plt.subplots(2, 4, figsize=(2 * _script.COLUMN, height), sharey=True, **shared)
    for row, family in zip(axes, FAMILIES, strict=True):
        row[0].set_ylabel(f"{family.capitalize()}\n{y}")
        for axis, variant in zip(row, VARIANTS, strict=True):
            axis.set_title(variant.strip(", ") or "plain", fontsize=8)
    for axis in axes[1]:
        axis.set_xlabel(x)
    return figure, dict(zip((family + variant for family in FAMILIES for variant in VARIANTS), axes.flat, strict=True))


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
