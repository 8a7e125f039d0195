"""The closed form of the Euclidean flow against adaptive integration of the same equation.

Claim     The closed form gives the eigenvalues of 1e5 modes at one time at least 100 times faster than diffrax (Dopri8, rtol 1e-10), at 100
          times at least 5 times faster, 1e6 modes in under 2 s on two CPU cores, and is right to 1e-12 where diffrax errs by about 1e-9.
Command   python experiments/benchmarks/dynamics.py
          --quick takes at most 1e4 modes, where the fixed cost of a call still counts: 20 times faster is asked for, and 2 at 100 times.
Expected  The cost of the integration grows with the span of time that it has to step through; the closed form does not notice. The modes
          start between 1e-3 and 2, log-uniform, alpha = 1/2. "short" ends at t = 20, when half of them have been learned; "whole" at
          t = 2000, when all have. Both are judged.
Measured  CPU, 2 cores with AVX-512 and nothing else running (float64, seed 0, jax 0.10.2), three runs. One time, "whole": 6200x to 6400x at
          1e5 modes; "short": 53x to 94x at 1e3 modes, 72x to 137x at 1e4, 177x to 193x at 1e5, 183x to 257x at 1e6 (0.017 to 0.024 s).
          100 times at 1e5 modes: 158x to 185x on "whole", 5.4x to 5.9x on "short", where a quarter of the closed form's time goes into new
          pages for the result. Ten times 52x to 66x; 1e3 modes at 1e3 times 1.3x to 1.6x. Error 3e-16 (diffrax 2e-9). Both sides are
          compiled for whole AVX-512 registers; by default XLA takes half of one, which slows the closed form only: "short", 128x to 150x at
          one time and 4.0x to 5.5x at 100. Other work on the machine slows diffrax more.
"""

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import mpmath
from matplotlib.figure import Figure

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import _script
from sslx import dynamics

SPANS = {"whole": 2000.0, "short": 20.0}
FLOW = dynamics.euclidean()
assert FLOW.solution is not None
WIDE = {"xla_cpu_prefer_vector_width": 512}
CLOSED = jax.jit(FLOW.solution, compiler_options=WIDE)
INTEGRATED = jax.jit(lambda t, lam0: dynamics.integrate(FLOW, t, lam0), compiler_options=WIDE)


def starts(seed: int, modes: int) -> jax.Array:
    """Log-uniform between 1e-3 and 2."""
    return jnp.exp(jax.random.uniform(jax.random.key(seed), (modes,), minval=jnp.log(1e-3), maxval=jnp.log(2.0)))


def median_seconds(f: Callable[[], jax.Array], repeats: int) -> float:
    """Of `repeats` calls after one that compiles."""
    f().block_until_ready()
    seconds = []
    for _ in range(repeats):
        begin = time.perf_counter()
        f().block_until_ready()
        seconds.append(time.perf_counter() - begin)
    return statistics.median(seconds)


def largest_error(solve: Callable[[jax.Array, jax.Array], jax.Array], seed: int) -> float:
    """Largest |lam/exact - 1| over 40 modes at times from 0.1 to 1000, the exact value by the Lambert W function in 40 digits."""
    lam0, t = starts(seed, 40), jnp.logspace(-1, 3, 5)
    worst = 0.0
    with mpmath.workdps(40):
        for time_, row in zip(t, solve(t, lam0), strict=True):
            for start, lam in zip(lam0, row, strict=True):
                y0 = 1 / mpmath.mpf(float(start)) - 1
                exact = 1 / (1 + mpmath.lambertw(y0 * mpmath.exp(y0 - mpmath.mpf(float(time_)))).real)
                worst = max(worst, abs(float(mpmath.mpf(float(lam)) / exact - 1)))
    return worst


def compare(seed: int, span: str, modes: int, times: int, repeats: int) -> dict[str, Any]:
    """One row: the seconds that both ways take."""
    lam0 = starts(seed, modes)
    t = jnp.linspace(0, SPANS[span], times + 1)[1:]
    seconds = median_seconds(lambda: CLOSED(t, lam0), 4 * repeats + 1)
    adaptive = median_seconds(lambda: INTEGRATED(t, lam0), repeats)
    row = {"span": span, "modes": modes, "times": times, "closed_s": seconds, "diffrax_s": adaptive, "ratio": adaptive / seconds}
    print(", ".join(f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}" for name, value in row.items()), flush=True)
    return row


def draw(rows: list[dict[str, Any]]) -> Figure:
    """Seconds against the number of modes, at one time."""
    figure, axis = plt.subplots(figsize=(_script.COLUMN, 2.5))
    once = [row for row in rows if row["span"] == "short" and row["times"] == 1]
    for name, label in (("diffrax_s", "diffrax Dopri8, rtol 1e-10"), ("closed_s", "closed form")):
        axis.loglog([row["modes"] for row in once], [row[name] for row in once], "o-", label=label)
    axis.set(xlabel="modes", ylabel="seconds, one time")
    axis.legend()
    return figure


def main() -> int:
    """Run the sweeps and judge them."""
    jax.config.update("jax_enable_x64", True)
    options = _script.arguments(__doc__, "benchmarks/dynamics")
    large = 10_000 if options.quick else 100_000
    shapes = [(1000, 1), (10_000, 1), *([] if options.quick else [(100_000, 1), (1_000_000, 1), (1000, 1000)]), (large, 10), (large, 100)]
    rows = [compare(options.seed, "short", modes, times, 3) for modes, times in shapes]
    rows += [compare(options.seed, "whole", large, times, 1) for times in (1, 100)]
    _script.write_csv(options.out / "dynamics.csv", rows)
    _script.write_png(options.out / "dynamics.png", draw(rows))

    def of(span: str, times: int) -> float:
        return next(row["ratio"] for row in rows if (row["span"], row["modes"], row["times"]) == (span, large, times))

    once, often = (20, 2) if options.quick else (100, 5)
    slowest = max(row["closed_s"] for row in rows if row["times"] == 1)
    error, adaptive_error = largest_error(CLOSED, options.seed), largest_error(INTEGRATED, options.seed)
    fast = all(of(span, 1) >= once and of(span, 100) >= often for span in SPANS)
    passed = fast and slowest < 2 and error < 1e-12
    text = f"{of('whole', 1):.0f}x at {large} modes and one time ({of('short', 1):.0f}x over the short span), "
    text += f"{of('whole', 100):.1f}x at 100 times ({of('short', 100):.1f}x), slowest single time {slowest:.2g} s, "
    text += f"error {error:.0e} (diffrax {adaptive_error:.0e})"
    return _script.verdict(passed, text)


if __name__ == "__main__":
    sys.exit(main())
