"""Dimensional collapse under InfoNCE: singular values of linear networks of one and two layers vanish, or lag behind, as foretold.

Claim     On unnormalised embeddings dW/dt = W X with X the spread of the data less that of the augmentation. One layer: W(t) = W(0) e^{Xt}
          while X holds still, so as many singular values vanish as X has negative eigenvalues (augmentation stronger than the data).
          Two aligned layers under weak augmentation: ds1_k/dt = x_k s1_k s2_k^2 and the reverse, so small singular values lag behind
          large ones although no eigenvalue of X is negative. (Jing et al., 2022, arXiv 2110.09348.)
Command   python experiments/stepwise/infonce.py            (--quick: a quarter of the pairs, larger steps)
Expected  while X has moved by less than 2 %: every singular value within 5 % of theory, gradient descent by autodiff on actual networks.
          At the end as many singular values of the one layer have fallen below their start as X has negative eigenvalues.
          The noise is on x' alone: independent noise on both views is spread of the data too, and X is then positive at equal weights.
Measured  seed 0, 256 pairs, 16 inputs, float64, CPU: largest relative deviation 0.037 (one layer) and 0.032 (two); 8 of 16 eigenvalues of X
          are negative and 8 singular values fall, to 2e-5 and less; with two layers the largest grows 3.9 times, the smallest by 1 %.
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
from sslx import dynamics

N = 16  # inputs and embedding width; the augmentation acts on the second half of the inputs
STRONG, WEAK = 2.0, 0.5  # standard deviation of the augmentation noise; that of the data is 1
STILL = 0.02  # X is as good as fixed while it has moved by less than this fraction
BOUND = 0.05
MOMENTS = 200


class Run(NamedTuple):
    """Falling singular values of a network at the times t, simulated and predicted [T, N], and how far X has moved from its start [T]."""

    name: str
    t: np.ndarray
    simulated: np.ndarray
    predicted: np.ndarray
    moved: np.ndarray
    rates: np.ndarray

    @property
    def still(self) -> np.ndarray:
        """The moments until which X has moved by less than STILL."""
        return np.maximum.accumulate(self.moved) < STILL

    @property
    def deviation(self) -> float:
        """The largest relative distance between a singular value and its prediction while X is still."""
        return float(np.max(np.abs(self.simulated / self.predicted - 1)[self.still]))


def infonce(z_a: Array, z_b: Array) -> Array:
    """-sum_i ln softmax_i of -|z_i - z_j|^2/2 over j, with the positive z'_i in the place of z_i itself."""
    size = jnp.sum(z_a**2, axis=1)
    squared = size[:, None] + size - 2 * z_a @ z_a.T
    positive = jnp.sum((z_a - z_b) ** 2, axis=1)
    logits = -jnp.where(jnp.eye(len(z_a), dtype=bool), positive, squared) / 2
    return -jnp.sum(jnp.diagonal(jax.nn.log_softmax(logits, axis=1)))


def product(layers: tuple[Array, ...]) -> Array:
    """The weights of the whole linear network."""
    return layers[0] if len(layers) == 1 else layers[1] @ layers[0]


@partial(jax.jit, static_argnames="every")
def descend(layers: tuple[Array, ...], x_a: Array, x_b: Array, learning_rate: float, every: int) -> tuple[Array, Array]:
    """Plain gradient descent by autodiff on all layers: falling singular values of the product, and X, once in `every` steps."""

    def loss(layers: tuple[Array, ...]) -> Array:
        w = product(layers)
        return infonce(x_a @ w.T, x_b @ w.T)

    def step(_: Any, layers: tuple[Array, ...]) -> tuple[Array, ...]:
        return jax.tree.map(lambda w, g: w - learning_rate * g, layers, jax.grad(loss)(layers))

    def keep(layers: tuple[Array, ...], _: None) -> tuple[tuple[Array, ...], tuple[Array, Array]]:
        w = product(layers)
        kept = jnp.linalg.svd(w, compute_uv=False), dynamics.infonce_matrix(x_a, x_b, w)
        return jax.lax.fori_loop(0, every, step, layers), kept

    return jax.lax.scan(keep, layers, None, MOMENTS)[1]


