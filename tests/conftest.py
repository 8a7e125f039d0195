"""Float64 and 8 CPU devices, switched on before jax starts; tests pass explicit dtypes."""

import gc
import os
from pathlib import Path

os.environ["SSLX_CACHE"] = os.devnull  # nothing is kept from one run of the suite to the next
os.environ["OPENBLAS_NUM_THREADS"] = "1"  # the workers share the cores; a waiting thread keeps one busy

import hypothesis
import jax
import jaxtyping
import pytest

gc.set_threshold(100_000)  # jax makes a lot that lives long
hypothesis.settings.register_profile("repeatable", derandomize=True)
hypothesis.settings.load_profile("repeatable")
jax.config.update("jax_enable_x64", True)
jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_disable_most_optimizations", True)  # the suite compiles more than it computes: nearly half the time
jax.config.update("jax_traceback_in_locations_limit", 0)
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"  # as many threads as workers are enough
if jax.__version_info__ < (0, 11):  # compiles twice as fast; later versions have no such flags
    os.environ["XLA_FLAGS"] += " --xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"


def pytest_configure(config):
    """The workers share what they compile, and so does the next run."""
    jax.config.update("jax_compilation_cache_dir", str(config.cache.mkdir("jax")))


def pytest_sessionfinish():
    """The process ends: nothing is worth collecting any more."""
    gc.freeze()


@pytest.fixture
def without_typing_hook():
    """Let bad input reach the library's own checks: jaxtyping's TypeCheckError would hide the message."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture(autouse=True, scope="module")
def forget_compiled_programs():
    """Thousands of them take gigabytes, and most of the 65,530 memory maps that Linux allows a process."""
    yield
    maps = Path("/proc/self/maps")
    if not maps.exists() or maps.read_bytes().count(b"\n") > 15_000:
        jax.clear_caches()
