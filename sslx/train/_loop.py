"""The host loop: batches in, events out. It knows nothing of files, progress bars or evaluation."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float

from sslx.parallel import host
from sslx.threads import thread_pools
from sslx.train._step import Batch

StepFn = Callable[[Any, Batch], tuple[Any, Any]]


class Divergence(RuntimeError):
    """The loss or its gradient became NaN or infinite: which step, and which terms."""


class Event(NamedTuple):
    """After `step` steps: the state on the devices, and every metric [steps, lanes] of the steps since the last event."""

    step: int
    state: Any
    metrics: dict[str, Float[np.ndarray, "steps lanes"]]


def train(step_fn: StepFn, state: Any, stream: Iterator[Batch], *, start: int, stop: int, every: int, per_call: int = 1) -> Iterator[Event]:
    """Run steps `start`..`stop`, with an event at each multiple of `every` and at the end.

    Metrics stay on the devices between events, so the devices never wait for the host inside. On a CPU BLAS has one thread in the
    meantime: a thread of OpenBLAS that has nothing to do waits busily for a while, so that a step with one eigendecomposition, DirectPred's
    or IsoLoss's, keeps it busy for ever, on a core that XLA needs (63 ms a step so, 37 ms with one thread, on 2 cores).

    Args:
        step_fn: `(state, batch) -> (state, metrics)`, already lifted to the devices; it may donate the state.
        state: placed on the devices.
        stream: what the calls take, already placed on the devices, the first for step `start`.
        start: number of steps already taken.
        stop: number of steps at the end.
        every: steps between events, a multiple of `per_call`.
        per_call: steps that one call of `step_fn` takes; it divides `stop - start`.

    Raises:
        Divergence: a loss or its gradient is not finite; raised in place of the event, so that nothing after it is kept.
    """
    while start < stop:
        until = min(stop, start - start % every + every)
        with thread_pools().limit(limits=1 if jax.default_backend() == "cpu" else None, user_api="blas"):
            waiting = []
            for _ in range(start, until, per_call):
                state, metrics = step_fn(state, next(stream))
                waiting.append(metrics)
            done = jax.tree.map(lambda *parts: np.concatenate([np.reshape(x, (per_call, -1)) for x in parts]), *host(waiting))
        check_finite(done, first=start + 1)
        yield Event(until, state, done)
        start = until


def check_finite(metrics: dict[str, np.ndarray], *, first: int) -> None:
    """Raise Divergence at the first step at which a loss or its gradient is not finite, naming the terms."""
    watched = [values for name, values in metrics.items() if name in ("loss", "gradient_norm")]
    bad = np.argwhere(~np.all(np.isfinite(watched), axis=0))
    if len(bad):
        step, lane = bad[0]
        terms = ", ".join(f"{k} {v[step, lane]:.4g}" for k, v in metrics.items())
        raise Divergence(f"training diverged at step {first + step} ({terms}); lower --learning-rate or raise --warmup")
