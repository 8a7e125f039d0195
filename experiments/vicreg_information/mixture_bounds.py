"""Bounds on the entropy of known Gaussian mixtures against Monte Carlo, from overlapping to well-separated components.

Claim     Every lower bound lies below and every upper bound above the entropy; the pairwise bounds meet it once the components separate,
          where they sit at their ceiling H(Z|C) + ln N; while the components overlap the single Gaussian is the better upper bound.
Command   python experiments/vicreg_information/mixture_bounds.py      (--quick: fewer mixtures and samples)
Expected  no bound on the wrong side by more than 4 standard errors on 50 random mixtures and along the path; lower and upper bound within
          0.01 nats of each other at both ends of the path.
          Reference: Kolchinsky and Tracey, 2017, arXiv 1706.02419.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from jax import Array

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import _script
from sslx import information

COMPONENTS, WIDTH = 30, 3
LOWER, UPPER = ("bhattacharyya", "elk"), ("kl", "huber", "gaussian", "diagonal")
Row = dict[str, float | str]


def mixtures(seed: int, count: int, points: int) -> Iterator[tuple[str, float, np.ndarray, np.ndarray]]:
    """(kind, spread, means, covariances): `count` random mixtures, then one mixture with its means scaled along a path."""
    generator = np.random.default_rng(seed)
    for _ in range(count):
        spread = generator.uniform(0.1, 6.0)
        yield "random", spread, *one_mixture(generator, spread)
    means, covs = one_mixture(generator, 1.0)
    for spread in np.geomspace(1e-2, 1e2, points):
        yield "path", spread, spread * means, np.tile(covs[0], (COMPONENTS, 1, 1))


def one_mixture(generator: np.random.Generator, spread: float) -> tuple[np.ndarray, np.ndarray]:
    """Gaussian means times `spread`, and covariances of unequal size."""
    roots = generator.normal(size=(COMPONENTS, WIDTH, WIDTH)) * generator.uniform(0.2, 1.0, (COMPONENTS, 1, 1))
    return spread * generator.normal(size=(COMPONENTS, WIDTH)), roots @ roots.transpose(0, 2, 1) + 0.05 * np.eye(WIDTH)


def monte_carlo(key: Array, means: Array, covs: Array, samples: int) -> tuple[Array, Array]:
    """-E log p of the mixture, and its standard error."""
    which, noise = jax.random.split(key)
    component = jax.random.randint(which, (samples,), 0, COMPONENTS)
    roots = jnp.linalg.cholesky(covs)
    z = means[component] + jnp.einsum("nij,nj->ni", roots[component], jax.random.normal(noise, (samples, WIDTH)))
    density = jax.vmap(lambda m, s: jax.scipy.stats.multivariate_normal.logpdf(z, m, s))
    log_p = jax.scipy.special.logsumexp(density(means, covs), axis=0) - jnp.log(COMPONENTS)
    return -jnp.mean(log_p), jnp.std(log_p) / samples**0.5


def measure(seed: int, count: int, points: int, samples: int) -> list[Row]:
    """One row per mixture: Monte Carlo, all bounds, and by how many standard errors the worst of them is on the wrong side."""
    bounds, truth = jax.jit(information.mixture_entropy), jax.jit(monte_carlo, static_argnames="samples")
    key = jax.random.key(seed)
    rows: list[Row] = []
    for i, (kind, spread, means, covs) in enumerate(mixtures(seed, count, points)):
        arrays = jnp.asarray(means), jnp.asarray(covs)
        terms = {name: float(value) for name, value in bounds(*arrays)._asdict().items()}
        entropy, error = map(float, truth(jax.random.fold_in(key, i), *arrays, samples=samples))
        wrong = max([terms[name] - entropy for name in LOWER] + [entropy - terms[name] for name in UPPER])
        rows.append({"kind": kind, "spread": spread, "monte_carlo": entropy, "standard_error": error, "wrong_side": wrong / error, **terms})
    return rows


def draw(path: Path, rows: list[Row]) -> None:
    """The path: every bound minus the Monte Carlo entropy."""
    figure, axis = plt.subplots(figsize=(_script.COLUMN, 2.6))
    spread, truth = (np.array([row[name] for row in rows]) for name in ("spread", "monte_carlo"))
    for name in (*LOWER, *UPPER):
        axis.semilogx(spread, np.array([row[name] for row in rows]) - truth, "-" if name in UPPER else "--", label=name)
    error = 4 * np.array([row["standard_error"] for row in rows])
    axis.fill_between(spread, -error, error, color="0.8", label="4 standard errors")
    axis.set(xlabel="spread of the means", ylabel="bound $-$ entropy (nats)", ylim=(-0.7, 2.5))
    axis.legend(fontsize=6)
    _script.write_png(path, figure)


def main() -> int:
    """Measure, files, verdict."""
    options = _script.arguments(__doc__, "vicreg_information/mixture_bounds")
    rows = measure(options.seed, *((10, 9, 4000) if options.quick else (50, 41, 100_000)))
    _script.write_csv(options.out / "mixture_bounds.csv", rows)
    along = [row for row in rows if row["kind"] == "path"]
    draw(options.out / "mixture_bounds.png", along)
    worst = max(float(row["wrong_side"]) for row in rows)
    ends = max(abs(float(row["upper"]) - float(row["lower"])) for row in (along[0], along[-1]))
    text = f"worst bound {worst:.1f} standard errors on the wrong side (wanted < 4), bracket at the ends {ends:.4f} nats (wanted < 0.01)"
    return _script.verdict(worst < 4 and ends < 0.01, text)


if __name__ == "__main__":
    sys.exit(main())
