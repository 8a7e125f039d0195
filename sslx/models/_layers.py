"""The layers that all models are built from, with the padding, initialisation and momentum of the published ResNets."""

from flax import linen as nn
from flax.typing import Dtype

from sslx.typing import AxisName

conv_init = nn.initializers.variance_scaling(2.0, "fan_out", "normal")


def conv(features: int, *, size: int = 3, stride: int = 1, dtype: Dtype | None = None, name: str | None = None) -> nn.Conv:
    """A `size` x `size` convolution without bias, padded by size // 2 on every side; weights N(0, 2 / fan_out)."""
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
