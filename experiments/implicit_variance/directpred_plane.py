"""A linear predictor trained with the encoder: the plane of (p, s), its basin of collapse, and the branch that bounds it.

Claim     Every mode keeps s - p^2 = c e^{-2 eta t} and so ends on the parabola s = p^2, where p_- = (1 - sqrt(1 - 4 eta))/2 repels: starts
          on the far side of its stable manifold collapse, the others reach p_+; above eta = 1/4 all collapse.
Command   python experiments/implicit_variance/directpred_plane.py      (--quick: fewer steps and decays)
Expected  p and s of the trained network within 2 % of the largest at learning rate 0.01, and within 0.2 % as it goes to 0; every mode that
          starts on the parabola within 0.01 of the fixed point of its side of p_-; of modes that start with s 3 % below and above the edge
          drawn, the stable manifold at eta = 0.2, the first collapse and the others do not. Equal learning rates of predictor and encoder,
          no target average, no noise. Setting of Tian, Chen, Ganguli (2021), arXiv 2102.06810.
Measured  Seed 2, 2 CPU cores, jax 0.10.2: p and s within 0.07 % of the largest (0.04 % at half the learning rate, 2e-6 as it goes to 0) at
          eta = 0.2; at 13 decays from 0.05 to 0.35 all 91 modes end within 0.0032 of the predicted fixed point (at eta = 1/4 exactly it is
          only approached as 1/t); all 44 modes beside the edge end on their side of it.
"""

import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from jax.typing import ArrayLike

sys.path.insert(0, str(Path(__file__).resolve().parent))
import _toy
from _toy import Case, Result, _script

from sslx import dynamics, losses
from sslx.dynamics._simulate import exact_batch

ETA = 0.2
LEARNING_RATE = 0.01
STARTS = np.array(
    [[0.03, 0.35], [0.1, 0.5], [0.3, 0.75], [0.6, 0.85], [1.0, 0.7], [1.0, 0.2], [0.6, 0.03], [0.35, 0.02], [0.05, 0.1], [0.02, 0.2]]
)


def train(starts: np.ndarray, eta: ArrayLike, learning_rate: float, steps: int, seed: int) -> jax.Array:
    """Gradient descent on W and W_p that share their modes, from one (p, s) per mode: [steps + 1, 2, M]."""
    modes = len(starts)
    x, _, _ = exact_batch(jax.random.key(seed), modes, jnp.float64)
    u, v = (np.linalg.qr(np.random.default_rng(seed + i).normal(size=(modes, modes)))[0] for i in (0, 1))
    weights = u * starts[:, 0] @ u.T, u * np.sqrt(starts[:, 1]) @ v.T

    def objective(weights):
        w_p, w = weights
        z = x @ w.T
        return losses.euclidean(z @ w_p.T, z)[0] / 2

    def step(weights):
        gradient = jax.grad(objective)(weights)
        return jax.tree.map(lambda w, g: w - learning_rate * (g + eta * w), weights, gradient)

    w_p, w = _toy.descend(step, weights, steps)
    return jnp.stack([jnp.einsum("nm,tnk,km->tm", u, w_p, u), jnp.sum((u.T @ w) ** 2, axis=2)], axis=1)


def compare(starts: np.ndarray, eta: float, steps: int, seed: int) -> Result:
    """(p, s) of the network and of the flow, [T, 2 M]."""
    t = LEARNING_RATE * np.arange(steps + 1)
    theory = _toy.predict(dynamics.directpred(weight_decay=eta), t, starts.T)
    full, half = (np.asarray(train(starts, eta, LEARNING_RATE / k, k * steps, seed)[::k]) for k in (1, 2))
    full, half, theory = (path.reshape(steps + 1, -1) for path in (full, half, theory))
    return Result(t, full, half, theory)


def boundary(eta: float) -> np.ndarray:
    """The stable manifold of (p_-, p_-^2), both halves from there, within the plane drawn: [points, 2]. Backward in time it attracts."""
    flow = dynamics.directpred(weight_decay=eta)
    saddle = jnp.asarray([_toy.levels(eta)[0], _toy.levels(eta)[0] ** 2])
    rates, directions = np.linalg.eig(np.asarray(jax.jacfwd(lambda x: flow.velocity(x[:, None])[:, 0])(saddle)))
    away = 1e-5 * np.real(directions[:, np.argmin(rates)])
    backward = dynamics.EigenFlow(lambda x: -flow.velocity(x) / (1 + jnp.linalg.norm(flow.velocity(x))))
    halves = [_toy.predict(backward, np.linspace(0, 70, 400), np.asarray(saddle + sign * away)[:, None])[..., 0] for sign in (1, -1)]
    edge = np.concatenate([halves[0][::-1], halves[1]])
    edge = edge[np.argsort(edge[:, 0])]
    return edge[(edge > -0.01).all(axis=1) & (edge < 1.25).all(axis=1)]


def astray(edge: np.ndarray, seed: int) -> tuple[int, int]:
    """Of modes that start with s 3 % below and 3 % above the edge [points, 2], how many end on the other side; and how many there are."""
    p, sides = np.linspace(0.05, 1.1, 22), np.array([0.97, 1.03])
    starts = np.stack(np.broadcast_arrays(p, sides[:, None] * np.interp(p, *edge.T)), axis=-1)
    ends = np.asarray(train(starts.reshape(-1, 2), ETA, LEARNING_RATE, 8000, seed)[-1, 0]).reshape(2, -1)
    return int(np.sum((ends > _toy.levels(ETA)[0]) != (sides > 1)[:, None])), ends.size


