from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

import reference_information as reference
from sslx.information import infonce_bound, invariance_term, mutual_information_bound

LOG_TWO_PI = np.log(2 * np.pi)
bound_of = jax.jit(mutual_information_bound)
infonce = jax.jit(infonce_bound)
log_likelihood = jax.jit(invariance_term, static_argnames="form")
best_bound_of = jax.jit(partial(mutual_information_bound, likelihood_variance=None))


def random_views(seed, n=8, width=3):
    rng = np.random.default_rng(seed)
    mu_a = 2 * rng.standard_normal((n, width))
    roots = 0.5 * rng.standard_normal((2, n, width, width))
    covs = roots @ roots.transpose(0, 1, 3, 2) + 0.1 * np.eye(width)
    return mu_a, mu_a + 0.3 * rng.standard_normal((n, width)), covs[0], covs[1]


def test_trace_form_is_the_expected_log_likelihood():
    mu_a, mu_b, cov_a, cov_b = (a[0] for a in random_views(0))
    rng = np.random.default_rng(1)
    z, other = (rng.multivariate_normal(m, s, 100_000) for m, s in ((mu_a, cov_a), (mu_b, cov_b)))
    log_q = -0.5 * (3 * LOG_TWO_PI + np.sum((z - other) ** 2, axis=1))
    value = log_likelihood(mu_a, mu_b, cov_a, cov_b)
    assert abs(float(value) - log_q.mean()) < 4 * log_q.std() / np.sqrt(len(log_q))


def test_invariance_term_by_hand():
    a, b = np.array([1.0, 2.0]), np.array([0.0, 4.0])
    trace = -LOG_TWO_PI - 0.5 * (5 + 2 * 0.5 + 2 * 2.0)
    logdet = -LOG_TWO_PI - 0.5 * (5 + 2 * np.log(0.5) + 2 * np.log(2.0))
    for shape in (np.array(1.0), np.ones(2), np.eye(2)):
        s_a, s_b = 0.5 * shape, 2 * shape
        np.testing.assert_allclose(log_likelihood(a, b, s_a, s_b), trace, rtol=1e-12)
        np.testing.assert_allclose(log_likelihood(a, b, s_a, s_b, form="logdet"), logdet, rtol=1e-12)
    np.testing.assert_allclose(log_likelihood(a[None], b[None], np.array([0.5]), 2.0), trace, rtol=1e-12)


def test_lower_end_is_below_the_information():
    """Between Z and the index of the image the information is H(Z) - H(Z | X), here by Monte Carlo, and at most ln N."""
    rng = np.random.default_rng(2)
    for seed in range(5):
        mu_a, mu_b, cov_a, cov_b = random_views(seed)
        weights = np.full(8, 1 / 8)
        entropy, error = reference.entropy_monte_carlo(rng, mu_a, cov_a, weights, 20_000)
        truth = entropy - np.mean([reference.gaussian_entropy(s) for s in cov_a])
        terms = jax.device_get(bound_of(mu_a, mu_b, cov_a, cov_b))
        assert truth <= np.log(8) + 4 * error
        assert terms.lower <= truth + 4 * error
        assert terms.entropy_lower - 4 * error <= entropy <= terms.entropy_upper + 4 * error
        np.testing.assert_allclose(terms.ceiling, np.log(8), rtol=1e-12)


def test_bracket_is_the_entropy_bounds_and_the_invariance_term():
    mu_a, mu_b, cov_a, cov_b = random_views(3)
    terms, weights = bound_of(*map(jnp.asarray, (mu_a, mu_b, cov_a, cov_b))), np.full(8, 1 / 8)
    spread = np.trace(cov_a + cov_b, axis1=1, axis2=2)
    invariance = -0.5 * (3 * LOG_TWO_PI + np.mean(np.sum((mu_a - mu_b) ** 2, axis=1) + spread))
    bhattacharyya = reference.pairwise_entropy(mu_a, cov_a, weights, lambda *a: reference.chernoff(*a, 0.5))
    kl = reference.pairwise_entropy(mu_a, cov_a, weights, reference.kl)
    gaussian = reference.gaussian_entropy(reference.moment_matched(mu_a, cov_a, weights))
    np.testing.assert_allclose(terms.invariance, invariance, rtol=1e-12)
    np.testing.assert_allclose(terms.lower, max(bhattacharyya, reference.elk(mu_a, cov_a, weights)) + invariance, rtol=1e-12)
    np.testing.assert_allclose(terms.upper, min(kl, gaussian) + invariance, rtol=1e-12)


