"""A linear classifier that is trained beside the encoder, on features through which no gradient flows back.

V views, N batch, d features, K classes; a label of -1 is not known, and its image is left out.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from jaxtyping import Float, Int

from sslx.collectives import pmean_if, psum_if
from sslx.typing import AnyArray, AxisName, Scalar, Views

Probe = dict[str, Any]
OPTIMIZER = optax.adam(1e-3)


def init_probe(width: int, classes: int) -> Probe:
    """A probe of `width` features before its first step: weights and bias zero."""
    params = {"kernel": jnp.zeros((width, classes), jnp.float32), "bias": jnp.zeros(classes, jnp.float32)}
    return {"params": params, "opt_state": OPTIMIZER.init(params)}


def probe_step(probe: Probe, features: Views, labels: Int[Array, " N"], *, axis_name: AxisName = None) -> tuple[Probe, dict[str, Scalar]]:
    """One step of Adam (learning rate 1e-3) on the cross-entropy, the mean over all views of the labelled images of all devices.

    Returns:
        The probe, and the loss and accuracy of the probe as it was before the step.
    """
    known = jnp.broadcast_to(labels >= 0, features.shape[:2])
    features = jax.lax.stop_gradient(jnp.where(known[..., None], features, 0.0))

    def totals(params: Any) -> tuple[Array, list[Array]]:
        logits = features @ params["kernel"] + params["bias"]
        targets = jnp.broadcast_to(jnp.maximum(labels, 0), known.shape)
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, targets)
        hits = (logits.argmax(-1) == targets) & known
        loss, *counts = psum_if((jnp.sum(losses * known), jnp.sum(hits), jnp.sum(known)), axis_name)
        return loss, counts

    (loss, (hits, count)), grads = jax.value_and_grad(totals, has_aux=True)(probe["params"])
    count = jnp.maximum(count, 1)
    grads = jax.tree.map(lambda g: g / count, pmean_if(grads, axis_name))
    updates, opt_state = OPTIMIZER.update(grads, probe["opt_state"])
    params = optax.apply_updates(probe["params"], updates)
    return {"params": params, "opt_state": opt_state}, {"probe_loss": loss / count, "probe_accuracy": hits / count}


def probe_accuracy(probe: Probe, features: Float[AnyArray, "N d"], labels: Int[AnyArray, " N"]) -> float:
    """The fraction of labelled images whose class the probe names; nan where their features are not finite."""
    known = np.asarray(labels) >= 0
    with np.errstate(invalid="ignore"):
        logits = np.asarray(features @ probe["params"]["kernel"] + probe["params"]["bias"])[known]
    hits = logits.argmax(-1) == np.asarray(labels)[known]
    return float(np.mean(np.where(np.isfinite(logits).all(-1), hits, np.nan)))
