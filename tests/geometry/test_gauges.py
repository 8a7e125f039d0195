import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sslx import geometry

by_gauge, efficiency = jax.jit(geometry.efficiencies), jax.jit(geometry.efficiency, static_argnames="kind")


@pytest.fixture(scope="module")
def z():
    generator = np.random.default_rng(0)
    return generator.normal(size=(60, 5)) @ generator.normal(size=(5, 5)) + 2


def test_each_gauge_is_its_matrix(z):
    found = by_gauge(z)
    matrices = {"uncentred": z.T @ z, "centred": np.cov(z.T), "standardised": np.corrcoef(z.T)}
    for gauge, matrix in matrices.items():
        for kind in geometry.Efficiencies._fields:
            expected = efficiency(np.linalg.eigvalsh(matrix), kind=kind)
            np.testing.assert_allclose(getattr(getattr(found, gauge), kind), expected, rtol=1e-9, err_msg=f"{gauge} {kind}")


def test_what_each_gauge_ignores(z):
    plain, moved, rescaled = by_gauge(z), by_gauge(z + 7), by_gauge(z * np.array([1.0, 2, 3, 4, 50]))
    np.testing.assert_allclose(moved.centred, plain.centred, rtol=1e-9)
    np.testing.assert_allclose(rescaled.standardised, plain.standardised, rtol=1e-9)
    assert float(moved.uncentred.participation) < 0.9 * float(plain.uncentred.participation)
    assert float(rescaled.centred.participation) < 0.9 * float(plain.centred.participation)


@pytest.mark.parametrize("exponent", [-66, 66])
def test_no_gauge_depends_on_the_unit_and_the_standardised_one_not_on_those_of_the_features(z, exponent):
    z = z.astype(np.float32)
    plain, scaled, mixed = by_gauge(z), by_gauge(np.ldexp(z, exponent)), by_gauge(np.ldexp(z, [0, exponent, 0, 0, 0]))
    np.testing.assert_allclose(scaled, plain, rtol=1e-5)
    np.testing.assert_allclose(mixed.standardised, plain.standardised, rtol=1e-5)


def test_split_batch_and_collapse(z):
    split = jax.jit(jax.vmap(lambda part: geometry.efficiencies(part, axis_name="i"), axis_name="i"))(z.reshape(4, 15, 5))
    for got, wanted in zip(jax.tree.leaves(split), jax.tree.leaves(by_gauge(z)), strict=True):
        np.testing.assert_allclose(got, np.full(4, wanted), rtol=1e-9)
    collapsed = by_gauge(np.full((60, 5), 0.1))
    np.testing.assert_allclose(collapsed.uncentred, 0.2, rtol=1e-6)
    np.testing.assert_array_equal(collapsed.standardised, 0)


def test_bad_input(without_typing_hook):
    with pytest.raises(ValueError, match=r"z must have at least 2 rows over all devices, got 1; pass a larger batch"):
        geometry.efficiencies(jnp.ones((1, 3)))
