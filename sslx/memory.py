"""What to do when the device has no memory left: one line that says what would fit."""

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import jax

from sslx import feed, speed
from sslx.assemble import Parts, initial_state, inputs_of
from sslx.config import Config
from sslx.fit import build_step
from sslx.train import TrainState

SMALLER_NETWORK = "choose a smaller --model or --projector"


class OutOfMemory(RuntimeError):
    """The device has not enough memory for a run: one line with the remedy."""


@contextlib.contextmanager
def enough_memory(explain: Callable[[], str]) -> Iterator[None]:
    """Raise OutOfMemory with the line that `explain` makes where jax says that memory was lacking."""
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if not is_exhausted(error):
            raise
        raise OutOfMemory(explain()) from None


def is_exhausted(error: BaseException) -> bool:
    """Whether an error of jax says that memory was lacking; on a CPU it does so under INTERNAL."""
    return any(words in str(error) for words in ("RESOURCE_EXHAUSTED", "Out of memory"))


def explain_state(configs: Sequence[Config], parts: Parts) -> str:
    """The line where the states of the runs do not fit, whatever the batch."""
    size = sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(abstract_state(configs[0], parts))) * len(configs)
    fewer = ", or fewer --seeds" if len(configs) > 1 else ""
    return f"{lacking()} for network and optimiser, which take {size / 2**30:.1f} GiB: {SMALLER_NETWORK}{fewer}"


def explain_step(config: Config, parts: Parts) -> str:
    """The line where a step does not fit, with the batch size that does by the compiler's account."""
    limit, devices, size = speed.memory_limit(), jax.device_count(), config.batch_size
    images = feed.size_of(parts.dataset) if feed.choose(config, parts.dataset) == "resident" else 0
    step, state = build_step(config, parts), abstract_state(config, parts)

    def needed(batch_size: int) -> int | float:
        try:
            return step_bytes(step, state, batch_size // devices, inputs_of(parts.dataset).image_shape)
        except ValueError:  # the method does not take such a batch
            return math.inf

    fits = fitting_batch(needed, size, 2 * devices * config.micro_batches, limit - images if limit else None)
    smaller = SMALLER_NETWORK if not fits else f"--batch-size {fits} fits" if limit else f"try --batch-size {fits} or less"
    stay = f"; --stream saves the {images / 2**30:.1f} GiB of images that lie on the device" if images else ""
    return f"{lacking()} for batches of {size}: {smaller}{stay}"


def explain_evaluation() -> str:
    """The line where a trained network does not fit with the images that it is evaluated on."""
    return f"{lacking()} to evaluate the network; do it where there is more, say on the host with JAX_PLATFORMS=cpu (pretrain: --resume)"


def lacking() -> str:
    """That there is not enough memory, and how much there is where the device says so."""
    limit = speed.memory_limit()
    return "the device has not enough memory" + (f" ({limit / 2**30:.0f} GiB)" if limit else "")


def abstract_state(config: Config, parts: Parts) -> TrainState:
    """Shapes and types of the state of a run."""
    return jax.eval_shape(partial(initial_state, config, inputs_of(parts.dataset), parts.optimizer))


def step_bytes(step: Any, state: Any, batch_size: int, image_shape: tuple[int, ...]) -> int:
    """Bytes that a step needs on one device, for its arguments and while it runs."""
    batch = speed.abstract_batch(batch_size, image_shape)
    account: Any = jax.jit(step, donate_argnums=0).lower(state, batch).compile().memory_analysis()
    return account.argument_size_in_bytes + account.temp_size_in_bytes


def fitting_batch(needed: Callable[[int], int | float], batch_size: int, multiple: int, free: int | None) -> int | None:
    """The largest of batch_size / 2, / 4, ..., cut to a multiple, that needs at most `free` bytes, or of all where that is not known; None
    where none does."""
    size = batch_size // 2 // multiple * multiple
    while size:
        if free is None or needed(size) <= free:
            return size
        size = size // 2 // multiple * multiple
    return None
