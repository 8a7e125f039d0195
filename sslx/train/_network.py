"""An encoder with its heads, applied to all views of a batch at once."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array
from jaxtyping import Float

from sslx.typing import Views

Variables = dict[str, Any]


class Outputs(NamedTuple):
    """What the network gives for V views: encoder features, projections z, predictions p (z itself without a predictor)."""

    features: Views
    z: Views
    p: Views


class Network(nn.Module):
    """Encoder, projector and, where a method learns one, predictor: images [N, H, W, C] -> (features, z, p)."""

    encoder: nn.Module
    projector: nn.Module
    predictor: nn.Module | None = None

    def __call__(self, x: Float[Array, "N ..."], *, train: bool = False) -> tuple[Array, Array, Array]:
        """Features, projection and prediction of one view."""
        features = self.encoder(x, train=train)
        z = self.projector(features, train=train)
        return features, z, z if self.predictor is None else self.predictor(z, train=train)

    def features(self, x: Float[Array, "N ..."]) -> Array:
        """The encoder alone, in inference mode: what evaluation and downstream tasks use."""
        return self.encoder(x, train=False)


def init(network: Network, key: Array, images: Float[Array, "N ..."]) -> Variables:
    """Parameters and batch statistics for images of this shape."""
    return jax.jit(lambda k, x: network.init(k, x, train=False))(key, images)


def apply_views(
    network: Network, variables: Variables, views: Float[Array, "V N ..."], micro_batches: int = 1, *, key: Array | None = None
) -> tuple[Outputs, Variables]:
    """All views in training mode, one after the other, and the batch statistics after the last.

    Each view is normalised by its own batch, as in the published codes. (One vmap over the views would need half the
    compilation, but the gradient of a convolution under vmap is several times slower on a CPU.)

    With several micro-batches one after the other goes through the network, and again in the backward pass, so that the memory of one
    is enough. The embeddings are those of the whole batch, and so a loss of batch statistics and its gradient are exact (Gao et al.,
    2021, arXiv:2101.06983), where adding the gradients of a loss of each part would be another loss; batch norm alone sees a
    micro-batch, as without synchronisation it sees a device's share.

    `key` is for what the network draws as flax's "dropout" (`nn.Dropout`, stochastic depth): other masks for every view and micro-batch.
    """
    if micro_batches > 1:
        return apply_in_parts(network, variables, views, micro_batches, key)
    outputs = []
    for i, view in enumerate(views):
        rngs = None if key is None else {"dropout": jax.random.fold_in(key, i)}
        out, new = network.apply(variables, view, train=True, mutable=["batch_stats"], rngs=rngs)
        variables = {**variables, **new}
        outputs.append(out)
    features, z, p = (jnp.stack(parts) for parts in zip(*outputs, strict=True))
    return Outputs(features, z, p), variables.get("batch_stats", {})


def apply_in_parts(
    network: Network, variables: Variables, views: Float[Array, "V N ..."], parts: int, key: Array | None
) -> tuple[Outputs, Variables]:
    """`apply_views` on rows i, i + parts, i + 2 parts, ... for every i < parts, keeping only the outputs for the backward pass."""
    v, n = views.shape[:2]
    if n % parts:
        raise ValueError(f"micro_batches must divide the {n} images of the batch, got {parts}; take a divisor")

    @jax.checkpoint
    def body(batch_stats: Any, x: tuple[Array, Array | None]) -> tuple[Any, Outputs]:
        part, part_key = x
        out, batch_stats = apply_views(network, {**variables, "batch_stats": batch_stats}, part, key=part_key)
        return batch_stats, out

    split = jnp.moveaxis(views.reshape(v, n // parts, parts, *views.shape[2:]), 2, 0)
    keys = None if key is None else jax.random.split(key, parts)
    batch_stats, outputs = jax.lax.scan(body, variables.get("batch_stats", {}), (split, keys))
    return Outputs(*(jnp.moveaxis(x, 0, 2).reshape(v, n, -1) for x in outputs)), batch_stats
