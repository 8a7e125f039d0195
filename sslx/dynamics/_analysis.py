"""Questions to ask of any flow: when does a mode escape, is a state stable, how much weight decay is too much."""

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from sslx.dynamics._flow import EigenFlow, floating
from sslx.typing import Number


def escape_time(flow: EigenFlow, lam0: ArrayLike, level: float = 0.5) -> Array:
    """The time at which each mode that starts at lam0 passes `level`, from the closed time law of the flow.

    The level is one of the eigenvalue that the flow speaks of. A mode that starts beyond it on the far side never passes it.

    Args:
        flow: one whose modes are independent (it has `arrival`).
        lam0: state at time 0, [M].
        level: eigenvalue to be passed, on the way up or down.

    Returns:
        Times [M], inf where the level is never reached; differentiable in lam0.

    Raises:
        ValueError: for a flow without a closed time law.
    """
    if flow.arrival is None:
        raise ValueError("flow has no closed time law (its modes are coupled); read the time off integrate(flow, t, lam0)")
    return flow.arrival(level, *floating(lam0))


def collapse_boundary(flow: EigenFlow, lam0: ArrayLike) -> Array:
    """The edge of the basin of collapse: a mode that starts below it ends at 0.

    It is the smallest positive fixed point where the modes below that fall.

    Args:
        flow: one whose modes are independent (it has `arrival`).
        lam0: any state, [M]; only its shape matters.

    Returns:
        Eigenvalues [M], 0 where no start collapses, inf where every start does.

    Raises:
        ValueError: for a flow whose modes are coupled.
    """
    if flow.arrival is None or flow.fixed_points is None:
        raise ValueError("flow has coupled modes: no single eigenvalue bounds its basin of collapse")
    fixed = flow.fixed_points(*floating(lam0))
    first = jnp.min(jnp.where(fixed > 0, fixed, jnp.inf), axis=0)
    below = flow.velocity(jnp.where(jnp.isfinite(first), first / 2, 1.0))
    return jnp.where(below < 0, first, 0.0)


def linear_stability(flow: EigenFlow, lam: ArrayLike) -> Array:
    """Growth rates of small perturbations of the state `lam`: the eigenvalues of d velocity/d lam there.

    They are real at the fixed points of every flow of this room, negative where the fixed point attracts; where the modes are
    independent they come in the order of the modes. Elsewhere the real parts are given.

    Args:
        flow: any flow.
        lam: state, [M] ([2, M] where the flow says so).

    Returns:
        [M] (or [2 M]).
    """
    (lam,) = floating(lam)
    jacobian = jax.jacfwd(lambda x: flow.velocity(x.reshape(lam.shape)).ravel())(lam.ravel())
    diagonal = jnp.diagonal(jacobian)
    independent = jnp.all(jacobian == jnp.diag(diagonal))
    return jnp.where(independent, diagonal, jnp.sort(jnp.linalg.eigvals(jacobian).real))


def collapse_threshold(flow: EigenFlow) -> Number:
    """The weight decay above which every mode of the flow's family collapses, whatever its start.

    Args:
        flow: a flow of a loss that withstands some weight decay; its own weight decay does not matter.

    Raises:
        ValueError: where there is no such threshold: the loss collapses (or does not) at any weight decay.
    """
    if flow.threshold is None:
        raise ValueError("flow has no collapse threshold: weight decay does not decide whether this loss collapses")
    return flow.threshold
