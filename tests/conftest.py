"""Float64 and 8 CPU devices, switched on before jax starts; tests pass explicit dtypes."""

import hypothesis
import jax
import jaxtyping
import pytest

hypothesis.settings.register_profile("repeatable", derandomize=True)
hypothesis.settings.load_profile("repeatable")
jax.config.update("jax_enable_x64", True)
jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_disable_most_optimizations", True)  # the suite compiles more than it computes: nearly half the time


@pytest.fixture
def without_typing_hook():
    """Let bad input reach the library's own checks: jaxtyping's TypeCheckError would hide the message."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)
