from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra.numpy import arrays

from sslx import geometry

KINDS = ("participation", "entropy", "stable", "threshold")


@jax.jit
def _dimensions(spectrum):
    return {kind: geometry.effective_dimension(spectrum, kind=kind) for kind in KINDS}


@jax.jit
def _efficiencies(matrix):
    return {kind: geometry.efficiency(matrix, kind=kind) for kind in KINDS}


@jax.jit
def _values_and_gradients(spectrum):
    return {kind: jax.value_and_grad(lambda l, kind=kind: geometry.effective_dimension(l, kind=kind))(spectrum) for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rank", [1, 3, 8])
def test_equal_eigenvalues_count_themselves(kind, rank):
    spectrum = np.where(np.arange(8) < rank, 0.3, 0.0)
    np.testing.assert_allclose(_dimensions(spectrum)[kind], rank, rtol=1e-12)
    np.testing.assert_allclose(_efficiencies(np.diag(spectrum))[kind], rank / 8, rtol=1e-12)


def test_geometric_spectrum_has_the_closed_form():
    q, d = 0.7, 12
    expected = (1 + q) * (1 - q**d) / ((1 - q) * (1 + q**d) * d)
    np.testing.assert_allclose(jax.jit(geometry.efficiency)(q ** np.arange(d)), expected, rtol=1e-12)


@settings(max_examples=40, deadline=None)
@given(arrays(np.float64, 6, elements=st.floats(1e-4, 1e4)), st.floats(1e-20, 1e20))
def test_order_and_scale(spectrum, scale):
    """Renyi orders infinity, 2, 1, 0 grow in this order, and none depends on the unit."""
    exact, scaled = _dimensions(spectrum), _dimensions((spectrum * scale).astype(np.float32))
    stable, participation, entropy = (float(exact[k]) for k in ("stable", *KINDS[:2]))
    chain = [1, stable, participation, entropy, 6]
    assert all(low <= high * (1 + 1e-12) for low, high in pairwise(chain))
    for kind in KINDS:
        np.testing.assert_allclose(scaled[kind], exact[kind], rtol=1e-5)


def test_threshold_is_strict_and_relative():
    dimension = jax.jit(geometry.effective_dimension, static_argnames=("kind", "threshold"))
    assert float(dimension(np.array([4.0, 0.4, 0.04]), kind="threshold", threshold=0.01)) == 2
    assert float(dimension(np.array([2.0, 1.0]), kind="threshold", threshold=0.5)) == 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_zero_spectrum_is_dimension_zero_with_finite_gradient(kind, dtype):
    value, gradient = _values_and_gradients(np.zeros(5, dtype))[kind]
    assert float(value) == 0
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("kind", ["participation", "entropy", "stable"])
def test_gradient_of_efficiency_is_finite_where_eigenvalues_coincide(kind):
    gradient = np.asarray(jax.jit(jax.grad(lambda g: geometry.efficiency(g, kind=kind)))(np.eye(4)))
    np.testing.assert_allclose(gradient - np.diag(np.diagonal(gradient)), 0, atol=1e-12)
    assert np.isfinite(gradient).all()


def test_nan_stays_nan():
    """In a spectrum, and in a matrix off its diagonal."""
    matrix = np.eye(8)
    matrix[0, 1] = np.nan
    assert np.isnan([*_dimensions(matrix[0]).values(), *_efficiencies(matrix).values()]).all()


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
def test_half_precision_comes_back_in_float32(dtype):
    spectrum, dimension = np.array([300.0, 200.0, 1.0, 0.5]), jax.jit(geometry.effective_dimension)
    value = dimension(spectrum.astype(dtype))
    assert value.dtype == jnp.float32
    np.testing.assert_allclose(value, dimension(spectrum), rtol=0.02)


def test_bad_input(without_typing_hook):
    with pytest.raises(ValueError, match=r"eigenvalues must have shape \[d\], got \(2, 2\); of a matrix pass jnp.linalg.eigvalsh"):
        geometry.effective_dimension(jnp.eye(2))
    with pytest.raises(ValueError, match=r"kind must be one of .*stable.*, got 'rank'"):
        geometry.efficiency(jnp.eye(2), kind="rank")
    with pytest.raises(ValueError, match=r"matrix_or_eigenvalues must have shape \[d, d\], got \(2, 3\)"):
        geometry.efficiency(jnp.ones((2, 3)))
    with pytest.raises(TypeError, match="eigenvalues must be floating-point, got dtype int"):
        geometry.effective_dimension(jnp.arange(3))
