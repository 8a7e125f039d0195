"""A trained convnet on the digits beside the flows of the linear theory: what of them shows in the spectrum of its embedding.

Claim     DirectPred and IsoLoss, cosine and Euclidean, on a linear network: modes keep their order, their sizes draw level (the effective
          rank rises), and under IsoLoss small ones are recruited sooner. (Halvagal, Laborieux, Zenke, 2023, arXiv 2212.04858.)
          Here the same losses train a small convnet by stochastic gradient descent, all at one learning rate and without a target
          network, then the cosine IsoLoss with one; the eigenvalues are those of the uncentred correlation that makes the predictor.
Command   python experiments/implicit_variance/convnet.py            (--quick: the Euclidean losses, 30 steps, one seed)
Expected  Judged: in all five seeds (--seed and the four after it) modes draw level under Euclidean DirectPred, and keep their order, with
          rank correlation above 0.9, under cosine DirectPred; all spectra are finite. Every other claim is printed per loss: it shows in
          all seeds, in some, or in none.
Measured  seeds 0-4, 300 steps, learning rate 1e-3 with momentum 0.9, convnet 16-32-64, projector 128-32, 2 CPU cores, jax 0.10.2; mean
          +- std over seeds. Both judged claims hold.
          That IsoLoss recruits modes sooner does NOT show. Euclidean: the reverse, effective rank 12.3 +- 1.8 at the start, at the end
          24.8 +- 0.4 under DirectPred and 17.3 +- 1.3 under IsoLoss; cosine: 5.5 +- 0.2 under both (IsoLoss 0.45 +- 0.09 behind before).
          That modes draw level shows under both Euclidean losses in all seeds, and under no cosine one: there the largest mode grows three
          times and leaves the others behind. Modes keep their order under cosine DirectPred (rank correlation 0.98 +- 0.01), less so under
          cosine IsoLoss (0.84 +- 0.04), Euclidean DirectPred (0.83 +- 0.05) and Euclidean IsoLoss (0.67 +- 0.10).
          A target network changes little (cosine IsoLoss: effective rank 5.3 +- 0.3, order 0.97 +- 0.00).
          At a learning rate of 1e-2 (seed 0) Euclidean IsoLoss is infinite within 52 steps, Euclidean DirectPred is not.
"""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from jax import Array

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import _script
from sslx import augment, data, dynamics, geometry, methods, models, train

LEARNING_RATE = 1e-3
BATCH = 128
WIDTHS, HIDDEN, D = (16, 32, 64), 128, 32
ALPHA = 0.5
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "Euclidean": ("directpred", {"distance": "euclidean", "target": "none"}),
    "Euclidean IsoLoss": ("isoloss", {"distance": "euclidean", "target": "none"}),
    "cosine": ("directpred", {"distance": "cosine", "target": "none"}),
    "cosine IsoLoss": ("isoloss", {"distance": "cosine", "target": "none"}),
    "cosine IsoLoss, target network": ("isoloss", {"distance": "cosine", "target": "ema", "decay": 0.5}),
}
COLOURS = dict(zip(VARIANTS, (_script.BLUE, _script.SKY, _script.RED, _script.ORANGE, _script.BLACK), strict=True))
PAIRS = (("Euclidean", "Euclidean IsoLoss"), ("cosine", "cosine IsoLoss"), ("cosine IsoLoss", "cosine IsoLoss, target network"))


def recorded(steps: int) -> np.ndarray:
    """About 40 steps, evenly spread on a logarithmic axis, the first and the last among them."""
    return np.unique(np.geomspace(1, steps, 40).round().astype(int))


def train_variant(variant: str, seeds: range, steps: int) -> np.ndarray:
    """The correlation of the embedding after each recorded step of every seed, [seeds, T, D, D]."""
    name, settings = VARIANTS[variant]
    method = methods.build(name, alpha=ALPHA, **settings)
    optimizer = train.optimizer("sgd", LEARNING_RATE)
    network = train.Network(models.ConvNet(WIDTHS), models.Head(HIDDEN, D))
    digits = data.load("digits")
    step = jax.jit(train.make_step(network, method, optimizer, augment.RECIPES["digits"], total_steps=steps))
    wanted, kept = set(recorded(steps).tolist()), []
    for seed in seeds:
        init_key, run_key = jax.random.split(jax.random.key(seed))
        variables = train.init(network, init_key, jnp.zeros((2, 8, 8, 1)))
        state = train.create_state(run_key, variables, optimizer, method.init_state(D), has_target=method.target == "ema")
        stream = train.batches(digits.train_images, digits.train_labels, BATCH, seed=seed)
        for n in range(1, steps + 1):
            state, _ = step(state, train.Batch(*map(jnp.asarray, next(stream))))
            if n in wanted:
                kept.append(np.asarray(state.method_state, np.float64))
        print(f"{variant}, seed {seed}: trained", flush=True)
    return np.stack(kept).reshape(len(seeds), -1, D, D)


