"""The trainer: state, optimisers, the step as a pure function, and the host loop that calls it.

V views, N batch, d embedding width.
"""

from sslx.train._batches import batches as batches, epoch_order as epoch_order, streamed as streamed
from sslx.train._loop import Divergence as Divergence, Event as Event, train as train
from sslx.train._network import Network as Network, Outputs as Outputs, apply_views as apply_views, init as init
from sslx.train._optimizer import OPTIMIZERS as OPTIMIZERS, optimizer as optimizer, warmup_cosine as warmup_cosine
from sslx.train._probe import init_probe as init_probe, probe_accuracy as probe_accuracy, probe_step as probe_step
from sslx.train._resident import make_chunk as make_chunk
from sslx.train._state import TrainState as TrainState, create_state as create_state
from sslx.train._step import Batch as Batch, make_step as make_step
