"""All moment-based spectral metrics in one streaming pass, against singular values of all features at once.

Claim     For n = 50,000 features of width d = 2048 one float64 pass over batches is at least 5 times faster on a CPU than the faster of
          NumPy's float32 and float64 SVD (and PyTorch's, where it is installed), in O(d^2) memory, and equal to the float64 SVD to 1e-5.
Command   python experiments/benchmarks/geometry.py
          --quick takes n = 4,000, d = 256: too small for a time to mean anything, so only the agreement is judged.
Expected  speed-up > 5; largest relative difference < 1e-5; extra memory a few d^2 numbers and a batch, instead of n d. A second sweep shows
          where a Gram matrix stops: the condition number is lost beyond s_1/s_d of about 1e7 in float64 and 1e3 in float32, and wrong by
          u (s_1/s_d)^2 before, while the participation ratio and, to 1 %, RankMe hold for any spectrum.
"""

import resource
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import _script
from sslx import geometry

BATCH = 5000
NAMES = ("rankme", "effective_rank", "stable_rank", "participation_ratio", "nesum", "alpha_req", "condition_number")


def make_features(seed: int, n: int, d: int, decay: float = 0.5) -> np.ndarray:
    """float32 features [n, d] whose singular values fall as k^-decay, with a mean; made in batches, so that nothing larger is ever held."""
    generator = np.random.default_rng(seed)
    rotation = np.linalg.qr(generator.normal(size=(d, d)))[0] * np.arange(1, d + 1)[:, None] ** -decay
    z = np.empty((n, d), np.float32)
    for start in range(0, n, BATCH):
        block = z[start : start + BATCH]
        block[:] = generator.normal(size=block.shape) @ rotation + 0.02
    return z


def batches(z: np.ndarray) -> Iterator[np.ndarray]:
    """The rows of z, BATCH at a time."""
    return (z[start : start + BATCH] for start in range(0, len(z), BATCH))


def from_singular_values(z: np.ndarray, singular_values: Callable[[np.ndarray], np.ndarray]) -> dict[str, float]:
    """The metrics, in NumPy, from two SVDs of all features: as they are, and centred."""
    s, centred = singular_values(z), singular_values(z - z.mean(axis=0))
    p, l = s / s.sum(), (centred / centred[0]) ** 2
    k = np.arange(4, min(100, len(l)) + 1)
    return {
        "rankme": np.exp(-np.sum((p + 1e-7) * np.log(p + 1e-7))),
        "effective_rank": np.exp(-np.sum(p * np.log(p))),
        "stable_rank": np.sum(s**2) / s[0] ** 2,
        "participation_ratio": l.sum() ** 2 / np.sum(l**2),
        "nesum": l.sum(),
        "alpha_req": np.polyfit(-np.log(k), np.log(l[k - 1]), 1, w=k**-0.5)[0],
        "condition_number": 1 / l[-1],
    }


def streamed(z: np.ndarray) -> dict[str, float]:
    """The metrics from float64 moments on the host, and self-clustering, which the SVD routes are spared."""
    metrics, self_cluster = geometry.stream_metrics(batches(z))
    return {name: float(getattr(metrics, name)) for name in NAMES} | {"self_cluster": float(self_cluster)}


def torch_singular_values() -> Callable[[np.ndarray], np.ndarray] | None:
    """torch.linalg.svdvals, or None where PyTorch is not installed."""
    try:
        import torch  # pyright: ignore[reportMissingImports]
    except ImportError:
        return None
    return lambda z: torch.linalg.svdvals(torch.from_numpy(z)).numpy()


