"""The one table of encoders."""

from collections.abc import Callable
from functools import partial

from flax import linen as nn
from flax.typing import Dtype

from sslx.checks import check_choice
from sslx.models._convnet import MLP, ConvNet
from sslx.models._resnet import ResNet
from sslx.typing import AxisName

ENCODERS: dict[str, Callable[..., nn.Module]] = {
    "convnet": ConvNet,
    "mlp": MLP,
    "resnet18": ResNet,
    "resnet34": partial(ResNet, blocks=(3, 4, 6, 3)),
    "resnet50": partial(ResNet, blocks=(3, 4, 6, 3), bottleneck=True),
    "resnet18-imagenet": partial(ResNet, stem="imagenet"),
    "resnet34-imagenet": partial(ResNet, blocks=(3, 4, 6, 3), stem="imagenet"),
    "resnet50-imagenet": partial(ResNet, blocks=(3, 4, 6, 3), bottleneck=True, stem="imagenet", zero_init_residual=True),
}


def encoder(name: str, *, dtype: Dtype | None = None, axis_name: AxisName = None, momentum: float = 0.9) -> nn.Module:
    """The encoder called `name`, images [N, H, W, C] -> features [N, d].

    Args:
        name: a key of `ENCODERS`; the plain ResNets have the stem for small images, `-imagenet` that for large ones; in
            `resnet50-imagenet` every block starts as the identity, as where VICReg, Barlow Twins, SimSiam and MEC were published.
        dtype: type of the computation, None for that of inputs and parameters.
        axis_name: the device axis over which batch norm takes its statistics.
        momentum: weight of the old running statistics of batch norm.

    Raises:
        ValueError: the name is not in the table.
        TypeError: its row makes no flax.linen module of these three arguments.
    """
    check_choice("model", name, ENCODERS)
    try:
        module = ENCODERS[name](dtype=dtype, axis_name=axis_name, momentum=momentum)
    except TypeError as error:
        raise TypeError(f"model {name} must take dtype, axis_name and momentum, as fields of a flax.linen module: {error}") from error
    if not isinstance(module, nn.Module):
        found = type(module).__name__
        raise TypeError(f"model {name} must be a flax.linen module, got {found}; put one of nnx into flax.nnx.bridge.to_linen")
    return module
