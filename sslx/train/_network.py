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


def apply_views(network: Network, variables: Variables, views: Float[Array, "V N ..."]) -> tuple[Outputs, Variables]:
    """All views in training mode, one after the other, and the batch statistics after the last.

    Each view is normalised by its own batch, as in the published codes. (One vmap over the views would need half the
    compilation, but the gradient of a convolution under vmap is several times slower on a CPU.)
    """
    outputs = []
    for view in views:
        out, new = network.apply(variables, view, train=True, mutable=["batch_stats"])
        variables = {**variables, **new}
        outputs.append(out)
    features, z, p = (jnp.stack(parts) for parts in zip(*outputs, strict=True))
    return Outputs(features, z, p), variables.get("batch_stats", {})
