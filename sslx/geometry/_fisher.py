"""Average Fisher information of p(y | x) = N(f(x), sigma^2 I), as a matrix and as a matrix-free product.

x [N, ...] a batch of inputs, f maps one input [...] to one embedding [d], n numbers in an input, P parameters; J = df/dx [d, n].
The averages over x of J^T J and of J J^T do not share a spectrum, only the trace. For efficiency against the width d take `fisher_output`.

f must treat one input at a time: batch norm in evaluation mode. With `axis_name` x is this device's share of the batch and every result is
that of the whole. `batch_size` bounds memory: that many inputs at a time.
"""

from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.flatten_util import ravel_pytree
from jaxtyping import Float, PyTree

from sslx.checks import check_floating, check_integer, check_positive
from sslx.collectives import as_varying, pmean_if
from sslx.moments import at_least_float32
from sslx.typing import AxisName, Matrix, Number

Tree = TypeVar("Tree")
Function = Callable[[Array], Array]
ParametricFunction = Callable[[PyTree, Array], Array]


def fisher_input(
    f: Function, x: Float[Array, "N ..."], sigma: Number, *, batch_size: int | None = None, axis_name: AxisName = None
) -> Matrix:
    """G = mean_x J^T J / sigma^2, [n, n], the information of the embedding about the (flattened) input.

    Args:
        f: one input [...] -> one embedding [d].
        x: inputs [N, ...].
        sigma: standard deviation of the output noise, > 0.
        batch_size: inputs taken at a time; None for all at once.
        axis_name: devices over which x is spread, or None.

    Returns:
        the Fisher information, in at least float32, rank <= N d.

    Raises:
        ValueError, TypeError: unless x is floating-point [N, ...], sigma > 0 and batch_size >= 1.

    Reference: Amari (1998), Natural gradient works efficiently in learning, for the Gaussian model with mean f(x).
    """
    x = _checked(x, sigma, batch_size)

    def block(x: Array) -> Array:
        j = _jacobians(f, x) / sigma
        return jnp.einsum("Ndi,Ndj->ij", j, j, precision=lax.Precision.HIGHEST)

    return _average(block, x, batch_size, axis_name)


def fisher_output(
    f: Function, x: Float[Array, "N ..."], sigma: Number, *, batch_size: int | None = None, axis_name: AxisName = None
) -> Matrix:
    """G = mean_x J J^T / sigma^2, [d, d]: isotropic input noise of standard deviation 1 / sigma as the embedding feels it.

    It is measured in Euclidean input units, and so is its efficiency: an optimal linear Barlow Twins map has J J^T with the eigenvalues
    1/gamma_j, not I. For units of the data pass `lambda u: f(S_x_sqrt @ u)` at u = S_x_sqrt^-1 x, which gives mean J S_x J^T / sigma^2.

    Args:
        f, x, sigma, batch_size, axis_name: as `fisher_input`.

    Returns:
        the matrix [d, d], in at least float32.

    Raises:
        ValueError, TypeError: unless x is floating-point [N, ...], sigma > 0 and batch_size >= 1.
    """
    x = _checked(x, sigma, batch_size)

    def block(x: Array) -> Array:
        j = _jacobians(f, x) / sigma
        return jnp.einsum("Nai,Nbi->ab", j, j, precision=lax.Precision.HIGHEST)

    return _average(block, x, batch_size, axis_name)


def fisher_parameters(
    f: ParametricFunction,
    params: PyTree,
    x: Float[Array, "N ..."],
    sigma: Number,
    *,
    batch_size: int | None = None,
    axis_name: AxisName = None,
) -> Matrix:
    """G = mean_x J^T J / sigma^2 with J = d f(params, x) / d params, [P, P]: the Gauss-Newton matrix, in the order of `ravel_pytree`.

    Args:
        f: (params, one input [...]) -> one embedding [d].
        params: pytree of floating-point arrays, P numbers in all.
        x, sigma, batch_size, axis_name: as `fisher_input`.

    Returns:
        the matrix [P, P], in at least float32; `fisher_parameters_operator` where P^2 numbers do not fit.

    Raises:
        ValueError, TypeError: unless x is floating-point [N, ...], sigma > 0 and batch_size >= 1.

    Reference: Martens (2014), arXiv:1412.1193 (the Fisher information is the Gauss-Newton matrix for a Gaussian output).
    """
    x = _checked(x, sigma, batch_size)
    flat, unravel = ravel_pytree(params)

    def block(x: Array) -> Array:
        here = as_varying(flat, x)
        j = jax.vmap(lambda one: at_least_float32(jax.jacrev(lambda p: f(unravel(p), one))(here)))(x) / sigma
        return jnp.einsum("Ndi,Ndj->ij", j, j, precision=lax.Precision.HIGHEST)

    return _average(block, x, batch_size, axis_name)


