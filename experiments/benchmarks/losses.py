"""Forward and gradient of every loss against straightforward PyTorch in the same process, and against the roofline of the machine.

Claim     On a CPU, VICReg, Barlow Twins and NT-Xent with their gradients are at least 1.5 times faster than eager PyTorch at N = 1024,
          d = 2048, float32, and every loss has the value that PyTorch finds.
Command   python experiments/benchmarks/losses.py            (in an environment that holds torch as well as jax)
          --quick takes N = 64, d = 32 and judges the agreement of the values only. --compiled 1 times torch.compile too (it needs a C++
          compiler). --only vicreg,mec takes some losses and keeps the rows of the others that --out has from before.
          On an accelerator the sizes are N in {256, 4096}, d in {2048, 8192}, in float32 and bfloat16.
Expected  ratio >= 1.5 for the three. The roofline is max(FLOPs / peak, bytes / bandwidth), FLOPs and bytes as XLA counts them in the
          compiled program (calls into LAPACK not among them), peak and bandwidth measured here by a matrix product and a copy. Peak
          memory is what the resident set of the process rises by during one call (Linux, CPU). Without torch only sslx is timed.
Measured  CPU, 2 cores with nothing else running, jax 0.10.2, torch 2.13, seed 0, three runs, best of 15: vicreg 3.2 to 3.4, barlow_twins
          1.67, 1.55 and 1.42, nt_xent 1.7 to 1.9: the target is met, by Barlow Twins in two runs of three (this host is noisy). Where
          there are at most half as many rows as columns VICReg and Barlow Twins take the Gram matrices of the rows, NT-Xent three of the
          four blocks of cosines. Against torch.compile, in an earlier version that was a little slower: 2.9, 1.35, 1.60. The others, best
          of 3: logdet losses 2.1 to 2.5, total_coding_rate 1.8, emp_ssl and euclidean 1.6, mec 1.5, matrix_ssl 1.4, pairdist losses 1.3,
          cosine and sigreg 1.2, spectral and iso losses 1.0, w_mse 0.86, lejepa and ssl_hsic 0.84, mmcr 0.79, corinfomax 0.57. Peak
          memory is below that of PyTorch for all but corinfomax (362 against 240 MB). Values within 5.8e-7. Accelerators: not measured.
"""

import ctypes
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
from sslx.linalg import l2_normalise

JUDGED = ("vicreg", "barlow_twins", "nt_xent")
COLOURS = dict(zip(JUDGED, (_script.BLUE, _script.ORANGE, _script.GREEN), strict=True))
TARGET = 1.5
SLICES = 256
KEY = jax.random.key(0)
Run = Callable[[], float]


def make_constants(seed: int, d: int) -> dict[str, np.ndarray]:
    """A predictor, the directions of SIGReg, and two draws of random features for SSL-HSIC."""
    root = np.random.default_rng(seed).normal(size=(d, d)) / d**0.5
    constants = {"predictor": root @ root.T, "directions": l2_normalise(jax.random.normal(KEY, (SLICES, d)))}
    for name, key in zip("ab", jax.random.split(KEY), strict=True):
        draw = losses.imq_features(key, d)
        constants |= {f"frequencies_{name}": draw.frequencies, f"phases_{name}": draw.phases}
    return {name: np.array(x, np.float32) for name, x in constants.items()}


def sslx_losses(constants: dict[str, np.ndarray]) -> dict[str, Callable]:
    """name -> loss(a, b) -> scalar."""
    fixed = {name: jnp.asarray(x) for name, x in constants.items()}
    draws = [losses.RandomFeatures(fixed[f"frequencies_{x}"], fixed[f"phases_{x}"]) for x in "ab"]
    two: tuple[Callable, ...] = (
        losses.vicreg, losses.barlow_twins, losses.nt_xent, losses.spectral_contrastive, losses.euclidean, losses.cosine,
        losses.vicreg_logdet, losses.vicreg_pairdist, losses.mec, losses.matrix_ssl,
    )  # fmt: skip
    views: tuple[Callable, ...] = (losses.total_coding_rate, losses.emp_ssl, losses.mmcr)
    table: dict[str, Callable] = {f.__name__: lambda a, b, f=f: f(a, b)[0] for f in two}
    table |= {f.__name__: lambda a, b, f=f: f(jnp.stack([a, b]))[0] for f in views}
    table |= {f.__name__: lambda a, b, f=f: f(a, b, fixed["predictor"])[0] for f in (losses.iso_euclidean, losses.iso_cosine)}
    table |= {f.__name__: lambda a, b, f=f: f(a, b, a)[0] for f in (losses.byol_logdet, losses.byol_pairdist)}
    return table | {
        "w_mse": lambda a, b: losses.w_mse(KEY, jnp.stack([a, b]), sub_batch=len(a), eps=0.1)[0],
        "ssl_hsic": lambda a, b: losses.ssl_hsic(jnp.stack([a, b]), *draws)[0],
        "sigreg": lambda a, b: losses.sigreg(a, fixed["directions"])[0],
        "lejepa": lambda a, b: losses.lejepa(KEY, jnp.stack([a, b]))[0],
        "corinfomax": lambda a, b: losses.corinfomax(a, b, losses.corinfomax_init(a.shape[1]))[0],
    }


