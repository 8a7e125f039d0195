"""The layers that all models are built from, with the padding, initialisation and momentum of the published ResNets."""

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.linen.dtypes import promote_dtype
from flax.typing import Dtype
from jax import Array
from jaxtyping import Float

from sslx.typing import AxisName

conv_init = nn.initializers.variance_scaling(2.0, "fan_out", "normal")


def patches(x: Float[Array, "N H W C"], stride: int) -> Float[Array, "N h w nine_C"]:
    """The nine pixels around every `stride`-th one side by side, zeros beyond the border."""
    height, width = -(-x.shape[1] // stride), -(-x.shape[2] // stride)
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    shifted = [padded[:, i : i + stride * height : stride, j : j + stride * width : stride] for i in range(3) for j in range(3)]
    return jnp.concatenate([part[:, :height, :width] for part in shifted], axis=-1)


def convolve(x: Float[Array, "N H W C"], kernel: Float[Array, "3 3 C F"], stride: int) -> Float[Array, "N h w F"]:
    """A 3x3 convolution padded by one pixel."""
    return jax.lax.conv_general_dilated(x, kernel, (stride, stride), ((1, 1), (1, 1)), dimension_numbers=("NHWC", "HWIO", "NHWC"))


def convolve_on_cpu(x: Float[Array, "N H W C"], kernel: Float[Array, "3 3 C F"], stride: int) -> Float[Array, "N h w F"]:
    """`convolve` as a product of `patches`.

    On a CPU XLA's gradient of a convolution is several times slower: forward and gradient of a ResNet-18 for 32 images took 4.3 s with it
    and 1.7 s so, where none of XLA's options helped (2 cores, jax 0.10.2; PyTorch 1.0 s). Forward alone a convolution is faster: 0.49 s
    for 64 images against 0.67 s.
    """
    return patches(x, stride) @ kernel.reshape(-1, kernel.shape[3])


class PatchConv(nn.Module):
    """A 3x3 convolution without bias, fast on a CPU too, to train as to infer; it shares its parameters with `nn.Conv`."""

    train: bool
    features: int
    stride: int = 1
    dtype: Dtype | None = None

    @nn.compact
    def __call__(self, x: Float[Array, "N H W C"]) -> Float[Array, "N h w features"]:
        """[N, H, W, C] -> [N, H / stride, W / stride, features], padded by one pixel."""
        kernel = self.param("kernel", conv_init, (3, 3, x.shape[-1], self.features), jnp.float32)
        x, kernel = promote_dtype(x, kernel, dtype=self.dtype)
        return (convolve_on_cpu if self.train and jax.default_backend() == "cpu" else convolve)(x, kernel, self.stride)


def conv(train: bool, features: int, *, size: int = 3, stride: int = 1, dtype: Dtype | None = None, name: str | None = None) -> nn.Module:
    """A `size` x `size` convolution without bias, to `train` or to infer, padded by size // 2 on every side; weights N(0, 2 / fan_out)."""
    if size == 3:
        return PatchConv(train, features, stride, dtype, name=name)
    padding = ((size // 2, size // 2),) * 2
    return nn.Conv(features, (size, size), (stride, stride), padding, use_bias=False, dtype=dtype, kernel_init=conv_init, name=name)


def batch_norm(
    train: bool,
    *,
    dtype: Dtype | None = None,
    axis_name: AxisName = None,
    momentum: float = 0.9,
    affine: bool = True,
    zero_scale: bool = False,
    name: str | None = None,
) -> nn.BatchNorm:
    """Batch norm; `momentum` multiplies the old running statistics, `zero_scale` starts a residual branch at zero."""
    return nn.BatchNorm(
        use_running_average=not train,
        axis_name=axis_name,  # pyright: ignore[reportArgumentType]  # flax hands it to lax.pmean, which takes tuples too
        momentum=momentum,
        epsilon=1e-5,
        dtype=dtype,
        use_bias=affine,
        use_scale=affine,
        scale_init=nn.initializers.zeros if zero_scale else nn.initializers.ones,
        name=name,
    )
