"""How fast a run is and what it needs: compilation, floating-point operations, the device's peak, memory."""

import resource
import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from sslx.train import Batch


class Program(NamedTuple):
    """A compiled step: the call, and seconds of compilation."""

    call: Any
    seconds: float


def compile_step(lifted: Any, state: Any, batch: Any) -> Program:
    """Compile a lifted step for these arguments."""
    lowered = lifted.lower(state, batch)
    begin = time.perf_counter()
    compiled = lowered.compile()
    return Program(compiled, time.perf_counter() - begin)


def abstract_batch(batch_size: int, image_shape: tuple[int, ...]) -> Batch:
    """Shapes and types of a batch."""
    return jax.eval_shape(lambda: Batch(jnp.zeros((batch_size, *image_shape), jnp.uint8), jnp.zeros(batch_size, jnp.int32)))


def peak_flops(dtype: DTypeLike) -> float:
    """Floating-point operations a second of all devices, as the best of three large matrix products on the first of them.

    The numbers are random: a GPU multiplies ones faster, since fewer of its transistors switch.
    """
    size = 1024 if jax.default_backend() == "cpu" else 8192
    x = jnp.asarray(np.random.default_rng(0).standard_normal((size, size), np.float32), dtype)
    product = jax.jit(jnp.matmul)
    product(x, x).block_until_ready()
    seconds = []
    for _ in range(3):
        begin = time.perf_counter()
        product(x, x).block_until_ready()
        seconds.append(time.perf_counter() - begin)
    devices = 1 if jax.default_backend() == "cpu" else jax.device_count()  # the devices of a CPU share its cores
    return devices * 2 * size**3 / min(seconds)


def memory_limit() -> int | None:
    """Bytes that the program may use on the first device, None where it does not say (a CPU)."""
    return (jax.local_devices()[0].memory_stats() or {}).get("bytes_limit")


def peak_memory() -> int:
    """Most bytes in use so far on the first device, or by the process where the device does not say."""
    stats = jax.local_devices()[0].memory_stats() or {}
    return stats.get("peak_bytes_in_use") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def describe(program: Program, *, flops: float, steps_per_second: float, batch_size: int, per_epoch: int, peak: float) -> dict[str, float]:
    """The speed of a run whose step takes `flops`, as its metrics and its summary hold it; several runs side by side count together."""
    return {
        "images_per_second": steps_per_second * batch_size,
        "seconds_per_epoch": per_epoch / steps_per_second,
        "model_flops_utilisation": flops * steps_per_second / peak,
        "step_gflop": flops / 1e9,
        "peak_gflop_per_second": peak / 1e9,
        "peak_memory_gib": peak_memory() / 2**30,
        "compile_seconds": program.seconds,
    }
