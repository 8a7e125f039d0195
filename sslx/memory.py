"""What to do when the device has no memory left: one line that says what would fit."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax

from sslx import feed, speed
from sslx.assemble import Parts, initial_state, inputs_of
from sslx.config import Config
from sslx.fit import build_step


class OutOfMemory(RuntimeError):
    """The device has not enough memory for a run: one line with the remedy."""


def is_exhausted(error: BaseException) -> bool:
    """Whether an error of jax says that memory was lacking."""
    return "RESOURCE_EXHAUSTED" in str(error)


def explain(config: Config, parts: Parts) -> str:
    """The line for the user, with the batch size that fits by the compiler's account."""
    limit, devices, size = speed.memory_limit(), jax.device_count(), config.batch_size
    images = feed.size_of(parts.dataset) if feed.choose(config, parts.dataset) == "resident" else 0
    step = build_step(config, parts)
    state = jax.eval_shape(partial(initial_state, config, inputs_of(parts.dataset), parts.optimizer))

    def needed(batch_size: int) -> int:
        return step_bytes(step, state, batch_size // devices, inputs_of(parts.dataset).image_shape)

    fits = fitting_batch(needed, size, devices * config.micro_batches, limit - images) if limit else None
    has = f" ({limit / 2**30:.0f} GiB)" if limit else ""
    smaller = f"--batch-size {fits} fits" if fits else f"try --batch-size {size // 2} or less"
    stay = f"; --stream saves the {images / 2**30:.1f} GiB of images that lie on the device" if images else ""
    return f"the device has not enough memory{has} for batches of {size}: {smaller}{stay}"


def step_bytes(step: Any, state: Any, batch_size: int, image_shape: tuple[int, ...]) -> int:
    """Bytes that a step needs on one device, for its arguments and while it runs."""
    batch = speed.abstract_batch(batch_size, image_shape)
    account: Any = jax.jit(step, donate_argnums=0).lower(state, batch).compile().memory_analysis()
    return account.argument_size_in_bytes + account.temp_size_in_bytes


def fitting_batch(needed: Callable[[int], int], batch_size: int, multiple: int, free: int) -> int | None:
    """The largest of batch_size / 2, / 4, ..., cut to a multiple, that needs at most `free` bytes; None where none does."""
    size = batch_size // 2 // multiple * multiple
    while size >= max(2, multiple):
        if needed(size) <= free:
            return size
        size = size // 2 // multiple * multiple
    return None
