"""The command `sslx`, also as `python -m sslx`: it takes a second or two to load, and is interrupted in one line even then."""

import os
import signal
import sys
from functools import partial
from typing import Any


def main() -> int:
    """Load the command line and run it."""
    usual = signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    from sslx import cli

    return cli.main(begin=partial(raise_in_python, usual))


def raise_in_python(usual: Any) -> None:
    """Handle an interruption as usual, and the end that a scheduler asks for as one."""
    signal.signal(signal.SIGINT, usual)
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def stop(*_: object) -> None:
    """End the process at once: an exception would come out of a half-loaded library as another one, or not at all."""
    os.write(2, b"sslx: interrupted\n")
    os._exit(130)


if __name__ == "__main__":
    sys.exit(main())
