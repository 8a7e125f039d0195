"""Encoders and heads in flax.linen. Nothing here knows a loss.

Images are NHWC. Every module is called as `module.apply(variables, x, train=True, mutable=["batch_stats"])`. Parameters are
float32; `dtype` is the type of the computation, None for that of inputs and parameters. Batch norm takes its statistics over
`axis_name` as well as the batch, so that a batch split over devices is normalised as one.
"""

from sslx.models._convnet import MLP as MLP, ConvNet as ConvNet
from sslx.models._encoders import ENCODERS as ENCODERS, encoder as encoder
from sslx.models._heads import Head as Head
from sslx.models._resnet import BasicBlock as BasicBlock, BottleneckBlock as BottleneckBlock, ResNet as ResNet
from sslx.models._torch import from_torch as from_torch, to_torch as to_torch
