"""sslx: joint-embedding self-supervised learning in JAX.

The losses people train with (`sslx.losses`), a trainer that runs them (`sslx.pretrain`), and the exact mathematics that
predicts what the trainer does (`sslx.dynamics`, `sslx.information`, `sslx.geometry`). Importing `sslx` loads none of them.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sslx.run import features as features, load as load, pretrain as pretrain

__version__ = "0.1.0"
__all__ = ["features", "load", "pretrain"]


def __getattr__(name: str):
    """Load `pretrain`, `load` and `features` on first use, so that `import sslx` stays light."""
    if name in __all__:
        from sslx import run

        return getattr(run, name)
    raise AttributeError(f"module 'sslx' has no attribute {name!r}; it offers {', '.join(__all__)} and its submodules")
