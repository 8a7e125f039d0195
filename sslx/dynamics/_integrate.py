"""Adaptive integration of any flow: for those that theory does not solve, and to check those that it does."""

import contextlib
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from sslx.dynamics._flow import EigenFlow, floating


def integrate(
    flow: EigenFlow,
    t: ArrayLike,
    lam0: ArrayLike,
    *,
    rtol: float | None = None,
    atol: float | None = None,
    stiff: bool = False,
    max_steps: int = 100_000,
) -> Array:
    """The state of `flow` at the times `t`, by an adaptive Runge-Kutta method on its velocity.

    Eighth order (Dopri8), or with `stiff` an implicit method of fifth order (Kvaerno5): an explicit one needs steps of the order
    of the fastest rate's inverse, so use `stiff` far beyond the time at which the fast modes have settled.

    Args:
        flow: only its velocity is used.
        t: times >= 0, [...], in any order; for times before the start integrate the reversed flow.
        lam0: the state at time 0, [M] ([2, M] where the flow says so).
        rtol: relative tolerance per step; 1e-10 in float64, 1e-5 in float32.
        atol: absolute tolerance per step; rtol / 100.
        stiff: whether to use the implicit method.
        max_steps: steps after which it gives up.

    Returns:
        [..., M], the shape of `t` and then that of `lam0`; NaN at a time that is NaN.

    Raises:
        ValueError: for a time below 0 or without end, outside `jit`.
        RuntimeError (from diffrax): when max_steps are not enough, as at a blow-up.
    """
    import diffrax

    t, lam0 = floating(t, lam0)
    with contextlib.suppress(jax.errors.ConcretizationTypeError):
        if jnp.any(t < 0):
            reverse = "integrate flow._replace(velocity=lambda lam: -flow.velocity(lam)) up to -t"
            raise ValueError(f"t must be >= 0, got {jnp.nanmin(t)}; for times before the start {reverse}")
        if jnp.any(jnp.isinf(t)):
            raise ValueError("t must be finite, got inf; flow.solution, where there is one, and flow.fixed_points say where modes end")
    rtol = (1e-10 if lam0.dtype == jnp.float64 else 1e-5) if rtol is None else rtol
    atol = rtol / 100 if atol is None else atol
    if t.size == 0:
        return jnp.zeros(t.shape + lam0.shape, lam0.dtype)
    known = jnp.where(jnp.isnan(t), 0.0, t).ravel()
    order = jnp.argsort(known)
    times = known[order]
    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(_slope),
        diffrax.Kvaerno5() if stiff else diffrax.Dopri8(),
        t0=jnp.zeros_like(times[0]),
        t1=times[-1],
        dt0=None,
        y0=lam0,
        args=flow.velocity,
        saveat=diffrax.SaveAt(ts=times),
        stepsize_controller=diffrax.PIDController(rtol=rtol, atol=atol),
        max_steps=max_steps,
    )
    assert solution.ys is not None  # for the type checker: SaveAt(ts=...) always saves
    states = solution.ys[jnp.argsort(order)].reshape(t.shape + lam0.shape)
    return jnp.where(jnp.isnan(t).reshape(t.shape + (1,) * lam0.ndim), jnp.nan, states)


def _slope(_: Any, lam: Any, velocity: Any) -> Array:
    """One function for all flows, so that diffrax knows a flow again and compiles nothing for a second call."""
    return velocity(lam).astype(lam.dtype)
