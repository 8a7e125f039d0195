"""The density that a deterministic network induces from Gaussian noise on its input.

f maps ONE input x (any shape, D entries) to one embedding [K]; run batch norm in inference mode. A piecewise affine f (ReLU,
max pooling, convolution) is exactly f(x + e) = f(x) + A e inside one affine region; elsewhere A is its linearisation.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike
from jaxtyping import Float, Num, PRNGKeyArray

from sslx.checks import check_floating, check_integer, check_range
from sslx.linalg import product
from sslx.moments import at_least_float32

Network = Callable[[Array], Array]


def local_affine(f: Network, x: Float[Array, "..."]) -> tuple[Float[Array, "K D"], Float[Array, " K"]]:
    """The affine map that agrees with f at x to first order.

    f(x + e) = A (x + e) + b,  A = J_f(x),  b = f(x) - A x, with x flattened to [D].

    Args:
        f: one input -> one embedding [K].
        x: one input of any shape, D entries.

    Returns:
        A [K, D] and b [K].

    Raises:
        TypeError, ValueError: x is not floating-point, or f(x) is not one vector.

    Reference: Shwartz-Ziv, Balestriero, Kawaguchi, Rudner, LeCun, 2023, arXiv 2303.00633, the piecewise affine form of a network.
    """
    flat, x = _flattened(f, x)
    value, jacobian = flat(x), _jacobian(flat, x)
    return jacobian, value - product(jacobian, x)


def induced_gaussian(f: Network, x: Float[Array, "..."], cov_or_sigma: ArrayLike) -> tuple[Float[Array, " K"], Float[Array, "K K"]]:
    """Mean and covariance of f(x + e), e ~ N(0, S), when the mass of e stays in the affine region of x.

    mean = f(x),  cov = A S A^T,  A = J_f(x).

    Args:
        f: one input -> one embedding [K].
        x: one input of any shape, D entries.
        cov_or_sigma: a scalar standard deviation of isotropic noise, or the covariance S [D, D] of the flattened input.

    Returns:
        mean [K] and covariance [K, K] (of rank at most min(K, D)). A is formed; for large K and D use `induced_covariance_operator`.

    Raises:
        TypeError, ValueError: x is not floating-point, f(x) is not one vector, S has another shape, or the standard deviation is below 0.

    Reference: Shwartz-Ziv et al., 2023, arXiv 2303.00633, the theorem on the density of the representation.
    """
    flat, x = _flattened(f, x)
    noise = _noise(cov_or_sigma, x)
    jacobian = _jacobian(flat, x)
    spread = jacobian * noise**2 if noise.ndim == 0 else product(jacobian, noise)
    return flat(x), product(spread, jacobian.T)


def induced_mixture(f: Network, x: Float[Array, "N ..."], cov_or_sigma: ArrayLike) -> tuple[Float[Array, "N K"], Float[Array, "N K K"]]:
    """Means [N, K] and covariances [N, K, K] of the uniform Gaussian mixture that f induces from a data set x [N, ...].

    One component per image, each as in `induced_gaussian`, one image at a time. A Jacobian without full rank (K > D, dead units)
    makes a singular component, whose entropy is -inf: add delta I to the covariances, the entropy of Z plus noise of variance delta.
    """
    return lax.map(lambda image: induced_gaussian(f, image, cov_or_sigma), x)


def induced_covariance_operator(
    f: Network, x: Float[Array, "..."], cov_or_sigma: ArrayLike
) -> tuple[Float[Array, " K"], Callable[[Array], Array]]:
    """Mean [K] and the product v -> A S A^T v of the induced Gaussian, without forming A.

    One reverse and one forward product through f per call; arguments as in `induced_gaussian`.
    """
    flat, x = _flattened(f, x)
    noise = _noise(cov_or_sigma, x)
    mean, pullback = jax.vjp(flat, x)

    def matvec(v: Num[Array, " K"]) -> Float[Array, " K"]:
        (u,) = pullback(jnp.asarray(v, mean.dtype))
        spread = noise**2 * u if noise.ndim == 0 else product(noise, u)
        return jax.jvp(flat, (x,), (spread,))[1]

    return mean, matvec


def induced_samples(
    key: PRNGKeyArray, f: Network, x: Float[Array, "..."], sigma: ArrayLike, *, samples: int = 512
) -> Float[Array, "samples K"]:
    """Draws from the induced Gaussian, f(x) + A e with e ~ N(0, sigma^2 I), [samples, K], by forward products only."""
    check_integer("samples", samples)
    check_range("sigma", sigma)
    flat, x = _flattened(f, x)
    mean, push = jax.linearize(flat, x)
    return mean + jax.vmap(push)(sigma * jax.random.normal(key, (samples, x.size), x.dtype))


def _flattened(f: Network, x: Array) -> tuple[Network, Array]:
    """F as a function of the flattened input [D], and that input, in at least float32."""
    check_floating("x", x)
    x = at_least_float32(x)
    out = jax.eval_shape(f, x)
    if not hasattr(out, "shape") or len(out.shape) != 1:
        raise ValueError(f"f must map one input of shape {x.shape} to one vector [K], got {out}; call the model on x[None] and take [0]")
    return lambda flat: at_least_float32(f(flat.reshape(x.shape))), x.reshape(-1)


def _noise(cov_or_sigma: ArrayLike, x: Array) -> Array:
    check_range("cov_or_sigma", cov_or_sigma)
    noise = jnp.asarray(cov_or_sigma, x.dtype)
    if noise.shape not in ((), (x.size, x.size)):
        raise ValueError(
            f"cov_or_sigma must be a scalar standard deviation or a covariance of shape {(x.size, x.size)}, got shape {noise.shape}; "
            "use jnp.diag(variances) for independent pixels"
        )
    return noise


def _jacobian(flat: Network, x: Array) -> Array:
    outputs = jax.eval_shape(flat, x).shape[0]
    return (jax.jacrev if outputs < x.size else jax.jacfwd)(flat)(x)
