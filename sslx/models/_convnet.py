"""The small encoders: a plain convolutional network and a multilayer perceptron."""

import math

import jax.numpy as jnp
from flax import linen as nn
from flax.typing import Dtype
from jax import Array
from jaxtyping import Float

from sslx.models._layers import PatchConv, batch_norm
from sslx.typing import AxisName, Embedding

LARGE = 32


class ConvNet(nn.Module):
    """3x3 convolution, batch norm and ReLU per stage, then the mean over the image: [N, H, W, C] -> [N, widths[-1]].

    By default the strides are 1, 2 and 2; images of `LARGE` pixels and more, in which neighbours say much the same, are halved by the
    first stage too.
    """

    widths: tuple[int, ...] = (32, 64, 128)
    strides: tuple[int, ...] | None = None
    dtype: Dtype | None = None
    axis_name: AxisName = None
    momentum: float = 0.9

    @nn.compact
    def __call__(self, x: Float[Array, "N H W C"], *, train: bool = False) -> Embedding:
        """Features of a batch of images."""
        strides = self.strides or (2 if min(x.shape[1:3]) >= LARGE else 1, 2, 2)
        for width, stride in zip(self.widths, strides, strict=True):
            x = PatchConv(train, width, stride, self.dtype)(x)
            x = nn.relu(batch_norm(train, dtype=self.dtype, axis_name=self.axis_name, momentum=self.momentum)(x))
        return jnp.mean(x, axis=(1, 2))


class MLP(nn.Module):
    """Linear, batch norm and ReLU per layer on the flattened image: [N, ...] -> [N, widths[-1]]."""

    widths: tuple[int, ...] = (512, 256)
    dtype: Dtype | None = None
    axis_name: AxisName = None
    momentum: float = 0.9

    @nn.compact
    def __call__(self, x: Float[Array, "N ..."], *, train: bool = False) -> Embedding:
        """Features of a batch of images."""
        x = x.reshape(x.shape[0], math.prod(x.shape[1:]))  # -1 says nothing of no images
        for width in self.widths:
            x = nn.Dense(width, use_bias=False, dtype=self.dtype)(x)
            x = nn.relu(batch_norm(train, dtype=self.dtype, axis_name=self.axis_name, momentum=self.momentum)(x))
        return x
