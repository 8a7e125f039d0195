"""Forward and gradient of every loss against straightforward PyTorch in the same process, and against the roofline of the machine.

Claim     On a CPU, VICReg, Barlow Twins and NT-Xent with their gradients are at least 1.5 times faster than eager PyTorch at N = 1024,
          d = 2048, float32, and every loss has the value that PyTorch finds.
Command   python experiments/benchmarks/losses.py            (in an environment that holds torch as well as jax)
          --quick takes N = 64, d = 32 and judges the agreement of the values only. --compiled 1 times torch.compile too.
          --only vicreg,mec takes some losses. On an accelerator the sizes are N in {256, 4096}, d in {2048, 8192}, in float32 and bfloat16.
Expected  ratio >= 1.5 for the three. The roofline is max(FLOPs / peak, bytes / bandwidth), FLOPs and bytes as XLA counts them in the
          compiled program (calls into LAPACK not among them), peak and bandwidth measured here by a matrix product and a copy. Peak
          memory is the compiled program's scratch space. Without torch only sslx is timed.
"""

import importlib.util
import sys
import time
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import _script
from sslx import losses

JUDGED = ("vicreg", "barlow_twins", "nt_xent")
TARGET = 1.5
SLICES = 256


def make_constants(seed: int, d: int) -> dict[str, np.ndarray]:
    """A predictor and the directions of SIGReg."""
    generator = np.random.default_rng(seed)
    root, directions = generator.normal(size=(d, d)) / d**0.5, generator.normal(size=(SLICES, d))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return {"predictor": (root @ root.T).astype(np.float32), "directions": directions.astype(np.float32)}


def sslx_losses(constants: dict[str, np.ndarray]) -> dict[str, Callable]:
    """name -> loss(a, b) -> scalar, for all that have a PyTorch twin here."""
    wide = {name: jnp.asarray(x) for name, x in constants.items()}
    two: tuple[Callable, ...] = (
        losses.vicreg,
        losses.barlow_twins,
        losses.nt_xent,
        losses.spectral_contrastive,
        losses.euclidean,
        losses.cosine,
    )
    two += (losses.vicreg_logdet, losses.vicreg_pairdist, losses.mec, losses.matrix_ssl)
    views: tuple[Callable, ...] = (losses.total_coding_rate, losses.emp_ssl, losses.mmcr)
    table: dict[str, Callable] = {f.__name__: lambda a, b, f=f: f(a, b)[0] for f in two}
    table |= {f.__name__: lambda a, b, f=f: f(jnp.stack([a, b]))[0] for f in views}
    table |= {f.__name__: lambda a, b, f=f: f(a, b, wide["predictor"])[0] for f in (losses.iso_euclidean, losses.iso_cosine)}
    table["sigreg"] = lambda a, b: losses.sigreg(a, wide["directions"])[0]
    table["corinfomax"] = lambda a, b: losses.corinfomax(a, b, losses.corinfomax_init(a.shape[1]))[0]
    return table


def compile_sslx(loss: Callable, a: jax.Array, b: jax.Array) -> tuple[Callable[[], float], dict[str, float]]:
    """(a run that blocks and returns the value, what XLA counts)."""
    program = jax.jit(jax.value_and_grad(lambda views: loss(*views))).lower((a, b)).compile()
    cost, scratch = program.cost_analysis() or {}, getattr(program.memory_analysis(), "temp_size_in_bytes", np.nan)
    counts = {"gflop": cost.get("flops", np.nan) / 1e9, "gbyte": cost.get("bytes accessed", np.nan) / 1e9, "sslx_peak_mb": scratch / 1e6}
    return lambda: float(jax.block_until_ready(program((a, b)))[0]), counts


def torch_run(loss: Callable, a: np.ndarray, b: np.ndarray, dtype: str, constants: dict) -> Callable[[], float]:
    """A run of forward and backward that blocks and returns the value."""
    import torch  # pyright: ignore[reportMissingImports]

    device = "cuda" if torch.cuda.is_available() else "cpu"
    constants = {name: torch.from_numpy(x).to(device) for name, x in constants.items()}
    views = [torch.from_numpy(x).to(device, getattr(torch, dtype)).requires_grad_() for x in (a, b)]

    def run() -> float:
        for view in views:
            view.grad = None
        value = loss(*(view.float() for view in views), constants)
        value.backward()
        return value.item()

    return run


def fastest(runs: dict[str, Callable[[], float]], repeats: int) -> tuple[dict[str, float], dict[str, float]]:
    """({name: value}, {name: least seconds}) of the runs taken in turn, so that a busy machine slows all of them alike."""
    values = {name: run() for name, run in runs.items()}
    seconds = dict.fromkeys(runs, np.inf)
    for _ in range(repeats):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            seconds[name] = min(seconds[name], time.perf_counter() - start)
    return values, seconds


