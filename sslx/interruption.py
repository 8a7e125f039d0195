"""SIGTERM, by which a scheduler ends a program: training saves what it has before it goes."""

import contextlib
import signal
from collections.abc import Callable, Iterator

import jax


@contextlib.contextmanager
def deferred() -> Iterator[Callable[[], bool]]:
    """Let the first SIGTERM wait until the end; what is yielded says whether it has come. The second interrupts at once.

    This is for a lone process of the command line, where SIGTERM is an interruption; another program keeps its own ways.
    """
    if signal.getsignal(signal.SIGTERM) is not signal.default_int_handler or jax.process_count() > 1:
        yield lambda: False
        return
    came = False

    def note(*_: object) -> None:
        nonlocal came
        if came:
            raise KeyboardInterrupt
        came = True

    signal.signal(signal.SIGTERM, note)
    try:
        yield lambda: came
    finally:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    if came:
        raise KeyboardInterrupt
