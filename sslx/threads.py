"""The threads of BLAS, of which NumPy and SciPy have a pool each; XLA takes the LAPACK of SciPy's on a CPU."""

from functools import cache

import scipy.linalg  # noqa: F401  # its pool has to be there to be found
from threadpoolctl import ThreadpoolController


@cache
def thread_pools() -> ThreadpoolController:
    """The thread pools of the loaded libraries; to find them takes as long as a small fit."""
    return ThreadpoolController()
