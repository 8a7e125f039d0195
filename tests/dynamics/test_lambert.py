"""Lambert W against high precision, next to the branch point, far out, and differentiated."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

from sslx.dynamics import lambertw
from sslx.dynamics._lambert import one_plus_omega

BRANCH_POINT = -float(mpmath.exp(-1))
ABOVE = np.array([BRANCH_POINT + gap for gap in (1e-14, 1e-9, 1e-6, 1e-3, 0.05, 0.13, 0.15, 0.17, 0.3, 0.36787)])
POSITIVE = np.array([1e-300, 1e-12, 0.1, 1.0, np.e, 30.0, 1e8, 1e300])


def exact(x, branch):
    with mpmath.workdps(40):
        return np.array([float(mpmath.lambertw(mpmath.mpf(float(v)), branch).real) for v in x])


@pytest.mark.parametrize(("x", "branch"), [(np.concatenate([ABOVE, POSITIVE]), 0), (np.append(ABOVE, -1e-300), -1)])
def test_value_and_derivative(x, branch):
    """The value to 1e-13 (relative), the derivative e^-W/(1 + W) to what the value allows; also compiled and mapped."""
    w, slope = jax.jit(lambda x: jax.jvp(lambda x: lambertw(x, branch), (x,), (jnp.ones_like(x),)))(x)
    np.testing.assert_allclose(w, exact(x, branch), rtol=1e-13)
    np.testing.assert_allclose(slope, np.exp(-exact(x, branch)) / (1 + exact(x, branch)), rtol=1e-6)
    np.testing.assert_allclose(jax.jit(jax.vmap(lambda x: lambertw(x, branch)))(x), w, rtol=1e-15)


def test_domain_and_edges():
    w = jax.jit(lambertw, static_argnames="branch")
    got = w(np.asarray([BRANCH_POINT, -0.37, 0.0, np.inf, np.nan, -np.inf]))
    np.testing.assert_array_equal(got, [-1.0, np.nan, 0.0, np.inf, np.nan, np.nan])
    np.testing.assert_array_equal(w(np.asarray([BRANCH_POINT, -0.37, 0.0, 1.0]), branch=-1), [-1.0, np.nan, -np.inf, np.nan])
    assert float(jax.jit(jax.grad(lambertw))(0.0)) == 1.0


def test_numbers_below_the_normal_ones():
    np.testing.assert_array_equal(lambertw(np.asarray([5e-324, -1e-310])), [5e-324, -1e-310])
    assert lambertw(np.float32(1e-40)) == np.float32(1e-40)
    assert lambertw(-1e-310, -1) == -np.inf


def test_second_derivative_against_the_closed_form():
    """W'' = -e^{-2W} (2 + W)/(1 + W)^3."""
    w, second = (float(jax.jit(f)(0.7)) for f in (lambertw, jax.grad(jax.grad(lambertw))))
    np.testing.assert_allclose(second, -np.exp(-2 * w) * (2 + w) / (1 + w) ** 3, rtol=1e-12)


def test_float32():
    w = lambertw(np.float32([0.5, 1e8, -0.3]))
    assert w.dtype == jnp.float32
    np.testing.assert_allclose(w, exact(np.float32([0.5, 1e8, -0.3]), 0), rtol=1e-6)


@pytest.mark.parametrize(
    ("below", "reach", "tolerance"), [(False, [-30, -1, 0.99, 1.01, 2.5, 5.99, 6.01, 30, 1e6], 1e-15), (True, [0.004, 0.1, 3, 700], 1e-14)]
)
def test_omega_to_rounding(below, reach, tolerance):
    """1 + W_0(e^c), on either side of where its guess changes form, c = 1 and c = 6, and 1 + W_0(-e^c)."""
    x = np.asarray(reach, float)
    with mpmath.workdps(40):
        wanted = [float(1 + mpmath.lambertw(-mpmath.exp(-1 - c) if below else mpmath.exp(c)).real) for c in map(mpmath.mpf, x)]
    np.testing.assert_allclose(jax.jit(one_plus_omega)(x, np.full(len(x), below)), wanted, rtol=tolerance)


def test_other_branches_are_refused(without_typing_hook):
    with pytest.raises(ValueError, match="branch must be 0 or -1, got 1"):
        lambertw(1.0, 1)
