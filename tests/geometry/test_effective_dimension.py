from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra.numpy import arrays

from sslx import geometry

KINDS = ("participation", "entropy", "stable", "threshold")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rank", [1, 3, 8])
def test_equal_eigenvalues_count_themselves(kind, rank):
    spectrum = jnp.zeros(8).at[:rank].set(0.3)
    np.testing.assert_allclose(geometry.effective_dimension(spectrum, kind=kind), rank, rtol=1e-12)
    np.testing.assert_allclose(geometry.efficiency(jnp.diag(spectrum), kind=kind), rank / 8, rtol=1e-12)


def test_geometric_spectrum_has_the_closed_form():
    q, d = 0.7, 12
    expected = (1 + q) * (1 - q**d) / ((1 - q) * (1 + q**d) * d)
    np.testing.assert_allclose(geometry.efficiency(q ** jnp.arange(d, dtype=jnp.float64)), expected, rtol=1e-12)


@settings(max_examples=40, deadline=None)
@given(arrays(np.float64, 6, elements=st.floats(1e-4, 1e4)), st.floats(1e-20, 1e20))
def test_order_and_scale(spectrum, scale):
    """Renyi orders infinity, 2, 1, 0 grow in this order, and none depends on the unit."""
    stable, participation, entropy = (float(geometry.effective_dimension(jnp.asarray(spectrum), kind=k)) for k in ("stable", *KINDS[:2]))
    chain = [1, stable, participation, entropy, 6]
    assert all(low <= high * (1 + 1e-12) for low, high in pairwise(chain))
    for kind in KINDS:
        scaled = geometry.effective_dimension(jnp.asarray(spectrum * scale, jnp.float32), kind=kind)
        np.testing.assert_allclose(scaled, geometry.effective_dimension(jnp.asarray(spectrum), kind=kind), rtol=1e-5)


def test_threshold_is_strict_and_relative():
    assert geometry.effective_dimension(jnp.array([4.0, 0.4, 0.04]), kind="threshold", threshold=0.01) == 2
    assert geometry.effective_dimension(jnp.array([2.0, 1.0]), kind="threshold", threshold=0.5) == 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_zero_spectrum_is_dimension_zero_with_finite_gradient(kind, dtype):
    value, gradient = jax.value_and_grad(lambda l: geometry.effective_dimension(l, kind=kind))(jnp.zeros(5, dtype))
    assert value == 0
    assert bool(jnp.all(jnp.isfinite(gradient)))


@pytest.mark.parametrize("kind", ["participation", "entropy", "stable"])
def test_gradient_of_efficiency_is_finite_where_eigenvalues_coincide(kind):
    gradient = jax.grad(lambda g: geometry.efficiency(g, kind=kind))(jnp.eye(4))
    np.testing.assert_allclose(gradient - jnp.diag(jnp.diagonal(gradient)), 0, atol=1e-12)
    assert bool(jnp.all(jnp.isfinite(gradient)))


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
def test_half_precision_comes_back_in_float32(dtype):
    spectrum = jnp.array([300.0, 200.0, 1.0, 0.5])
    value = geometry.effective_dimension(spectrum.astype(dtype))
    assert value.dtype == jnp.float32
    np.testing.assert_allclose(value, geometry.effective_dimension(spectrum), rtol=0.02)


def test_bad_input(without_typing_hook):
    with pytest.raises(ValueError, match=r"eigenvalues must have shape \[d\], got \(2, 2\); of a matrix pass jnp.linalg.eigvalsh"):
        geometry.effective_dimension(jnp.eye(2))
    with pytest.raises(ValueError, match=r"kind must be one of .*'stable'.*, got 'rank'"):
        geometry.efficiency(jnp.eye(2), kind="rank")
    with pytest.raises(ValueError, match=r"matrix_or_eigenvalues must have shape \[d, d\], got \(2, 3\)"):
        geometry.efficiency(jnp.ones((2, 3)))
    with pytest.raises(TypeError, match="eigenvalues must be floating-point, got dtype int"):
        geometry.effective_dimension(jnp.arange(3))
