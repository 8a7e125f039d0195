import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sslx.predictors import correlation_update, directcopy, directpred, directpred_by_products

R = np.random.default_rng(0)
Z = R.normal(size=(16, 4)) * [2, 1, 0.5, 0.1] + 0.3
CORR = Z.T @ Z / len(Z)
predictor = jax.jit(directpred, static_argnames="normalize")
by_products = jax.jit(directpred_by_products, static_argnames="alpha")


@pytest.mark.parametrize(("alpha", "eps"), [(0.5, 0.0), (0.5, 0.1), (1.0, 0.25), (2.0, 0.1), (0.3, 0.0)])
@pytest.mark.parametrize("normalize", [True, False])
def test_directpred_raises_the_eigenvalues_to_a_power(alpha, eps, normalize):
    c, u = np.linalg.eigh(CORR)
    wanted = u @ np.diag((c / (c.max() if normalize else 1) + eps) ** alpha) @ u.T
    np.testing.assert_allclose(predictor(CORR, alpha=alpha, eps=eps, normalize=normalize), wanted, rtol=1e-9, atol=1e-12)


def test_directcopy_is_the_scaled_correlation_plus_eps():
    copy = jax.jit(directcopy, static_argnames="normalize")
    np.testing.assert_allclose(copy(CORR), CORR / np.linalg.eigvalsh(CORR).max() + 0.25 * np.eye(4), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(copy(CORR, normalize=False), CORR + 0.25 * np.eye(4), rtol=1e-10, atol=1e-12)


def test_negative_eigenvalues_count_as_zero():
    found = predictor(np.diag([4.0, 1.0, -0.5]))
    np.testing.assert_allclose(found, np.diag([1, 0.5, 0]), atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("corr", [np.zeros((3, 3)), -np.eye(3)])
def test_no_correlation_gives_the_identity(corr, normalize, dtype):
    np.testing.assert_array_equal(predictor(corr.astype(dtype), normalize=normalize), np.eye(3))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("corr", [np.eye(3), np.ones((3, 3)), np.diag([1.0, 1.0, 0.0]), 1e-4 * np.ones((3, 3)), 6e4 * np.eye(3)])
def test_degenerate_correlations_give_a_finite_predictor(corr, dtype):
    w_p = predictor(corr.astype(dtype))
    assert w_p.dtype == np.promote_types(dtype, np.float32)
    np.testing.assert_allclose(np.linalg.eigvalsh(w_p).max(), 1, rtol=1e-5)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_correlation_that_is_lost_gives_no_predictor(bad):
    """Not the identity, with which training would go on as if nothing had happened."""
    for function in (predictor, by_products, directcopy):
        assert np.isnan(function(np.full((3, 3), bad))).any()


def test_a_shrinking_correlation_keeps_its_predictor():
    np.testing.assert_allclose(predictor(np.float32(1e-36 * CORR)), predictor(np.float32(CORR)), atol=1e-5)


@pytest.mark.parametrize("eps", [0.0, 0.1])
@pytest.mark.parametrize("alpha", [0.5, 1.0])
@pytest.mark.parametrize("corr", [CORR, np.zeros((3, 3)), np.eye(3), 1e-36 * CORR, 1e30 * np.ones((3, 3)), np.diag([1.0, 1.0, 0.0])])
def test_products_give_the_predictor_of_the_decomposition(corr, alpha, eps):
    for dtype, tolerance in ((np.float64, 1e-7), (np.float32, 4e-4)):  # of the root of a zero eigenvalue; others are exact to rounding
        found, wanted = by_products(corr.astype(dtype), alpha=alpha, eps=eps), predictor(corr.astype(dtype), alpha=alpha, eps=eps)
        assert found.dtype == dtype
        np.testing.assert_allclose(found, wanted, rtol=0, atol=tolerance if np.linalg.det(corr) == 0 else 10 * np.finfo(dtype).eps)


def test_correlation_update_is_an_uncentred_moving_average():
    old = np.diag([1.0, 2, 3, 4])
    np.testing.assert_allclose(jax.jit(correlation_update)(old, Z, decay=0.7), 0.7 * old + 0.3 * CORR, rtol=1e-12)


def test_no_gradient_passes():
    def scalar(z, corr):
        return jnp.sum(directpred(correlation_update(corr, z, decay=0.5)))

    for gradient in jax.jit(jax.grad(scalar, argnums=(0, 1)))(Z, np.eye(4)):
        np.testing.assert_array_equal(gradient, 0)


@pytest.mark.parametrize("count", [2, 8])
def test_correlation_is_that_of_all_devices(count):
    update = jax.pmap(
        lambda z: correlation_update(jnp.zeros((4, 4)), z, decay=0.25, axis_name="batch"), axis_name="batch", devices=jax.devices()[:count]
    )
    for found in update(Z.reshape(count, -1, 4)):
        np.testing.assert_allclose(found, 0.75 * CORR, rtol=1e-12)


@pytest.mark.usefixtures("without_typing_hook")
@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: directpred(jnp.ones((2, 3))), ValueError, r"corr must have shape \[d, d\], got \(2, 3\)"),
        (lambda: directpred(jnp.eye(2, dtype=int)), TypeError, "corr must be floating-point, got dtype int64"),
        (lambda: directpred_by_products(jnp.eye(2), alpha=0.3), ValueError, r"alpha must be one of 0.5, 1.0, got 0.3"),
        (lambda: correlation_update(jnp.eye(3), jnp.ones((4, 2)), decay=0.5), ValueError, r"corr must have shape \[2, 2\], got \(3, 3\)"),
        (lambda: directpred(jnp.eye(2), eps=-2.0), ValueError, "eps must be at least 0, got -2.0"),
        (lambda: directpred(jnp.eye(2), alpha=-1.0), ValueError, "alpha must be at least 0, got -1.0"),
        (lambda: directpred_by_products(jnp.eye(2), eps=-2.0), ValueError, "eps must be at least 0, got -2.0"),
        (lambda: directcopy(jnp.eye(2), eps=-2.0), ValueError, "eps must be at least 0, got -2.0"),
        (lambda: correlation_update(jnp.eye(2), jnp.ones((4, 2)), decay=2.0), ValueError, "decay must be between 0 and 1, got 2.0"),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()
