"""Who hears how a command goes on: a function of a kind of event and a record."""

from collections.abc import Callable
from typing import Any

Watch = Callable[[str, dict[str, Any]], None]


def silent(kind: str, record: dict[str, Any]) -> None:
    """Watch nothing."""


def reading(watch: Watch) -> Callable[[int, int], None]:
    """What hears how many images of how many are decoded: "data" events with "done" and "total"."""
    return lambda done, total: watch("data", {"done": done, "total": total})


def evaluating(watch: Watch, of: str) -> Callable[..., None]:
    """What hears which part of an evaluation begins and, of images, how many are "done" of the "total": "evaluate" events that name
    what is evaluated too, as "of"."""
    return lambda part, **counts: watch("evaluate", {"of": of, "part": part, **counts})


def of_seed(watch: Watch, seed: int) -> Watch:
    """`watch`, told with every record of which run it is."""
    return lambda kind, record: watch(kind, {"seed": seed, **record})
