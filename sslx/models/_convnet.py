"""The small encoders: a plain convolutional network and a multilayer perceptron."""

from functools import partial

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.linen.dtypes import promote_dtype
from flax.typing import Dtype
from jax import Array
from jaxtyping import Float

from sslx.models._layers import batch_norm, conv_init
from sslx.typing import AxisName, Embedding


def patches(x: Float[Array, "N H W C"], stride: int) -> Float[Array, "N h w nine_C"]:
    """The nine pixels around every `stride`-th one side by side, zeros beyond the border."""
    height, width = -(-x.shape[1] // stride), -(-x.shape[2] // stride)
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    shifted = [padded[:, i : i + stride * height : stride, j : j + stride * width : stride] for i in range(3) for j in range(3)]
    return jnp.concatenate([part[:, :height, :width] for part in shifted], axis=-1)


@partial(jax.custom_jvp, nondiff_argnums=(2,))
def convolve(x: Float[Array, "N H W C"], kernel: Float[Array, "3 3 C F"], stride: int) -> Float[Array, "N h w F"]:
    """A 3x3 convolution padded by one pixel, whose derivative is written as matrix products of `patches`.

    On a CPU XLA's convolution is the fastest forward and its gradient several times slower than such a product.
    """
    return jax.lax.conv_general_dilated(x, kernel, (stride, stride), ((1, 1), (1, 1)), dimension_numbers=("NHWC", "HWIO", "NHWC"))


@convolve.defjvp
def _(stride: int, primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    (x, kernel), (dx, dkernel) = primals, tangents
    rows, width = 9 * kernel.shape[2], kernel.shape[3]
    moved = patches(x, stride) @ dkernel.reshape(rows, width) + patches(dx, stride) @ kernel.reshape(rows, width)
    return convolve(x, kernel, stride), moved


class PatchConv(nn.Module):
    """A 3x3 convolution without bias that trains fast on a CPU; it shares its parameters with `nn.Conv`."""

    features: int
    stride: int = 1
    dtype: Dtype | None = None

    @nn.compact
    def __call__(self, x: Float[Array, "N H W C"]) -> Float[Array, "N h w features"]:
        """[N, H, W, C] -> [N, H / stride, W / stride, features], padded by one pixel."""
        kernel = self.param("kernel", conv_init, (3, 3, x.shape[-1], self.features), jnp.float32)
        x, kernel = promote_dtype(x, kernel, dtype=self.dtype)
        return convolve(x, kernel, self.stride)


class ConvNet(nn.Module):
    """3x3 convolution, batch norm and ReLU per stage, then the mean over the image: [N, H, W, C] -> [N, widths[-1]]."""

    widths: tuple[int, ...] = (32, 64, 128)
    strides: tuple[int, ...] = (1, 2, 2)
    dtype: Dtype | None = None
    axis_name: AxisName = None
    momentum: float = 0.9

    @nn.compact
    def __call__(self, x: Float[Array, "N H W C"], *, train: bool = False) -> Embedding:
        """Features of a batch of images."""
        for width, stride in zip(self.widths, self.strides, strict=True):
            x = PatchConv(width, stride, self.dtype)(x)
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
        x = x.reshape(x.shape[0], -1)
        for width in self.widths:
            x = nn.Dense(width, use_bias=False, dtype=self.dtype)(x)
            x = nn.relu(batch_norm(train, dtype=self.dtype, axis_name=self.axis_name, momentum=self.momentum)(x))
        return x