def timed(route: Callable[[np.ndarray], dict[str, float]], z: np.ndarray) -> tuple[dict[str, float], float, float]:
    """(metrics, seconds, growth of the peak resident memory in MiB)."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    metrics = route(z)
    seconds = time.perf_counter() - start
    return metrics, seconds, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


def race(z: np.ndarray) -> tuple[dict[str, tuple[float, float]], dict[str, float]]:
    """({route: (seconds, MiB)}, {metric: relative difference from the float64 SVD}); the lightest on memory first, so that peaks show."""
    routes: dict[str, Callable[[np.ndarray], dict[str, float]]] = {
        "streamed moments, float64": streamed,
        "NumPy SVD, float32": lambda z: from_singular_values(z, lambda z: np.linalg.svd(z, compute_uv=False)),
        "NumPy SVD, float64": lambda z: from_singular_values(z.astype(np.float64), lambda z: np.linalg.svd(z, compute_uv=False)),
    }
    if torch_values := torch_singular_values():
        routes["PyTorch SVD, float32"] = lambda z: from_singular_values(z, torch_values)
    streamed(z[:BATCH])  # compile the few jax functions involved
    results = {name: timed(route, z) for name, route in routes.items()}
    found, exact = results["streamed moments, float64"][0], results["NumPy SVD, float64"][0]
    costs = {name: (seconds, memory) for name, (_, seconds, memory) in results.items()}
    return costs, {name: abs(found[name] / exact[name] - 1) for name in NAMES}


def where_a_gram_matrix_stops(seed: int) -> list[dict[str, float]]:
    """Relative errors of moments in float64 and float32 against s_1/s_d, the spectrum geometric and exact by construction."""
    n, d = 400, 64
    generator = np.random.default_rng(seed)
    u = np.linalg.qr(np.c_[np.ones(n), generator.normal(size=(n, d))])[0][:, 1:]
    v = np.linalg.qr(generator.normal(size=(d, d)))[0]
    device_metrics = jax.jit(lambda z: geometry.moment_metrics(geometry.update_moments(geometry.init_moments(d), z)))
    rows = []
    for exponent in np.arange(0.5, 10.1, 0.5):
        s = 10 ** (-exponent * np.arange(d) / (d - 1))
        z, p = u * s @ v, s / s.sum()
        host = geometry.moment_metrics(geometry.update_moments(geometry.init_host_moments(d), z))
        exact = {
            "rankme": np.exp(-np.sum((p + 1e-7) * np.log(p + 1e-7))),
            "participation_ratio": np.sum(s**2) ** 2 / np.sum(s**4),
            "condition_number": 10 ** (2 * exponent),
        }
        row = {"s_1/s_d": 10**exponent}
        for precision, metrics in (("float64", host), ("float32", device_metrics(jnp.asarray(z, jnp.float32)))):
            row |= {f"{name} {precision}": abs(float(getattr(metrics, name)) / value - 1) for name, value in exact.items()}
        rows.append(row)
    return rows


def draw(path: Path, costs: dict[str, tuple[float, float]], sweep: list[dict[str, float]], title: str) -> None:
    """Seconds of each route, and the errors of the sweep with their prediction."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(2 * _script.COLUMN, 2.5))
    labels = [name.replace(", ", "\n") for name in costs]
    bars = left.barh(labels, [seconds for seconds, _ in costs.values()], color=[_script.ORANGE] + [_script.BLUE] * (len(costs) - 1))
    left.bar_label(bars, fmt="%.1f s", padding=2, fontsize=7)
    left.set(xlabel="time (s)", title=title)
    left.margins(x=0.2)
    left.invert_yaxis()
    ratio = np.array([row["s_1/s_d"] for row in sweep])
    colours = {"rankme": _script.GREEN, "participation_ratio": _script.PURPLE, "condition_number": _script.RED}
    for precision, style in (("float64", "-"), ("float32", ":")):
        for name, colour in colours.items():
            errors = np.minimum([row[f"{name} {precision}"] for row in sweep], 1)
            right.loglog(ratio, np.maximum(errors, 2.0**-24), style, color=colour, label=name.replace("_", " ") if style == "-" else None)
        right.plot([], [], style, color=_script.BLACK, label=precision)
    for unit, label in ((2.0**-53, "$u\\,(s_1/s_d)^2$"), (2.0**-24, None)):
        right.loglog(ratio, np.minimum(unit * ratio**2, 1), color=_script.BLACK, linewidth=0.6, linestyle="--", label=label)
    right.set(xlabel="$s_1 / s_d$ of the features", ylabel="relative error (1: lost)", ylim=(1e-12, 3), title="where a Gram matrix stops")
    right.legend(fontsize=6, loc="lower center", ncols=2)
    _script.write_png(path, figure)


def main() -> int:
    """Race, sweep, files, verdict."""
    options = _script.arguments(__doc__, "benchmarks/geometry")
    n, d, wanted = (4000, 256, 0.0) if options.quick else (50000, 2048, 5.0)
    costs, differences = race(make_features(options.seed, n, d))
    sweep = where_a_gram_matrix_stops(options.seed)
    _script.write_csv(options.out / "geometry_speed.csv", [{"route": k, "seconds": s, "extra_mib": m} for k, (s, m) in costs.items()])
    _script.write_csv(options.out / "geometry_agreement.csv", [{"metric": k, "relative_difference": v} for k, v in differences.items()])
    _script.write_csv(options.out / "geometry_gram_limit.csv", sweep)
    draw(options.out / "geometry.png", costs, sweep, f"n = {n:,}, d = {d}")
    (streaming, memory), *others = costs.values()
    speedup = min(seconds for seconds, _ in others) / streaming
    worst = max(differences.values())
    print(f"extra memory {memory:.0f} MiB; d^2 float64 is {d * d / 2**17:.0f} MiB, n d float64 is {n * d / 2**17:.0f} MiB")
    passed = speedup >= wanted and worst < 1e-5
    return _script.verdict(passed, f"speed-up {speedup:.1f} (wanted {wanted:.0f}), largest relative difference {worst:.1e} (wanted < 1e-5)")


if __name__ == "__main__":
    sys.exit(main())
