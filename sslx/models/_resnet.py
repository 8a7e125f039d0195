"""Residual networks (He et al., 2016, arXiv:1512.03385) in the layout of torchvision, stride on the 3x3 convolution."""

from collections.abc import Mapping
from typing import Any, TypeAlias

import jax.numpy as jnp
from flax import linen as nn
from flax.typing import Dtype
from jax import Array
from jaxtyping import Float

from sslx.models._layers import batch_norm, conv
from sslx.typing import AxisName, Embedding

Images: TypeAlias = Float[Array, "N H W C"]
Maps: TypeAlias = Float[Array, "N h w c"]


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and the shortcut: [N, H, W, C] -> [N, H / stride, W / stride, width]."""

    width: int
    stride: int
    zero_init_residual: bool
    norm: Mapping[str, Any]

    @nn.compact
    def __call__(self, x: Images, *, train: bool) -> Maps:
        """ReLU of residual plus shortcut."""
        dtype = self.norm["dtype"]
        y = conv(train, self.width, stride=self.stride, dtype=dtype, name="conv1")(x)
        y = nn.relu(batch_norm(train, name="bn1", **self.norm)(y))
        y = conv(train, self.width, dtype=dtype, name="conv2")(y)
        y = batch_norm(train, zero_scale=self.zero_init_residual, name="bn2", **self.norm)(y)
        return nn.relu(y + shortcut(x, y, self.stride, train, self.norm))


class BottleneckBlock(nn.Module):
    """1x1, 3x3 and 1x1 convolutions and the shortcut: [N, H, W, C] -> [N, H / stride, W / stride, 4 width]."""

    width: int
    stride: int
    zero_init_residual: bool
    norm: Mapping[str, Any]

    @nn.compact
    def __call__(self, x: Images, *, train: bool) -> Maps:
        """ReLU of residual plus shortcut."""
        dtype = self.norm["dtype"]
        y = conv(train, self.width, size=1, dtype=dtype, name="conv1")(x)
        y = nn.relu(batch_norm(train, name="bn1", **self.norm)(y))
        y = conv(train, self.width, stride=self.stride, dtype=dtype, name="conv2")(y)
        y = nn.relu(batch_norm(train, name="bn2", **self.norm)(y))
        y = conv(train, 4 * self.width, size=1, dtype=dtype, name="conv3")(y)
        y = batch_norm(train, zero_scale=self.zero_init_residual, name="bn3", **self.norm)(y)
        return nn.relu(y + shortcut(x, y, self.stride, train, self.norm))


def shortcut(x: Images, y: Maps, stride: int, train: bool, norm: Mapping[str, Any]) -> Maps:
    """`x`, or its 1x1 projection where the shape of the residual `y` differs. Called inside a block's compact method."""
    if x.shape == y.shape:
        return x
    x = conv(train, y.shape[-1], size=1, stride=stride, dtype=norm["dtype"], name="downsample_conv")(x)
    return batch_norm(train, name="downsample_bn", **norm)(x)


class ResNet(nn.Module):
    """A residual network without its classifier: [N, H, W, C] -> [N, features].

    `stem` "cifar" is a 3x3 convolution at full resolution; "imagenet" a 7x7 convolution with stride 2 and a 3x3 max pooling
    with stride 2. `zero_init_residual` starts every block as the identity.
    """

    blocks: tuple[int, ...] = (2, 2, 2, 2)
    bottleneck: bool = False
    stem: str = "cifar"
    width: int = 64
    zero_init_residual: bool = False
    dtype: Dtype | None = None
    axis_name: AxisName = None
    momentum: float = 0.9

    @nn.compact
    def __call__(self, x: Images, *, train: bool = False) -> Embedding:
        """Features of a batch of images, the mean over the last map."""
        norm = {"dtype": self.dtype, "axis_name": self.axis_name, "momentum": self.momentum}
        size, stride = {"cifar": (3, 1), "imagenet": (7, 2)}[self.stem]
        x = conv(train, self.width, size=size, stride=stride, dtype=self.dtype, name="conv1")(x)
        x = nn.relu(batch_norm(train, name="bn1", **norm)(x))
        if self.stem == "imagenet":
            x = nn.max_pool(x, (3, 3), (2, 2), ((1, 1), (1, 1)))  # pyright: ignore[reportArgumentType]
        block = BottleneckBlock if self.bottleneck else BasicBlock
        for i, count in enumerate(self.blocks):
            for j in range(count):
                stride = 2 if i > 0 and j == 0 else 1
                x = block(self.width * 2**i, stride, self.zero_init_residual, norm, name=f"layer{i + 1}_{j}")(x, train=train)
        return jnp.mean(x, axis=(1, 2))