def machine_peaks(size: int = 2048, repeats: int = 5) -> tuple[float, float]:
    """(FLOP/s of a float32 matrix product, bytes/s of a copy), measured."""
    x = jnp.ones((size, size), jnp.float32)
    product = jax.jit(lambda x: jnp.matmul(x, x, precision=jax.lax.Precision.HIGHEST))
    big = jnp.ones(64_000_000, jnp.float32)
    copy = jax.jit(lambda x: x + 1)
    runs = {"product": lambda: float(product(x)[0, 0]), "copy": lambda: float(copy(big)[0])}
    _, seconds = fastest(runs, repeats)
    return 2 * size**3 / seconds["product"], 8 * big.size / seconds["copy"]


def measure(name: str, loss: Callable, n: int, d: int, dtype: str, options, constants: dict, peaks: tuple[float, float]) -> dict:
    """One row: values, times, ratio, counts and the share of the roofline."""
    generator = np.random.default_rng(options.seed)
    common, *noise = generator.normal(size=(3, n, d)).astype(np.float32) / d**0.25
    a, b = (common + 0.5 * extra for extra in noise)
    run, counts = compile_sslx(loss, *(jnp.asarray(x, dtype) for x in (a, b)))
    runs = {"sslx": run}
    if importlib.util.find_spec("torch"):
        import _torch_losses
        import torch  # pyright: ignore[reportMissingImports]

        runs["eager"] = torch_run(_torch_losses.LOSSES[name], a, b, dtype, constants)
        if options.compiled:
            runs["compiled"] = torch_run(torch.compile(_torch_losses.LOSSES[name]), a, b, dtype, constants)
    values, seconds = fastest(runs, options.repeats)
    bound = max(counts["gflop"] * 1e9 / peaks[0], counts["gbyte"] * 1e9 / peaks[1])
    row = {"loss": name, "n": n, "d": d, "dtype": dtype, **counts, "roofline_share": bound / seconds["sslx"]}
    row |= {f"{which}_ms": 1e3 * seconds.get(which, np.nan) for which in ("sslx", "eager", "compiled")}
    row |= {"ratio": seconds.get("eager", np.nan) / seconds["sslx"]}
    row |= {"difference": abs(values["sslx"] - values["eager"]) / max(1e-3, abs(values["eager"])) if "eager" in values else np.nan}
    print("  ".join(f"{key} {value:.4g}" if isinstance(value, float) else str(value) for key, value in row.items()), flush=True)
    return row


def plot(path: Path, rows: list[dict]) -> None:
    """Speed-up over eager PyTorch, one bar per loss at the largest size."""
    largest = [row for row in rows if (row["n"], row["d"]) == (rows[-1]["n"], rows[-1]["d"]) and row["dtype"] == rows[-1]["dtype"]]
    figure, axes = plt.subplots(figsize=(_script.COLUMN, 3.2))
    axes.barh([row["loss"] for row in largest], [row["ratio"] for row in largest])
    axes.axvline(1, color=_script.BLACK, linewidth=0.8)
    axes.axvline(TARGET, color=_script.RED, linestyle="--", linewidth=0.8)
    axes.set(xlabel=f"eager PyTorch time / sslx time, N = {largest[0]['n']}, d = {largest[0]['d']}")
    axes.invert_yaxis()
    _script.write_png(path, figure)


def main() -> int:
    """Measure, write the table and the figure, judge."""
    options = _script.arguments(__doc__, "benchmark_losses", only="", repeats=5, compiled=0)
    on_cpu = jax.default_backend() == "cpu"
    sizes = [(64, 32)] if options.quick else [(1024, 2048)] if on_cpu else [(n, d) for n in (256, 4096) for d in (2048, 8192)]
    peaks, rows = machine_peaks(size=256 if options.quick else 2048), []
    for n, d in sizes:
        constants = make_constants(options.seed, d)
        table = sslx_losses(constants)
        for dtype in ("float32",) if on_cpu else ("float32", "bfloat16"):
            rows += [measure(name, table[name], n, d, dtype, options, constants, peaks) for name in options.only.split(",") if name] or [
                measure(name, loss, n, d, dtype, options, constants, peaks) for name, loss in table.items()
            ]
    _script.write_csv(options.out / "losses.csv", rows)
    plot(options.out / "losses.png", rows)
    if np.isnan(rows[0]["ratio"]):
        return _script.verdict(True, f"sslx timed on {len(rows)} rows; torch is not installed, so nothing was compared")
    furthest = max(rows, key=lambda row: row["difference"])
    agree = furthest["difference"] < 1e-3
    judged = {row["loss"]: row["ratio"] for row in rows if row["loss"] in JUDGED and row["dtype"] == "float32"}
    slowest = min(judged.values(), default=np.inf)
    text = f"values within {furthest['difference']:.1e} ({furthest['loss']}); speed-ups { ({k: round(v, 2) for k, v in judged.items()}) }"
    return _script.verdict(agree and (options.quick or slowest >= TARGET), text + ("" if options.quick else f", target {TARGET}"))


if __name__ == "__main__":
    sys.exit(main())
