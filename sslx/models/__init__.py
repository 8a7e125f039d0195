"""Encoders and heads in flax.linen. Nothing here knows a loss.

Images are NHWC. Every module is called as `module.apply(variables, x, train=True, mutable=["batch_stats"])`. Parameters are
float32; `dtype` is the type of the computation, None for that of inputs and parameters. Batch norm takes its statistics over
`axis_name` as well as the batch, so that a batch split over devices is normalised as one.
"""

from sslx.models._convnet import MLP as MLP
from sslx.models._convnet import ConvNet as ConvNet
from sslx.models._encoders import ENCODERS as ENCODERS
from sslx.models._encoders import encoder as encoder
from sslx.models._heads import Head as Head
from sslx.models._resnet import BasicBlock as BasicBlock
from sslx.models._resnet import BottleneckBlock as BottleneckBlock
from sslx.models._resnet import ResNet as ResNet