def pairs(generator: np.random.Generator, n: int, noise: float) -> tuple[Array, Array]:
    """x ~ N(0, I) and x' = x + noise on the second half of the dimensions, [n, N]."""
    x = generator.normal(size=(n, N))
    shift = noise * generator.normal(size=(n, N)) * (np.arange(N) >= N // 2)
    return jnp.asarray(x), jnp.asarray(x + shift)


def moved(matrices: Array) -> np.ndarray:
    """||X(t) - X(0)||_F / ||X(0)||_F, [T]."""
    return np.asarray(jnp.linalg.norm(matrices - matrices[0], axis=(1, 2)) / jnp.linalg.norm(matrices[0]))


def one_layer(generator: np.random.Generator, n: int, step: float) -> Run:
    """A generic start of scale 1e-3 under strong augmentation, for 9 e-foldings of the fastest mode; `step` is learning_rate x_max."""
    x_a, x_b = pairs(generator, n, STRONG)
    w0 = jnp.asarray(1e-3 * generator.normal(size=(N, N)) / N**0.5)
    matrix = dynamics.infonce_matrix(x_a, x_b, w0)
    rates = np.linalg.eigvalsh(matrix)
    every = round(9 / step / MOMENTS)
    t = np.arange(MOMENTS) * every * step / rates[-1]
    simulated, matrices = descend((w0,), x_a, x_b, step / rates[-1], every)
    predicted = jnp.linalg.svd(dynamics.infonce_weights(t, w0, matrix), compute_uv=False)
    return Run("one layer, strong augmentation", t, np.asarray(simulated), np.asarray(predicted), moved(matrices), rates)


def two_layers(generator: np.random.Generator, n: int, step: float) -> Run:
    """Aligned layers with singular values from 0.2 down to 0.05 under weak augmentation, until 1.2 times the blow-up of theory."""
    x_a, x_b = pairs(generator, n, WEAK)
    s0 = np.geomspace(0.2, 0.05, N)
    u1, u2 = (np.linalg.qr(generator.normal(size=(N, N)))[0] for _ in range(2))
    v = np.linalg.eigh(dynamics.infonce_matrix(x_a, x_b, jnp.zeros((N, N))))[1][:, ::-1]
    layers = jnp.asarray((u1 * s0) @ v.T), jnp.asarray((u2 * s0) @ u1.T)
    rates = np.diag(v.T @ dynamics.infonce_matrix(x_a, x_b, product(layers)) @ v)
    end = 1.2 * float(np.min(1 / (2 * s0**2 * rates)))
    every = round(end * rates[0] / step / MOMENTS)
    t = np.arange(MOMENTS) * every * step / rates[0]
    simulated, matrices = descend(layers, x_a, x_b, step / rates[0], every)
    solution = dynamics.infonce_two_layer(rates).solution
    assert solution is not None  # for the type checker
    predicted = np.prod(solution(t, jnp.stack([s0, s0])), axis=1)
    return Run("two aligned layers, weak augmentation", t, np.asarray(simulated), -np.sort(-predicted), moved(matrices), rates)


def rows(run: Run) -> list[dict[str, Any]]:
    """One row per moment: how far X has moved, and every singular value beside its prediction."""
    columns = {"t": run.t, "moved": run.moved}
    for k in range(N):
        columns |= {f"simulated_{k + 1}": run.simulated[:, k], f"predicted_{k + 1}": run.predicted[:, k]}
    return [{"network": run.name, **{name: f"{values[i]:.6g}" for name, values in columns.items()}} for i in range(MOMENTS)]


def draw(file: Path, runs: list[Run]) -> None:
    """A panel per network: singular values over theory, grey where X no longer holds still."""
    figure, axes = plt.subplots(1, len(runs), figsize=(2 * _script.COLUMN, 2.7))
    for ax, run in zip(axes, runs, strict=True):
        colours = plt.get_cmap("viridis")(np.linspace(0, 0.9, N))
        for k in range(N):
            ax.semilogy(run.t, run.simulated[:, k], color=colours[k], label="gradient descent" if k == 0 else None)
            ax.semilogy(run.t, run.predicted[:, k], "--", color=_script.BLACK, linewidth=0.7, label="theory, $X$ fixed" if k == 0 else None)
        ax.axvspan(run.t[run.still][-1], run.t[-1], color="0.9", zorder=0, label=f"$X$ has moved by over {100 * STILL:.0f} %")
        ax.set(xlabel="time (learning rate $\\times$ steps)", xlim=(0, run.t[-1]))
        ax.set_ylim(run.simulated.min() / 1.5, run.simulated.max() * 2)
        ax.set_title(run.name, fontsize=8)
    axes[0].set_ylabel("singular values of the network")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=3)
    _script.write_png(file, figure)


def main() -> int:
    """Train, write, judge."""
    options = _script.arguments(__doc__, "stepwise/infonce")
    jax.config.update("jax_enable_x64", True)
    n, step = (64, 4e-3) if options.quick else (256, 2e-3)
    generator = np.random.default_rng(options.seed)
    one, two = one_layer(generator, n, step), two_layers(generator, n, 2 * step)
    _script.write_csv(options.out / "infonce.csv", rows(one) + rows(two))
    draw(options.out / "infonce.png", [one, two])
    negative, fallen = int(np.sum(one.rates < 0)), int(np.sum(one.simulated[-1] < one.simulated[0]))
    print(f"one layer: {negative} of {N} eigenvalues of X are negative, {fallen} singular values fell:")
    print("  ", " ".join(f"{s:.0e}" for s in one.simulated[-1]))
    growth = two.simulated[np.flatnonzero(two.still)[-1]] / two.simulated[0]
    print(f"two layers: until X moves the largest singular value grows {growth[0]:.1f} times, the smallest {growth[-1]:.2f} times")
    passed = max(one.deviation, two.deviation) <= BOUND and fallen == negative and min(two.rates) > 0
    text = f"largest relative deviation {one.deviation:.4f} (one layer) and {two.deviation:.4f} (two), wanted {BOUND}"
    return _script.verdict(passed, f"{text}; {fallen} singular values fell, {negative} foretold")


if __name__ == "__main__":
    sys.exit(main())