def test_by_default_every_variance_is_one():
    """Of equal means E||z - z'||^2 is then 2 K, and the entropies are those of unit components."""
    z = jnp.asarray(random_views(3)[0])
    terms = bound_of(z, z)
    np.testing.assert_allclose(terms.invariance, -1.5 * (LOG_TWO_PI + 2), rtol=1e-12)
    np.testing.assert_allclose(terms, bound_of(z, z, 1.0, 1.0, likelihood_variance=1.0), rtol=1e-12)


def test_no_likelihood_variance_means_the_best_one():
    views = random_views(4)
    best = float(best_bound_of(*views).invariance)
    others = [float(bound_of(*views, likelihood_variance=v).invariance) for v in np.geomspace(0.1, 10, 101)]
    assert max(others) <= best
    np.testing.assert_allclose(max(others), best, rtol=1e-3)


def test_nearly_noiseless_views_reach_ln_n():
    """Far components with the same narrow noise s^2: with v = 2 s^2 the bound is ln N - K/2 ln 2, exactly."""
    z, cov = 100.0 * np.arange(24).reshape(8, 3), np.tile(1e-4 * np.eye(3), (8, 1, 1))
    np.testing.assert_allclose(best_bound_of(z, z, cov, cov).lower, np.log(8) - 1.5 * np.log(2), rtol=1e-9)


def test_infonce_by_hand_and_at_its_ceiling():
    z_a, z_b = np.random.default_rng(0).standard_normal((2, 6, 4))
    a, b = (z / np.linalg.norm(z, axis=1, keepdims=True) for z in (z_a, z_b))
    scores = np.exp(a @ b.T / 0.5)
    terms = infonce(jnp.asarray(z_a), jnp.asarray(z_b), temperature=0.5)
    np.testing.assert_allclose(terms.bound, np.mean(np.log(np.diag(scores) / scores.mean(1))), rtol=1e-10)
    np.testing.assert_allclose(terms.ceiling, np.log(6), rtol=1e-12)
    apart, equal = jnp.asarray(np.eye(6)), jnp.asarray(np.ones((6, 6)))
    np.testing.assert_allclose(infonce(apart, apart, temperature=0.01).bound, np.log(6), rtol=1e-12)
    np.testing.assert_allclose(infonce(equal, equal, temperature=0.01).bound, 0.0, atol=1e-12)


def test_gradients():
    views = tuple(jnp.asarray(a) for a in random_views(5, n=4))
    check_grads(jax.jit(invariance_term), views, 1, ["rev"], eps=1e-5)
    check_grads(jax.jit(lambda a, b: infonce_bound(a, b).bound), views[:2], 1, ["rev"], eps=1e-5)


def test_float32_is_close_to_float64():
    views = [np.float32(a) for a in random_views(6)]
    for function, arguments in ((bound_of, views), (infonce, views[:2])):
        low, high = (function(*(a.astype(dtype) for a in arguments)) for dtype in (np.float32, np.float64))
        assert low[0].dtype == jnp.float32
        np.testing.assert_allclose(low, high, rtol=1e-4)


@pytest.mark.usefixtures("without_typing_hook")
def test_bad_input_is_named():
    z = jnp.ones((4, 3))
    with pytest.raises(ValueError, match=r"z_a and z_b must have one shape \[N, d\], got \(4, 3\) and \(4, 2\)"):
        mutual_information_bound(z, z[:, :2])
    with pytest.raises(ValueError, match=r"cov_b must have shape .* got \(7,\)"):
        mutual_information_bound(z, z, 1.0, jnp.ones(7))
    with pytest.raises(ValueError, match="form must be one of trace, logdet, got 'det'"):
        invariance_term(z, z, 1.0, 1.0, form="det")
    with pytest.raises(TypeError, match="mu_b must be a floating-point array, got list"):
        invariance_term(z[0], [1.0, 1.0, 1.0], 1.0, 1.0)  # pyright: ignore
    with pytest.raises(ValueError, match=r"mu_a must have shape \[N, d\], got \(3,\)"):
        invariance_term(z[0], z, 1.0, 1.0)
    with pytest.raises(ValueError, match="cov_b must be at least 0, got -1"):
        invariance_term(z[0], z[0], 1.0, -1.0)
    with pytest.raises(TypeError, match="z_a must be floating-point"):
        infonce_bound(jnp.ones((4, 3), jnp.int64), z)
