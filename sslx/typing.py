"""The one home of type aliases. N batch, d embedding width, V views."""

from typing import TypeAlias

from jax import Array
from jaxtyping import Float

Scalar: TypeAlias = Float[Array, ""]
Embedding: TypeAlias = Float[Array, "N d"]
Views: TypeAlias = Float[Array, "V N d"]
Matrix: TypeAlias = Float[Array, "d d"]
AxisName: TypeAlias = str | tuple[str, ...] | None
