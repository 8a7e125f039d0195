"""sslx: joint-embedding self-supervised learning in JAX.

The losses people train with (`sslx.losses`), a trainer that runs them (`sslx.pretrain`), and the exact mathematics that
predicts what the trainer does (`sslx.dynamics`, `sslx.information`, `sslx.geometry`). Importing `sslx` loads none of them.
"""

import pkgutil
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sslx.frozen import features as features, load as load
    from sslx.run import pretrain as pretrain

__version__ = "0.1.0"
__all__ = ["features", "load", "pretrain"]


def __getattr__(name: str) -> Any:
    """Load `pretrain`, `load`, `features` and the submodules on first use, so that `import sslx` stays light."""
    if name in __all__:
        return getattr(import_module("sslx.run" if name == "pretrain" else "sslx.frozen"), name)
    if name in _submodules():
        return import_module(f"sslx.{name}")
    raise AttributeError(f"module 'sslx' has no attribute {name!r}; dir(sslx) lists what it offers")


def __dir__() -> list[str]:
    """What there is, loaded or not."""
    return sorted([*__all__, "__version__", *_submodules()])


def _submodules() -> set[str]:
    return {module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_")}
