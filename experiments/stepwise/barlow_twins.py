"""Stepwise learning: a linear network on the Barlow Twins loss learns one eigenmode after another, at times known beforehand.

Claim     Under ||C - I||_F^2, C the cross-correlation of z = W x over pairs of views, a small W(0) gains the eigenvectors of Gamma =
          sum_i (x_i x'_i^T + x'_i x_i^T)/(2n) one by one: mode j is half learned at tau_j = ln(1/(gamma_j s_j(0)^2) - 1)/(8 gamma_j),
          s_j(0) the singular values of an aligned W(0) or, of a generic one, the diagonal of R in W(0) V = Q R. With k modes learned
          the efficiency of C is k/d. (Simon et al., 2023, arXiv 2303.15438.)
Command   python experiments/stepwise/barlow_twins.py            (--quick: learning rate twice as large, fewer starts, no digits)
Expected  critical times within 3 % and plateaus k/d within 0.01 for starts of scale 1e-4 and eigenvalues 4, 2, 1, 1/2, aligned and
          generic. On views of the digits, whose eigenvalues lie closer than a factor 2, times and plateaus are printed and not judged.
Measured  seed 0, 20 generic starts, float64, CPU: times within 0.35 %, all of it the delay of gradient descent (2 learning_rate gamma_j,
          0.7 % at twice the learning rate, seeds 0-3); plateaus within 0.004. Digits: times within 0.35 % too; plateaus within 0.03.
"""

import sys
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from jax import Array

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import _script
from sslx import augment, data, dynamics, geometry

SCALE = 1e-4  # of W(0)
GAMMA = np.array([4.0, 2.0, 1.0, 0.5, 0.2, 0.1, -0.5, -1.0])
D = 4
D_DIGITS = 6
EVERY = 10  # steps between the moments of a run that are kept
TIME_BOUND, PLATEAU_BOUND = 0.03, 0.01


class Run(NamedTuple):
    """A trained network: eigenvalues of C [T, d] and loss [T] at the times t, and the aligned start s0 that theory gives it."""

    case: str
    start: int
    t: np.ndarray
    eigenvalues: np.ndarray
    loss: np.ndarray
    gamma: np.ndarray
    s0: np.ndarray

    @property
    def predicted(self) -> np.ndarray:
        """gamma_j s_j(t)^2, [T, d]."""
        solution = dynamics.barlow_twins(self.gamma).solution
        assert solution is not None  # for the type checker
        return np.asarray(self.gamma * solution(self.t, jnp.asarray(self.s0)) ** 2)

    @property
    def predicted_times(self) -> np.ndarray:
        """tau_j, [d]."""
        return np.asarray(dynamics.escape_time(dynamics.barlow_twins(self.gamma), self.s0))

    @property
    def measured_times(self) -> np.ndarray:
        """When the j-th largest eigenvalue of C first passes 1/2, [d]."""
        return np.array([crossing(self.t, lam) for lam in self.eigenvalues.T])

    @property
    def plateau_times(self) -> np.ndarray:
        """Between tau_k and tau_{k+1}, equally many widths 1/(8 gamma) of each step away from it; and the end, [d]."""
        weighted = self.gamma * self.predicted_times
        return np.append((weighted[:-1] + weighted[1:]) / (self.gamma[:-1] + self.gamma[1:]), self.t[-1])

    @property
    def efficiency(self) -> np.ndarray:
        """eta of C over time, [T]."""
        return np.asarray(jax.vmap(geometry.efficiency)(jnp.asarray(self.eigenvalues)))


def crossing(t: np.ndarray, lam: np.ndarray) -> float:
    """The first time at which lam passes 1/2, between two moments by a straight line; inf if it never does."""
    passed = np.flatnonzero(lam >= 0.5)
    if len(passed) == 0:
        return float("inf")
    i = max(int(passed[0]), 1)
    return float(np.interp(0.5, lam[i - 1 : i + 1], t[i - 1 : i + 1]))


def correlation(w: Array, x_a: Array, x_b: Array) -> Array:
    """C [d, d] of the embeddings of both views."""
    z_a, z_b = x_a @ w.T, x_b @ w.T
    return (z_a.T @ z_b + z_b.T @ z_a) / (2 * len(z_a))