def fisher_input_operator(
    f: Function, x: Float[Array, "N ..."], sigma: Number, *, batch_size: int | None = None, axis_name: AxisName = None
) -> Function:
    """The product v -> G v with the matrix of `fisher_input`, v shaped like one input: one jvp and one vjp per input, no matrix."""
    x = _checked(x, sigma, batch_size)

    def matvec(v: Array) -> Array:
        def one(x: Array) -> Array:
            _, pullback = jax.vjp(f, x)
            return pullback(jax.jvp(f, (x,), (as_varying(v.astype(x.dtype), x),))[1])[0]

        return _average(_summed(one, sigma), x, batch_size, axis_name)

    return matvec


def fisher_output_operator(
    f: Function, x: Float[Array, "N ..."], sigma: Number, *, batch_size: int | None = None, axis_name: AxisName = None
) -> Function:
    """The product u -> G u with the matrix of `fisher_output`, u [d]: one vjp and one jvp per input, no matrix."""
    x = _checked(x, sigma, batch_size)

    def matvec(u: Array) -> Array:
        def one(x: Array) -> Array:
            y, pullback = jax.vjp(f, x)
            return jax.jvp(f, (x,), pullback(as_varying(u.astype(y.dtype), x)))[1]

        return _average(_summed(one, sigma), x, batch_size, axis_name)

    return matvec


def fisher_parameters_operator(
    f: ParametricFunction,
    params: PyTree,
    x: Float[Array, "N ..."],
    sigma: Number,
    *,
    batch_size: int | None = None,
    axis_name: AxisName = None,
) -> Callable[[PyTree], PyTree]:
    """The product v -> G v with the matrix of `fisher_parameters`, v a pytree like params: one jvp and one vjp per input, no matrix."""
    x = _checked(x, sigma, batch_size)

    def matvec(v: PyTree) -> PyTree:
        def one(x: Array) -> PyTree:
            here = as_varying(params, x)
            _, u = jax.jvp(lambda p: f(p, x), (here,), (as_varying(v, x),))
            _, pullback = jax.vjp(lambda p: f(p, x), here)
            return pullback(u)[0]

        return _average(_summed(one, sigma), x, batch_size, axis_name)

    return matvec


def _jacobians(f: Function, x: Array) -> Array:
    """J of every input, [N, d, n]: rows by vjp where the embedding is the smaller side, columns by jvp otherwise."""
    out = jax.eval_shape(f, x[0])
    jacobian = jax.jacrev(f) if out.size <= x[0].size else jax.jacfwd(f)
    return at_least_float32(jax.vmap(jacobian)(x).reshape(x.shape[0], out.size, -1))


def _summed(one: Callable[[Array], Tree], sigma: Number) -> Callable[[Array], Tree]:
    """The function of a block of inputs that sums `one` / sigma^2 over it, in at least float32, which need not hold sigma^2."""
    return lambda x: jax.tree.map(lambda leaf: jnp.sum(at_least_float32(leaf) / sigma, axis=0) / sigma, jax.vmap(one)(x))


def _average(block: Callable[[Array], Tree], x: Array, batch_size: int | None, axis_name: AxisName) -> Tree:
    """sum of `block` over the blocks of x, over N, averaged over devices."""
    n = x.shape[0]
    size = n if batch_size is None else min(batch_size, n)
    whole = n - n % size
    blocks = x[:whole].reshape(-1, size, *x.shape[1:])
    total = block(blocks[0])
    if len(blocks) > 1:
        total, _ = lax.scan(lambda carry, one: (jax.tree.map(jnp.add, carry, block(one)), None), total, blocks[1:])
    if whole < n:
        total = jax.tree.map(jnp.add, total, block(x[whole:]))
    return pmean_if(jax.tree.map(lambda leaf: leaf / n, total), axis_name)


def _checked(x: Array, sigma: Number, batch_size: int | None) -> Array:
    """The inputs in at least float32: their products would otherwise leave the range of their own type."""
    check_floating("x", x)
    if batch_size is not None:
        check_integer("batch_size", batch_size)
    if x.ndim < 1 or x.shape[0] < 1:
        raise ValueError(f"x must have shape [N, ...] with N >= 1, got {x.shape}; add a batch axis with x[None]")
    check_positive("sigma", sigma)
    return at_least_float32(x)