def draw_plane(axis, result: Result, edge: np.ndarray) -> None:
    """Stream lines, the parabola, the edge of the basin, and the trained modes."""
    p, s = np.meshgrid(np.linspace(0, 1.2, 60), np.linspace(0, 1.2, 60))
    field = np.asarray(dynamics.directpred(weight_decay=ETA).velocity(jnp.asarray(np.stack([p, s], axis=-2))))
    axis.streamplot(p, s, field[:, 0], field[:, 1], color="0.82", linewidth=0.5, arrowsize=0.5, density=1.1)
    line = np.linspace(0, 1.1, 200)
    axis.plot(line, line**2, color=_script.GREEN, linewidth=1.0, label="$s = p^2$")
    axis.plot(*edge.T, color=_script.RED, linewidth=1.2, label="edge of the basin of collapse")
    modes = len(STARTS)
    for m in range(modes):
        alive = result.predicted[-1, m] > _toy.levels(ETA)[0]
        colour = _script.BLUE if alive else _script.ORANGE
        axis.plot(result.simulated[:, m], result.simulated[:, modes + m], color=colour, linewidth=1.5)
        axis.plot(result.predicted[:, m], result.predicted[:, modes + m], color="black", linewidth=0.6, dashes=(4, 3))
        axis.plot(*STARTS[m], "o", color="white", markeredgecolor="black", markeredgewidth=0.5, markersize=3)
    low, high = _toy.levels(ETA)
    axis.plot([0, high], [0, high**2], "o", color="black", markersize=4.5, clip_on=False, zorder=5)
    axis.plot(low, low**2, "o", color="white", markeredgecolor="black", markersize=4.5, zorder=5)
    axis.set(xlabel="predictor $p$", ylabel="encoder $s$", xlim=(0, 1.1), ylim=(0, 1.0), title=f"weight decay $\\eta$ = {ETA:g}")


def sweep(seed: int, quick: bool) -> dict[float, np.ndarray]:
    """Where modes on the parabola end, by eta: rows (start, end) of p."""
    starts = np.array([0.05, 0.15, 0.3, 0.45, 0.55, 0.8, 1.1])
    parabola, etas = np.stack([starts, starts**2], axis=1), np.linspace(0.05, 0.35, 3 if quick else 13).round(4)
    ends = jax.vmap(lambda eta: train(parabola, eta, 0.1, 1500 if quick else 6000, seed)[-1, 0])(jnp.asarray(etas))
    return {float(eta): np.stack([starts, end]) for eta, end in zip(etas, np.asarray(ends), strict=True)}


def expected_end(eta: float, start: np.ndarray) -> np.ndarray:
    """p_+ above p_-, else 0."""
    if eta > 0.25:
        return np.zeros_like(start)
    low, high = _toy.levels(eta)
    return np.where(start > low, high, 0.0)


def draw_branches(axis, ends: dict[float, np.ndarray]) -> None:
    """p_+ and p_- over eta, and where the modes of each network began and ended."""
    eta = np.linspace(0, 0.25, 300)
    low, high = _toy.levels(eta)
    axis.plot(eta, high, color="black", linewidth=0.9, label="$p_+$, stable")
    axis.plot(eta, low, color="black", linewidth=0.9, linestyle=":", label="$p_-$, unstable")
    for e, (start, end) in ends.items():
        alive = end > 0.05
        for chosen, colour in ((alive, _script.BLUE), (~alive, _script.ORANGE)):
            axis.plot(
                np.full(chosen.sum(), e), start[chosen], "o", color="white", markeredgecolor=colour, markeredgewidth=0.7, markersize=3
            )
        axis.plot(np.full(len(end), e), end, "o", color="black", markersize=2.5, clip_on=False)
    axis.axvline(0.25, color=_script.RED, linewidth=0.9, linestyle=":")
    axis.set(
        xlabel="weight decay $\\eta$",
        ylabel="predictor $p$: start (open), end (black)",
        xlim=(0, 0.37),
        ylim=(-0.03, 1.4),
        title="starts that live and that die",
    )
    axis.legend(fontsize=6, loc="upper right")


def main() -> int:
    """Train, predict, draw, judge."""
    options = _script.arguments(__doc__, "implicit_variance/directpred_plane", seed=_toy.SEED)
    steps = 2000 if options.quick else 6000
    result = compare(STARTS, ETA, steps, options.seed)
    results = {"p and s": result}
    _toy.write(options.out, "directpred_plane", {"p and s": Case("euclidean", STARTS, LEARNING_RATE, steps)}, results)
    ends = sweep(options.seed, options.quick)
    _script.write_csv(
        options.out / "directpred_branches.csv",
        [
            {"eta": eta, "start": f"{a:.3f}", "end": f"{b:.5f}", "expected": f"{c:.5f}"}
            for eta, (start, end) in ends.items()
            for a, b, c in zip(start, end, expected_end(eta, start), strict=True)
        ],
    )
    figure, axes = plt.subplots(1, 2, figsize=(2 * _script.COLUMN, 3.0))
    edge = boundary(ETA)
    draw_plane(axes[0], result, edge)
    draw_branches(axes[1], ends)
    axes[0].legend(fontsize=6, loc="upper left", frameon=True, facecolor="white", edgecolor="none", framealpha=0.9)
    _script.write_png(options.out / "directpred_plane.png", figure)
    wrong = max(float(np.max(np.abs(end - expected_end(eta, start)))) for eta, (start, end) in ends.items())
    lost, starts = astray(edge, options.seed)
    text = f"; end states over the sweep within {wrong:.1e} of theirs (wanted <= 0.01); {lost} of {starts} starts beside the edge astray"
    return _toy.judge(results, text, also=wrong <= 0.01 and lost == 0)


if __name__ == "__main__":
    sys.exit(main())
