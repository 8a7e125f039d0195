"""The one home of type aliases. N batch, d embedding width, V views."""

from typing import TypeAlias

import numpy as np
from jax import Array
from jaxtyping import Float

AnyArray: TypeAlias = Array | np.ndarray
Number: TypeAlias = float | int | Array
Scalar: TypeAlias = Float[Array, ""]
Embedding: TypeAlias = Float[AnyArray, "N d"]
Views: TypeAlias = Float[AnyArray, "V N d"]
Matrix: TypeAlias = Float[AnyArray, "d d"]
AxisName: TypeAlias = str | tuple[str, ...] | None
