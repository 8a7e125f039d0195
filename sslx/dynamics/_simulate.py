"""Gradient descent on an actual linear network: the ground truth for every flow.

Shapes: W [M, N] maps N inputs to M modes; z = x W^T [B, M]; F = W W^T [M, M].
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Float, PRNGKeyArray

from sslx.checks import check_floating, check_integer
from sslx.dynamics._parameters import Noise, deviations
from sslx.linalg import product
from sslx.typing import Number

Loss = Callable[[Array, Array, Array], Array]


def eigenvalues(w: Float[Array, "M N"]) -> Float[Array, " M"]:
    """Those of F = W W^T, ascending."""
    return jnp.linalg.eigvalsh(product(w, w.T))


def simulate(
    key: PRNGKeyArray,
    w0: Float[Array, "M N"],
    loss: Loss,
    *,
    predictor: Callable[[Array], Array],
    noise: Noise = (0.0, 0.0),
    learning_rate: Number,
    steps: int,
    batch_size: int | None = None,
    weight_decay: Number = 0.0,
    record: Callable[[Array], Array] = eigenvalues,
) -> Float[Array, "T ..."]:
    """Train z = W x by plain gradient descent on `loss` and return the eigenvalues of F = W W^T on the way.

    W <- W - learning_rate (dL/dW + weight_decay W), with W_P = predictor(F) a constant under the gradient. The views are
    x + noise_i xi_i with x, xi_1, xi_2 ~ N(0, I). On a loss that is twice that of the theory (as mean ||p - z||^2 and 2 - 2 cos are)
    step n is time t = 2 learning_rate n, and weight decay eta of the theory is 2 eta here.

    Args:
        key: draws the batches.
        w0: the weights at the start, [M, N].
        loss: `loss(z1[B, M], z2[B, M], W_P[M, M]) -> scalar`, e.g. lambda a, b, p: euclidean(a @ p, b)[0].
        predictor: `predictor(F[M, M]) -> W_P[M, M]`.
        noise: standard deviations of the augmentation noise of the two views.
        learning_rate: per step.
        steps: number of updates.
        batch_size: samples drawn afresh for every step. None: one fixed batch of 3 N samples whose second moments are
            exactly those of the distribution, so that a quadratic loss has its exact population gradient.
        weight_decay: coefficient of W beside the gradient.
        record: what is kept of W, unless the ascending eigenvalues of F.

    Returns:
        The eigenvalues (or record(W)) before the first step and after each, [steps + 1, M].

    Raises:
        TypeError: for weights that are not floating-point, and where it is differentiated.
        ValueError: for weights that are not a matrix, no steps, an empty batch, or noise that is not two numbers >= 0.
    """
    check_floating("w0", w0)
    if w0.ndim != 2:
        raise ValueError(f"w0 must have shape [M, N], got {w0.shape}; W maps N inputs to M modes")
    check_integer("steps", steps)
    inputs = w0.shape[1]

    if batch_size is not None:
        check_integer("batch_size", batch_size)
    online, target = deviations(noise)

    def draw(n):
        return jax.random.normal(jax.random.fold_in(key, n), (3, batch_size or 0, inputs), w0.dtype)

    fixed = exact_batch(key, inputs, w0.dtype)

    @jax.custom_jvp
    def path(w0, online, target, learning_rate, weight_decay):
        def objective(w, x, xi_1, xi_2):
            w_p = lax.stop_gradient(predictor(product(w, w.T)))
            return loss(product(x + online * xi_1, w.T), product(x + target * xi_2, w.T), w_p)

        def step(w, n):
            batch = fixed if batch_size is None else draw(n)
            updated = w - learning_rate * (jax.grad(objective)(w, *batch) + weight_decay * w)
            return updated.astype(w.dtype), record(updated)

        return jnp.concatenate([record(w0)[None], lax.scan(step, w0, jnp.arange(steps))[1]])

    path.defjvp(refuse)
    return jax.jit(path)(w0, online, target, learning_rate, weight_decay)


def refuse(*_):
    """AD would not see how the constants under the gradient of a step, W_P and the target, depend on what came before."""
    raise TypeError("simulate has no derivative: it trains with stop-gradients, which would cut it; differentiate flow.solution instead")


def exact_batch(key: PRNGKeyArray, inputs: int, dtype) -> Float[Array, "3 B N"]:
    """x, xi_1 and xi_2 for B = 3 N samples with E[a b^T] = I for a = b and 0 otherwise, exactly: columns of a rotation."""
    size = 3 * inputs
    rotation, _ = jnp.linalg.qr(jax.random.normal(key, (size, size), dtype))
    return jnp.moveaxis((rotation * size**0.5).reshape(size, 3, inputs), 1, 0)
