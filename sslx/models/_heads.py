"""Projector and predictor heads."""

from flax import linen as nn
from flax.typing import Dtype
from jax import Array
from jaxtyping import Float

from sslx.models._layers import batch_norm
from sslx.typing import AxisName


class Head(nn.Module):
    """(Linear, batch norm, ReLU) x (layers - 1), then a Linear: [N, d] -> [N, out].

    It serves as the projector and as the predictor. `final_norm` adds a batch norm without scale and bias to the output
    (the projector of SimSiam, Chen and He, 2021, arXiv:2011.10566); `bias` is that of the last Linear (the expander of VICReg
    has none, Bardes et al., 2022, arXiv:2105.04906). One layer is a linear map.
    """

    hidden: int = 256
    out: int = 64
    layers: int = 2
    bias: bool = True
    final_norm: bool = False
    dtype: Dtype | None = None
    axis_name: AxisName = None
    momentum: float = 0.9

    @nn.compact
    def __call__(self, x: Float[Array, "N d"], *, train: bool = False) -> Float[Array, "N out"]:
        """Embeddings of a batch of features."""
        norm = {"dtype": self.dtype, "axis_name": self.axis_name, "momentum": self.momentum}
        for _ in range(self.layers - 1):
            x = nn.Dense(self.hidden, use_bias=False, dtype=self.dtype)(x)
            x = nn.relu(batch_norm(train, **norm)(x))
        x = nn.Dense(self.out, use_bias=self.bias and not self.final_norm, dtype=self.dtype)(x)
        return batch_norm(train, affine=False, **norm)(x) if self.final_norm else x
