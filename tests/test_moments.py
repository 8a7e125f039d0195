import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from sslx import moments

R = np.random.default_rng(0)
A, B = R.normal(size=(2, 8, 3)) + 2

MOMENTS = {
    "mean": (moments.mean, lambda a: a.mean(0)),
    "centre": (moments.centre, lambda a: a - a.mean(0)),
    "variance": (moments.variance, lambda a: a.var(0)),
    "second moment": (moments.second_moment, lambda a: a.T @ a / 8),
    "covariance": (moments.covariance, lambda a: np.cov(a.T)),
    "biased covariance": (lambda z, **axis: moments.covariance(z, ddof=0, **axis), lambda a: np.cov(a.T, ddof=0)),
    "standardise": (moments.standardise, lambda a: (a - a.mean(0)) / np.sqrt(a.var(0) + 1e-5)),
}


@pytest.mark.parametrize("name", MOMENTS)
def test_moment_equals_numpy_on_one_and_on_four_devices(name):
    function, twin = MOMENTS[name]
    np.testing.assert_allclose(jax.jit(function)(A), twin(A), rtol=1e-12)
    spread = jax.pmap(lambda z: function(z, axis_name="batch"), axis_name="batch", devices=jax.devices()[:4])(A.reshape(4, 2, 3))
    found = np.concatenate(spread) if name in ("centre", "standardise") else spread[3]
    np.testing.assert_allclose(found, twin(A), rtol=1e-12)


def test_second_moment_of_two_views():
    np.testing.assert_allclose(jax.jit(moments.second_moment)(A, B), A.T @ B / 8, rtol=1e-12)


@pytest.mark.parametrize(
    ("given", "wanted"), [("float16", "float32"), ("bfloat16", "float32"), ("float32", "float32"), ("float64", "float64")]
)
def test_statistics_are_in_at_least_float32(given, wanted):
    assert jax.jit(moments.covariance)(A.astype(given)).dtype == wanted


def test_covariance_of_float16_does_not_overflow():
    z = np.float16([[0, 0], *[[6e4, 6e4]] * 3])
    assert np.max(jax.jit(moments.covariance)(z)) == pytest.approx(6e4**2 / 4, rel=1e-3)


@pytest.mark.parametrize("rows", [5, 512, 513])
def test_the_gram_matrix_of_the_rows_and_its_derivatives(rows):
    z, g = R.normal(size=(rows, 3)), R.normal(size=(rows, rows))

    @jax.jit
    def value_and_pulled(z, g):
        found, pull = jax.vjp(moments.row_gram, z)
        return found, *pull(g)

    found, pulled = value_and_pulled(z, g)
    np.testing.assert_allclose(found, z @ z.T, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(pulled, (g + g.T) @ z, rtol=1e-12, atol=1e-11)


@pytest.mark.parametrize("columns", [7, 40])
def test_square_sums_of_few_and_of_many_columns(columns):
    """The second way, by the Gram matrices of the rows, is taken from twice as many columns as rows."""
    a, b = R.normal(size=(2, 8, columns))
    square_sums = jax.jit(moments.square_sums)
    for other in (b, None):
        c = a.T @ (a if other is None else other) / 8
        found = square_sums(a, other)
        np.testing.assert_allclose(found[0], np.diagonal(c), rtol=1e-12)
        np.testing.assert_allclose(found[1], np.sum(c**2) - np.sum(np.diagonal(c) ** 2), rtol=1e-10)
    check_grads(lambda a, b: square_sums(a, b)[1], (a, b), order=1, modes=["fwd", "rev"], rtol=1e-6)
    check_grads(lambda a: square_sums(a)[1], (a,), order=1, modes=["fwd", "rev"], rtol=1e-6)


def test_square_sums_where_one_feature_holds_all_of_the_variance():
    """There the covariance itself is taken: value and gradient as exact as off its diagonal, where few digits of the trace are left."""
    z = R.normal(size=(8, 40)) * np.r_[1e4, np.ones(39)]
    found, gradient = jax.jit(jax.value_and_grad(lambda z: moments.square_sums(z)[1]))(z)
    off = z.T @ z / 8 * (1 - np.eye(40))
    assert np.sum(off**2) < 0.01 * np.sum((z.T @ z / 8) ** 2)
    np.testing.assert_allclose(found, np.sum(off**2), rtol=1e-12)
    np.testing.assert_allclose(gradient, 4 * z @ off / 8, rtol=1e-11)


@pytest.mark.parametrize("decay", [0.0, 0.01, 0.5, 0.998, 0.999999, 1.0])
def test_a_moving_average_keeps_its_digits_next_to_what_weighs_little(decay):
    rng = np.random.default_rng(0)
    old, new = rng.normal(size=(2, 50))
    for a, b in ((old, new), (0 * old, new), (old, 0 * new)):
        exact = decay * a + (1 - decay) * b
        found = moments.moving_average(jnp.asarray(a, jnp.float32), jnp.asarray(b, jnp.float32), decay)
        np.testing.assert_allclose(found, exact, rtol=3e-7, atol=3e-7 * np.abs(exact).max())
    large, small = jnp.full(3, 1e8, jnp.float32), jnp.arange(3, dtype=jnp.float32)
    assert jnp.array_equal(moments.moving_average(small, large, 1.0), small)
    assert jnp.array_equal(moments.moving_average(large, small, 0.0), small)