def compile_sslx(loss: Callable, a: jax.Array, b: jax.Array) -> tuple[Run, dict[str, float]]:
    """(a run that blocks and returns the value, what XLA counts)."""
    program = jax.jit(jax.value_and_grad(lambda views: loss(*views))).lower((a, b)).compile()
    cost = program.cost_analysis() or {}
    counts = {"gflop": cost.get("flops", np.nan) / 1e9, "gbyte": cost.get("bytes accessed", np.nan) / 1e9}
    return lambda: float(jax.block_until_ready(program((a, b)))[0]), counts


def torch_run(loss: Callable, a: np.ndarray, b: np.ndarray, dtype: str, constants: dict) -> Run:
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


def resident(field: str) -> float:
    """A line of /proc/self/status in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) / 1e3 for line in lines if line.startswith(field))


def peak_memory(run: Run) -> float:
    """MB by which the resident set rises during a run; NaN where the system or an accelerator does not tell."""
    if not Path("/proc/self/clear_refs").exists() or jax.default_backend() != "cpu":
        return np.nan
    ctypes.CDLL(None).malloc_trim(0)  # or freed memory that the process keeps would hide what a run takes
    Path("/proc/self/clear_refs").write_text("5")  # sets the high-water mark back
    before = resident("VmRSS")
    run()
    return resident("VmHWM") - before


def fastest(runs: dict[str, Run], repeats: int) -> tuple[dict[str, float], dict[str, float]]:
    """({name: value}, {name: least seconds}) of the runs taken in turn, so that a busy machine slows all of them alike."""
    values = {name: run() for name, run in runs.items()}
    seconds = dict.fromkeys(runs, np.inf)
    for _ in range(repeats):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            seconds[name] = min(seconds[name], time.perf_counter() - start)
    return values, seconds


def machine_peaks(size: int, repeats: int = 5) -> dict[str, float]:
    """FLOP/s of a float32 matrix product and bytes/s of a copy, measured."""
    x = jnp.ones((size, size), jnp.float32)
    product = jax.jit(lambda x: jnp.matmul(x, x, precision=jax.lax.Precision.HIGHEST))
    big = jnp.ones(64_000_000, jnp.float32)
    copy = jax.jit(lambda x: x + 1)
    _, seconds = fastest({"product": lambda: float(product(x)[0, 0]), "copy": lambda: float(copy(big)[0])}, repeats)
    return {"peak_gflops": 2e-9 * size**3 / seconds["product"], "peak_gbytes": 8e-9 * big.size / seconds["copy"]}


def measure(name: str, n: int, dtype: str, options, constants: dict, peaks: dict[str, float]) -> dict:
    """One row: values, times, ratio, memory, counts and the share of the roofline."""
    generator, d = np.random.default_rng(options.seed), len(constants["predictor"])
    common, *noise = generator.normal(size=(3, n, d)).astype(np.float32) / d**0.25
    a, b = (common + 0.5 * extra for extra in noise)
    run, counts = compile_sslx(sslx_losses(constants)[name], *(jnp.asarray(x, dtype) for x in (a, b)))
    runs = {"sslx": run}
    if importlib.util.find_spec("torch"):
        import _torch_losses
        import torch  # pyright: ignore[reportMissingImports]

        runs["eager"] = torch_run(_torch_losses.LOSSES[name], a, b, dtype, constants)
        if options.compiled:
            runs["compiled"] = torch_run(torch.compile(_torch_losses.LOSSES[name]), a, b, dtype, constants)
    values, seconds = fastest(runs, options.repeats)
    bound = max(counts["gflop"] / peaks["peak_gflops"], counts["gbyte"] / peaks["peak_gbytes"])
    row = {"loss": name, "n": n, "d": d, "dtype": dtype, **counts, **peaks, "roofline_share": bound / seconds["sslx"]}
    for which in ("sslx", "eager", "compiled"):
        row |= {f"{which}_ms": 1e3 * seconds.get(which, np.nan), f"{which}_mb": peak_memory(runs[which]) if which in runs else np.nan}
    row |= {"ratio": seconds.get("eager", np.nan) / seconds["sslx"], "ratio_compiled": seconds.get("compiled", np.nan) / seconds["sslx"]}
    row |= {"difference": abs(values["sslx"] - values["eager"]) / max(1e-3, abs(values["eager"])) if "eager" in values else np.nan}
    print("  ".join(f"{key} {value:.4g}" if isinstance(value, float) else str(value) for key, value in row.items()), flush=True)
    return row


def plot(path: Path, rows: list[dict]) -> None:
    """Speed-up over PyTorch, a bar per loss at the largest size, and where the losses stand under the roofline."""
    size = max((row["n"], row["d"], row["dtype"]) for row in rows)
    rows = sorted((row for row in rows if (row["n"], row["d"], row["dtype"]) == size), key=lambda row: row["ratio"])
    figure, (bars, roof) = plt.subplots(2, figsize=(_script.COLUMN, 0.17 * len(rows) + 3.0), height_ratios=[0.17 * len(rows) + 0.4, 2.2])
    colours = [COLOURS.get(row["loss"], "#b0b0b0") for row in rows]
    bars.barh([row["loss"] for row in rows], [row["ratio"] for row in rows], color=colours)
    if not all(np.isnan(row["ratio_compiled"]) for row in rows):
        bars.plot([row["ratio_compiled"] for row in rows], range(len(rows)), "k|", markersize=7, label="against torch.compile")
    bars.axvline(1, color=_script.BLACK, linewidth=0.8)
    bars.axvline(TARGET, color=_script.RED, linestyle="--", linewidth=0.8, label=f"target of the three in colour, {TARGET}")
    bars.set(xscale="log", xlabel=f"PyTorch / sslx, N = {size[0]}, d = {size[1]}")
    bars.set_xticks([0.5, 1, 2, 4, 8], ["0.5", "1", "2", "4", "8"], minor=False)
    bars.set_xticks([], minor=True)
    bars.legend(loc="lower center", bbox_to_anchor=(0.4, 1.0), ncols=2)
    peaks = {name: max(row[name] for row in rows) for name in ("peak_gflops", "peak_gbytes")}
    intensity = np.geomspace(0.1, 300)
    roof.loglog(intensity, np.minimum(peaks["peak_gflops"], intensity * peaks["peak_gbytes"]), color=_script.BLACK, label="measured roof")
    for row, colour in zip(rows, colours, strict=True):
        label = row["loss"] if row["loss"] in JUDGED else None
        roof.plot(row["gflop"] / row["gbyte"], 1e3 * row["gflop"] / row["sslx_ms"], "o", color=colour, markersize=4, label=label)
    roof.set(xlabel="FLOPs per byte (as XLA counts them)", ylabel="GFLOP/s")
    roof.legend(loc="lower right")
    _script.write_png(path, figure)


def main() -> int:
    """Measure, write the table and the figure, judge."""
    options = _script.arguments(__doc__, "benchmark_losses", only="", repeats=5, compiled=0)
    on_cpu = jax.default_backend() == "cpu"
    sizes = [(64, 32)] if options.quick else [(1024, 2048)] if on_cpu else [(n, d) for n in (256, 4096) for d in (2048, 8192)]
    peaks, rows = machine_peaks(size=256 if options.quick else 2048), []
    for n, d in sizes:
        constants = make_constants(options.seed, d)
        names = options.only.split(",") if options.only else list(sslx_losses(constants))
        for dtype in ("float32",) if on_cpu else ("float32", "bfloat16"):
            rows += [measure(name, n, dtype, options, constants, peaks) for name in names]
    table = options.out / "losses.csv"
    whole = _script.with_earlier(table, rows, ("loss", "n", "d", "dtype"))
    _script.write_csv(table, whole)
    plot(options.out / "losses.png", whole)
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