@partial(jax.jit, static_argnames="moments")
def descend(w0: Array, x_a: Array, x_b: Array, learning_rate: float, moments: int) -> tuple[Array, Array]:
    """Plain gradient descent by autodiff: falling eigenvalues of C [moments, d] and the loss [moments], kept once in EVERY steps."""

    def loss(w: Array) -> Array:
        return jnp.sum((correlation(w, x_a, x_b) - jnp.eye(len(w))) ** 2)

    def keep(w: Array, _: None) -> tuple[Array, tuple[Array, Array]]:
        kept = jnp.linalg.eigvalsh(correlation(w, x_a, x_b))[::-1], loss(w)
        return jax.lax.fori_loop(0, EVERY, lambda _, w: w - learning_rate * jax.grad(loss)(w), w), kept

    return jax.lax.scan(keep, w0, None, moments)[1]


def train(case: str, starts: np.ndarray, x_a: Array, x_b: Array, step: float) -> list[Run]:
    """Networks from these starts until 1.2 times the last critical time; `step` is learning_rate gamma_1."""
    gamma_matrix = (x_a.T @ x_b + x_b.T @ x_a) / (2 * len(x_a))
    gamma = np.asarray(jnp.linalg.eigvalsh(gamma_matrix))[::-1][: len(starts[0])]
    s0 = [np.asarray(dynamics.barlow_twins_init(jnp.asarray(w), gamma_matrix)[0]) for w in starts]
    end = 1.2 * max(float(jnp.max(dynamics.escape_time(dynamics.barlow_twins(gamma), s))) for s in s0)
    interval = EVERY * step / gamma[0]
    t = interval * np.arange(np.ceil(end / interval))
    eigenvalues, loss = map(np.asarray, jax.vmap(lambda w: descend(w, x_a, x_b, step / gamma[0], len(t)))(jnp.asarray(starts)))
    return [Run(case, i, t, eigenvalues[i], loss[i], gamma, s0[i]) for i in range(len(starts))]


def exact_pairs(generator: np.random.Generator) -> tuple[Array, Array, np.ndarray]:
    """Pairs of noisy views whose Gamma has exactly the eigenvalues GAMMA, and its eigenvectors V [N, N]."""
    n = len(GAMMA)
    content, noise = np.split(np.linalg.qr(generator.normal(size=(3 * n, 2 * n)))[0] * np.sqrt(3 * n), 2, axis=1)
    v = np.linalg.qr(generator.normal(size=(n, n)))[0]
    x_a = content * np.sqrt(np.abs(GAMMA))
    x_b = np.sign(GAMMA) * x_a + 0.3 * noise
    return jnp.asarray(x_a @ v.T), jnp.asarray(x_b @ v.T), v


def digits_pairs(seed: int) -> tuple[Array, Array]:
    """Two views of every training image of the digits as vectors around their mean, [1437, 64]."""
    images = jnp.asarray(data.load("digits").train_images, jnp.float32) / 255
    views = jax.jit(partial(augment.make_views, views=augment.RECIPES["digits"]))(jax.random.key(seed), images, jnp.arange(len(images)))
    flat = views.reshape(2, len(images), -1).astype(jnp.float64)
    x_a, x_b = flat - jnp.mean(flat, axis=(0, 1))
    return x_a, x_b


def all_runs(seed: int, *, quick: bool) -> list[Run]:
    """One aligned and several generic starts on exact pairs, and a generic one on the digits."""
    starts, step = (4, 4e-3) if quick else (20, 2e-3)
    generator = np.random.default_rng(seed)
    x_a, x_b, v = exact_pairs(generator)
    u = np.linalg.qr(generator.normal(size=(D, D)))[0]
    aligned = SCALE * (u * generator.uniform(0.5, 1.5, D)) @ v[:, :D].T
    generic = SCALE * generator.normal(size=(starts, D, len(GAMMA)))
    trained = [*train("aligned", aligned[None], x_a, x_b, step), *train("generic", generic, x_a, x_b, step)]
    if not quick:
        y_a, y_b = digits_pairs(seed)
        trained += train("digits", SCALE * generator.normal(size=(1, D_DIGITS, y_a.shape[1])), y_a, y_b, step)
    return trained


def time_rows(run: Run) -> list[dict[str, Any]]:
    """One row per mode: eigenvalue, predicted and measured critical time; and the efficiency on the plateau that follows."""
    plateaus = np.interp(run.plateau_times, run.t, run.efficiency)
    return [
        {
            "case": run.case,
            "start": run.start,
            "mode": j + 1,
            "gamma": run.gamma[j],
            "s0": run.s0[j],
            "predicted": predicted,
            "measured": measured,
            "relative_error": measured / predicted - 1,
            "plateau": plateaus[j],
            "plateau_error": plateaus[j] - (j + 1) / len(run.gamma),
        }
        for j, (predicted, measured) in enumerate(zip(run.predicted_times, run.measured_times, strict=True))
    ]


