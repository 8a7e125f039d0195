"""Paths next to a fixed point."""

import jax.numpy as jnp
import numpy as np
import pytest

from sslx.dynamics._neighbourhood import riccati


@pytest.mark.parametrize(("bend", "exact"), [(1.0, np.tan), (-1.0, np.tanh)])
def test_a_parabola_without_slope_is_a_tangent(bend, exact):
    """dx/dt = 1 +- x^2 from 0, to rounding where the series of tanh ends, |r t| = 0.02."""
    time = 0.00999
    np.testing.assert_allclose(riccati(*map(jnp.asarray, (1.0, 0.0, bend, time, 0.0))), exact(time), rtol=1e-15)