def spectrum(correlations: np.ndarray) -> np.ndarray:
    """Falling eigenvalues over the largest, [..., D]."""
    eigenvalues = np.maximum(np.linalg.eigvalsh(correlations)[..., ::-1], 0)
    return eigenvalues / eigenvalues[..., :1]


def effective_rank(eigenvalues: np.ndarray) -> np.ndarray:
    """The exponential of the entropy of a spectrum, [...]."""
    flat = jnp.asarray(eigenvalues.reshape(-1, eigenvalues.shape[-1]))
    return np.asarray(jax.vmap(partial(geometry.effective_dimension, kind="entropy"))(flat)).reshape(eigenvalues.shape[:-1])


def order_kept(correlations: np.ndarray) -> np.ndarray:
    """Spearman's rank correlation of the sizes v_j^T C v_j along the first eigenvectors v_j with what they were at the start, [T]."""
    _, v = np.linalg.eigh(correlations[0])
    sizes = np.einsum("ij,tik,kj->tj", v, correlations, v)
    ranks = np.argsort(np.argsort(sizes, axis=1), axis=1)
    return np.array([np.corrcoef(ranks[0], r)[0, 1] for r in ranks])


def measures(correlations: np.ndarray) -> dict[str, np.ndarray]:
    """Effective rank, modes above a tenth of the largest, rank correlation of their order with the first, and scale, each [seeds, T]."""
    shares = spectrum(correlations)
    return {
        "largest": np.linalg.eigvalsh(correlations)[..., -1],
        "effective rank": effective_rank(shares),
        "modes recruited": np.sum(shares > 0.1, axis=-1),
        "order kept": np.stack([order_kept(c) for c in correlations]),
    }


def euclidean_spectra(first: np.ndarray, t: np.ndarray) -> dict[str, np.ndarray]:
    """Eigenvalues over the largest [T, D] that the Euclidean flows make of the first spectrum, by their lam = (c/c_max)^alpha."""
    lam0 = jnp.asarray(first**ALPHA)
    spectra = {}
    for name, flow in (("Euclidean", dynamics.euclidean_normalised), ("Euclidean IsoLoss", dynamics.iso_euclidean_normalised)):
        solution = flow(alpha=ALPHA).solution
        assert solution is not None  # for the type checker
        spectra[name] = np.asarray(solution(t, lam0)) ** (1 / ALPHA)
    return spectra


def cosine_spectra(first: np.ndarray, t: np.ndarray) -> dict[str, np.ndarray]:
    """The same for the cosine flows, to about a per cent; the normalisation of the predictor only sets their clock."""
    spectra = {}
    cosine, iso_cosine = (flow(alpha=ALPHA, nodes=20) for flow in (dynamics.cosine, dynamics.iso_cosine))
    for name, flow in (("cosine", cosine), ("cosine IsoLoss", with_own_clock(iso_cosine))):
        s = np.asarray(dynamics.integrate(flow, t, jnp.asarray(first), rtol=1e-3))
        spectra[name] = s / s.max(axis=1, keepdims=True)
    return spectra


def with_own_clock(flow: dynamics.EigenFlow) -> dynamics.EigenFlow:
    """The flow under a predictor that is divided by its largest eigenvalue."""
    velocity: Callable[[Array], Array] = lambda s: flow.velocity(s / jnp.max(s))  # noqa: E731
    return dynamics.EigenFlow(velocity)


def rows(results: dict[str, dict[str, np.ndarray]], seeds: range, steps: np.ndarray) -> list[dict[str, Any]]:
    """One row per variant, seed and step."""
    return [
        {"variant": variant, "seed": seed, "step": int(n), **{name: f"{values[k, i]:.5g}" for name, values in numbers.items()}}
        for variant, numbers in results.items()
        for k, seed in enumerate(seeds)
        for i, n in enumerate(steps)
    ]


def draw_spectra(file: Path, trained: dict[str, np.ndarray], steps: np.ndarray, flows: dict[str, np.ndarray], t: np.ndarray) -> None:
    """A column per loss: eigenvalues of one trained network above, what the flow makes of its first spectrum below."""
    figure, axes = plt.subplots(2, len(flows), figsize=(2 * _script.COLUMN, 3.2), sharey=True, sharex="row")
    colours = plt.get_cmap("viridis")(np.linspace(0, 0.9, D))
    for (top, bottom), variant in zip(axes.T, flows, strict=True):
        for ax, x, y in ((top, steps, spectrum(trained[variant][0])), (bottom, t, flows[variant])):
            for m in range(0, D, 2):
                ax.loglog(x, y[:, m], color=colours[m], linewidth=0.9)
            ax.set(ylim=(1e-3, 1.5), xlim=(x[0], x[-1]))
        top.set_title(variant, fontsize=8)
        top.set_xlabel("step")
        bottom.set_xlabel("time of the flow")
    axes[0, 0].set_ylabel("trained convnet:\neigenvalue / largest")
    axes[1, 0].set_ylabel("flow of its start:\neigenvalue / largest")
    _script.write_png(file, figure)