def curve_rows(run: Run) -> list[dict[str, Any]]:
    """One row per moment, every tenth."""
    columns = {"t": run.t, "loss": run.loss, "efficiency": run.efficiency}
    for j in range(D_DIGITS):
        for name, values in (("eigenvalue", run.eigenvalues), ("predicted", run.predicted)):
            columns[f"{name}_{j + 1}"] = values[:, j] if j < values.shape[1] else np.full(len(run.t), np.nan)
    return [{"case": run.case, **{name: f"{values[i]:.6g}" for name, values in columns.items()}} for i in range(0, len(run.t), 10)]


def draw(file: Path, shown: list[Run]) -> None:
    """A column per case: eigenvalues of C over theory above, efficiency and its plateaus below."""
    figure, axes = plt.subplots(2, len(shown), figsize=(2 * _script.COLUMN, 3.5), sharex="col", sharey="row")
    colours = plt.get_cmap("viridis")(np.linspace(0, 0.9, max(len(run.gamma) for run in shown)))
    titles = {"aligned": "aligned start", "generic": "generic start", "digits": "views of the digits"}
    for (top, bottom), run in zip(axes.T, shown, strict=True):
        d = len(run.gamma)
        for j in range(d):
            top.plot(run.t, run.eigenvalues[:, j], color=colours[j], linewidth=2, label=f"mode {j + 1}")
            top.plot(run.t, run.predicted[:, j], "--", color=_script.BLACK, linewidth=0.8, label="theory" if j == d - 1 else None)
        for ax in (top, bottom):
            for j, tau in enumerate(run.predicted_times):
                name = "critical time $\\tau_j$ of theory" if j == d - 1 else None
                ax.axvline(tau, color="0.6", linewidth=0.7, linestyle=(0, (4, 3)), zorder=0, label=name)
        bottom.plot(run.t, run.efficiency, color=_script.BLUE)
        bottom.hlines(np.arange(1, d + 1) / d, 0, run.t[-1], color="0.7", linewidth=0.7, linestyle=":", zorder=0)
        bottom.set(xlabel="time (learning rate $\\times$ steps)", xlim=(0, run.t[-1]), ylim=(0, 1.05))
        top.set_title(titles[run.case], fontsize=8)
    axes[0, 0].set_ylabel("eigenvalues of $C$")
    axes[1, 0].set_ylabel("efficiency $\\eta$ of $C$")
    figure.legend(*axes[0, -1].get_legend_handles_labels(), loc="outside upper center", ncols=4)
    _script.write_png(file, figure)


def main() -> int:
    """Train, write, judge."""
    options = _script.arguments(__doc__, "stepwise/barlow_twins")
    jax.config.update("jax_enable_x64", True)
    trained = all_runs(options.seed, quick=options.quick)
    shown = [run for run in trained if run.start == 0]
    rows = [row for run in trained for row in time_rows(run)]
    _script.write_csv(options.out / "critical_times.csv", rows)
    _script.write_csv(options.out / "curves.csv", [row for run in shown for row in curve_rows(run)])
    draw(options.out / "barlow_twins.png", shown)
    for r in rows:
        if r["start"] == 0:
            times = f"tau {r['predicted']:7.3f} predicted, {r['measured']:7.3f} measured ({100 * r['relative_error']:+.2f} %)"
            print(f"{r['case']:8} mode {r['mode']}  gamma {r['gamma']:6.4f}  {times}  eta {r['plateau']:.4f} ({r['plateau_error']:+.4f})")
    errors = {run.case: max(abs(r["relative_error"]) for r in rows if r["case"] == run.case) for run in shown}
    plateau = max(abs(r["plateau_error"]) for r in rows if r["case"] != "digits")
    passed = max(errors["aligned"], errors["generic"]) <= TIME_BOUND and plateau <= PLATEAU_BOUND
    text = ", ".join(f"{100 * error:.2f} % ({case}{'' if case != 'digits' else ', not judged'})" for case, error in errors.items())
    return _script.verdict(
        passed, f"critical times off by at most {text}, wanted {100 * TIME_BOUND:.0f} %; plateaus by {plateau:.4f}, wanted {PLATEAU_BOUND}"
    )


if __name__ == "__main__":
    sys.exit(main())