def draw_numbers(file: Path, results: dict[str, dict[str, np.ndarray]], steps: np.ndarray) -> None:
    """Effective rank, modes recruited and order over the steps: mean over seeds and one standard deviation."""
    figure, axes = plt.subplots(1, 3, figsize=(2 * _script.COLUMN, 2.4))
    labels = {
        "effective rank": "effective rank",
        "modes recruited": "eigenvalues > largest / 10",
        "order kept": "rank correlation of\nthe modes' order",
    }
    for ax, (name, label) in zip(axes, labels.items(), strict=True):
        for variant, numbers in results.items():
            mean, spread = numbers[name].mean(axis=0), numbers[name].std(axis=0)
            style = "--" if "target" in variant else "-"
            ax.semilogx(steps, mean, style, color=COLOURS[variant], label=variant)
            ax.fill_between(steps, mean - spread, mean + spread, color=COLOURS[variant], alpha=0.15, linewidth=0)
        ax.set(xlabel="step", ylabel=label, xlim=(1, steps[-1]))
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=3)
    _script.write_png(file, figure)


def say(claim: str, seeds: np.ndarray) -> None:
    """A claim and in how many seeds it shows."""
    count, n = int(np.sum(seeds)), len(seeds)
    where = (
        f"shows in all {n} seeds"
        if count == n
        else f"does NOT show in any of {n} seeds"
        if count == 0
        else f"shows in {count} of {n} seeds"
    )
    print(f"  {claim}: {where}")


def tell(results: dict[str, dict[str, np.ndarray]], steps: np.ndarray) -> None:
    """Print the numbers at five steps, then every claim with the number of seeds in which it shows."""
    for variant, numbers in results.items():
        print(variant)
        for name, values in numbers.items():
            shown = [np.argmin(np.abs(steps - n)) for n in np.geomspace(1, steps[-1], 5)]
            print(f"  {name:16}", "  ".join(f"step {steps[i]}: {values[:, i].mean():.2f} +- {values[:, i].std():.2f}" for i in shown))
        say("modes draw level (effective rank at the end above that at the start)", values_rise(numbers["effective rank"]))
        say("modes keep their order (rank correlation at the end above 0.9)", numbers["order kept"][:, -1] > 0.9)
    for plain, other in PAIRS:
        if other not in results:
            continue
        for name in ("effective rank", "modes recruited"):
            lead = np.mean(results[other][name] - results[plain][name], axis=1)
            say(f"{other} ahead of {plain} in {name} (mean over the recorded steps {lead.mean():+.2f} +- {lead.std():.2f})", lead > 0)


def values_rise(values: np.ndarray) -> np.ndarray:
    """Whether the last of the values [seeds, T] is above the first."""
    return values[:, -1] > values[:, 0]


def judge(results: dict[str, dict[str, np.ndarray]]) -> int:
    """The verdict: what shows in all seeds."""
    held = {"Euclidean modes draw level": bool(np.all(values_rise(results["Euclidean"]["effective rank"])))}
    if "cosine" in results:
        held["cosine modes keep their order"] = bool(np.all(results["cosine"]["order kept"][:, -1] > 0.9))
    told = (f"{claim}: {'in all seeds' if holds else 'NOT in all seeds'}" for claim, holds in held.items())
    return _script.verdict(all(held.values()), "; ".join(told))


def main() -> int:
    """Train, write, judge."""
    options = _script.arguments(__doc__, "implicit_variance/convnet")
    count, total = (1, 30) if options.quick else (5, 300)
    seeds = range(options.seed, options.seed + count)
    steps, t = recorded(total), np.geomspace(0.01, 100, 60)
    trained = {variant: train_variant(variant, seeds, total) for variant in list(VARIANTS)[: 2 if options.quick else None]}
    infinite = [variant for variant, correlations in trained.items() if not np.all(np.isfinite(correlations))]
    if infinite:
        return _script.verdict(False, f"not finite: {', '.join(infinite)}")
    first = spectrum(trained["Euclidean"][0, 0])
    flows = euclidean_spectra(first, t) | ({} if options.quick else cosine_spectra(first, t))
    results = {variant: measures(correlations) for variant, correlations in trained.items()}
    _script.write_csv(options.out / "convnet.csv", rows(results, seeds, steps))
    draw_spectra(options.out / "convnet_spectra.png", trained, steps, flows, t)
    draw_numbers(options.out / "convnet.png", results, steps)
    tell(results, steps)
    return judge(results)


if __name__ == "__main__":
    sys.exit(main())
