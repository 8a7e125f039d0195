import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

import reference_information as reference
from sslx.entropy import LOG_TWO_PI_E, logdet_entropy, pairwise_entropy_isotropic
from sslx.information import mixture_entropy, mixture_entropy_bounds, pairwise_entropy

# compiled once per dtype and kind of covariance: nearly all tests below use six components of width 3 with weights
bounds = jax.jit(mixture_entropy)
pairwise = jax.jit(pairwise_entropy, static_argnames=("distance", "chunk"))
kl_and_gradient = jax.jit(jax.value_and_grad(pairwise_entropy, (0, 1)), static_argnames="chunk")
LOWER, UPPER = ("bhattacharyya", "elk"), ("kl", "huber", "gaussian", "diagonal")
FORMS = ("scalar", "isotropic", "diagonal", "matrix")


def random_mixture(seed, n=6, width=3, spread=2.0):
    rng = np.random.default_rng(seed)
    means = spread * rng.standard_normal((n, width))
    roots = rng.standard_normal((n, width, width)) * rng.uniform(0.2, 1.0, (n, 1, 1))
    weights = rng.dirichlet(np.full(n, 2.0))
    return means, roots @ roots.transpose(0, 2, 1) + 0.05 * np.eye(width), weights


def in_form(form, covs):
    """Covariances of the given kind made from matrices, and the matrices that they stand for."""
    variances, eye = np.diagonal(covs, axis1=1, axis2=2).copy(), np.eye(covs.shape[1])
    return {
        "scalar": (np.array(0.3), np.tile(0.3 * eye, (len(covs), 1, 1))),
        "isotropic": (variances[:, 0], variances[:, :1, None] * eye),
        "diagonal": (variances, variances[:, :, None] * eye),
        "matrix": (covs, covs),
    }[form]


def entropy(means, covs, weights=None, dtype=jnp.float64):
    weights = np.full(len(means), 1 / len(means)) if weights is None else weights
    means, covs, weights = (np.asarray(a).astype(dtype) for a in (means, covs, weights))
    return bounds(means, covs, weights=weights)


def test_bounds_hold_on_fifty_random_mixtures():
    rng = np.random.default_rng(0)
    for seed in range(50):
        means, covs, weights = random_mixture(seed, spread=rng.uniform(0.1, 6.0))
        truth, error = reference.entropy_monte_carlo(rng, means, covs, weights, 4000)
        terms = entropy(means, covs, weights)
        for name in (*LOWER, "lower", "conditional"):
            assert getattr(terms, name) <= truth + 4 * error, (seed, name)
        for name in (*UPPER, "upper"):
            assert getattr(terms, name) >= truth - 4 * error, (seed, name)


@pytest.mark.parametrize("form", FORMS)
def test_agrees_with_numpy(form):
    means, covs, weights = random_mixture(1)
    given, covs = in_form(form, covs)
    terms = entropy(means, given, 3 * weights)
    conditional = sum(c * reference.gaussian_entropy(s) for c, s in zip(weights, covs, strict=True))
    label = -np.sum(weights * np.log(weights))
    within = reference.moment_matched(means, covs, weights)
    expected = {
        "bhattacharyya": reference.pairwise_entropy(means, covs, weights, lambda *a: reference.chernoff(*a, 0.5)),
        "elk": reference.elk(means, covs, weights),
        "kl": reference.pairwise_entropy(means, covs, weights, reference.kl),
        "huber": conditional + label,
        "gaussian": reference.gaussian_entropy(within),
        "diagonal": reference.gaussian_entropy(np.diag(np.diag(within))),
        "conditional": conditional,
        "label": label,
    }
    for name, value in expected.items():
        np.testing.assert_allclose(getattr(terms, name), value, rtol=1e-11, err_msg=name)
    assert terms.lower == max(terms.bhattacharyya, terms.elk)
    assert terms.upper == min(getattr(terms, name) for name in UPPER)
    np.testing.assert_allclose(terms.saturation_upper, (expected["kl"] - conditional) / label, rtol=1e-10)
    np.testing.assert_allclose(terms.saturation_lower, (expected["bhattacharyya"] - conditional) / label, rtol=1e-10)


@pytest.mark.parametrize("form", ["diagonal", "matrix"])
def test_float32_is_close_to_float64(form):
    means, covs, weights = random_mixture(12)
    covs = np.float32(in_form(form, covs)[0])
    means = np.float32(means + 100.0)
    low = entropy(means, covs, np.float32(weights), dtype=jnp.float32)
    assert low.lower.dtype == jnp.float32
    np.testing.assert_allclose(low, entropy(means, covs, np.float32(weights)), rtol=1e-4)


def test_half_precision_input_is_computed_in_float32():
    means = random_mixture(13)[0]
    low = pairwise(jnp.asarray(means, jnp.float16), 0.7)
    assert low.dtype == jnp.float32
    np.testing.assert_allclose(low, pairwise(jnp.asarray(means), 0.7), rtol=0.02)
    rounded = np.float16(means)
    for variance in (1e-8, 1e5):  # neither is a float16
        np.testing.assert_allclose(pairwise(rounded, variance), pairwise(rounded.astype(float), variance), rtol=1e-6)


def test_chernoff_entropy_agrees_with_numpy_and_is_not_symmetric_in_alpha():
    means, covs, weights = random_mixture(2)
    values = []
    for alpha in (0.2, 0.8):
        arrays = (jnp.asarray(a) for a in (means, covs))
        values.append(pairwise(*arrays, weights=jnp.asarray(weights), distance="chernoff", chernoff_alpha=alpha))
        expected = reference.pairwise_entropy(means, covs, weights, lambda *a, alpha=alpha: reference.chernoff(*a, alpha))
        np.testing.assert_allclose(values[-1], expected, rtol=1e-12)
    assert abs(values[0] - values[1]) > 1e-3


def test_order_of_the_bounds():
    for seed in range(100, 110):
        terms = entropy(*random_mixture(seed))
        assert terms.conditional < terms.bhattacharyya < terms.kl < terms.huber
        assert terms.lower <= terms.upper <= terms.gaussian <= terms.diagonal
        assert 0 < terms.saturation_lower < terms.saturation_upper < 1


def test_a_leading_axis_of_one_is_shared_by_all():
    means, covs, _ = random_mixture(3)
    for shared in (covs[:1], np.diagonal(covs[:1], axis1=1, axis2=2)):
        values = [pairwise(jnp.asarray(means), jnp.asarray(s)) for s in (shared, np.repeat(shared, 6, axis=0))]
        np.testing.assert_allclose(*values, rtol=1e-13)


def test_one_shared_variance_equals_the_entropy_of_points():
    means = jnp.asarray(random_mixture(4)[0])
    points = jax.jit(pairwise_entropy_isotropic, static_argnames="lower")
    np.testing.assert_allclose(pairwise(means, 0.7), points(means, 0.7, lower=False), rtol=1e-12)
    np.testing.assert_allclose(pairwise(means, 0.7, distance="bhattacharyya"), points(means, 0.7, lower=True), rtol=1e-12)


def test_logdet_entropy_is_the_gaussian_bound_less_the_noise():
    """1/2 log det(I + beta Cov) of points: H of their Gaussian with noise of variance 1/beta, less H of the noise."""
    means, variance = random_mixture(4)[0], 0.3
    terms = entropy(means, variance)
    noise = 3 * (LOG_TWO_PI_E + np.log(variance)) / 2
    np.testing.assert_allclose(jax.jit(logdet_entropy)(means, beta=1 / variance), np.asarray(terms.gaussian) - noise, rtol=1e-12)


def test_tight_clusters_give_the_exact_entropy():
    means, covs, weights = random_mixture(5)
    labels = np.repeat(np.arange(3), 2)
    terms = entropy(1e3 * means[labels], covs[labels], weights)
    cluster_weights = weights.reshape(3, 2).sum(1)
    exact = np.sum(cluster_weights * ([reference.gaussian_entropy(s) for s in covs[:3]] - np.log(cluster_weights)))
    np.testing.assert_allclose([terms.bhattacharyya, terms.kl], exact, rtol=1e-12)


@pytest.mark.parametrize("n", [1, 6])
def test_identical_components_give_the_gaussian_and_one_point_is_exact(n):
    cov = random_mixture(6)[1][0]
    exact = reference.gaussian_entropy(cov)
    terms = entropy(np.ones((n, 3)), np.tile(cov, (n, 1, 1)))
    np.testing.assert_allclose([terms.bhattacharyya, terms.kl, terms.gaussian, terms.conditional], exact, rtol=1e-12)
    assert terms.saturation_upper == (1 if n == 1 else 0)


def test_far_components_saturate_at_ln_n_and_say_so():
    means = 1e3 * np.arange(6.0)[:, None] * np.ones(3)
    terms = entropy(means, 0.3)
    np.testing.assert_allclose(terms.kl - terms.conditional, np.log(6), rtol=1e-12)
    np.testing.assert_allclose([terms.saturation_lower, terms.saturation_upper], 1.0, rtol=1e-12)
    np.testing.assert_array_equal(kl_and_gradient(jnp.asarray(means), jnp.asarray(0.3), chunk=6)[1][0], 0.0)


def test_rotation_and_translation_do_not_matter():
    means, covs, weights = random_mixture(7)
    q = np.linalg.qr(np.random.default_rng(0).standard_normal((3, 3)))[0]
    base, turned = entropy(means, covs, weights), entropy(means @ q.T + 5.0, q @ covs @ q.T, weights)
    for name in set(base._fields) - {"diagonal"}:
        np.testing.assert_allclose(getattr(base, name), getattr(turned, name), rtol=1e-9, err_msg=name)
    assert abs(base.diagonal - turned.diagonal) > 1e-3


def test_linear_map_shifts_every_bound_by_its_log_determinant():
    means, covs, weights = random_mixture(8)
    a = np.diag([2.0, 0.5, 3.0])
    base, mapped = entropy(means, covs, weights), entropy(means @ a, a @ covs @ a, weights)
    np.testing.assert_allclose(np.array(mapped[:9]) - np.array(base[:9]), np.log(3.0), rtol=1e-9)


@pytest.mark.parametrize("form", ["scalar", "matrix"])
def test_chunked_equals_dense_with_its_gradient(form):
    means, covs, _ = random_mixture(9)
    arrays = jnp.asarray(means), jnp.asarray(in_form(form, covs)[0])
    chunked, dense = (kl_and_gradient(*arrays, chunk=chunk) for chunk in (4, 6))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12), chunked, dense)


def test_gradients():
    means, covs, weights = random_mixture(10, n=4)

    @jax.jit
    def every_bound(m, s, w):
        return jnp.stack(mixture_entropy(m, s @ s, weights=w)[2:10])

    check_grads(every_bound, tuple(map(jnp.asarray, (means, covs, weights))), 1, ["rev"], eps=1e-5)


def test_nearly_singular_covariances_keep_their_entropy():
    """A stretch of 1e-6 along an oblique axis: every bound moves by ln 1e-6, in float64 with condition number 1e12."""
    means, _, weights = random_mixture(14)
    q = np.linalg.qr(np.random.default_rng(1).standard_normal((3, 3)))[0]
    squash = q @ np.diag([1.0, 1.0, 1e-6]) @ q.T
    plain = entropy(means, np.tile(np.eye(3), (6, 1, 1)), weights)
    thin = entropy(means @ squash, np.tile(squash @ squash, (6, 1, 1)), weights)
    for name in (*LOWER, "kl", "huber", "gaussian"):
        np.testing.assert_allclose(getattr(thin, name) - getattr(plain, name), np.log(1e-6), rtol=1e-4, err_msg=name)


@pytest.mark.parametrize("covs", [np.zeros(()), np.zeros((6, 3)), np.zeros((6, 3, 3)), np.ones((6, 3, 3))])
def test_singular_covariances_give_minus_infinity_and_no_nan(covs):
    means = random_mixture(15)[0]
    terms = entropy(means, covs)
    assert all(getattr(terms, name) == -np.inf for name in ("lower", "upper", "conditional", *LOWER, *UPPER))
    assert np.isnan([terms.saturation_lower, terms.saturation_upper]).all()
    value, gradient = kl_and_gradient(jnp.asarray(means), jnp.asarray(covs), chunk=6)
    assert value == -np.inf
    assert all(jnp.all(jnp.isfinite(g)) for g in gradient)


def test_a_component_of_weight_zero_is_not_there():
    means, covs, weights = random_mixture(16)
    weights[2], covs[2] = 0.0, 0.0
    terms, keep = entropy(means, covs, weights), np.arange(6) != 2
    means, covs, weights = means[keep], covs[keep], weights[keep] / weights.sum()
    np.testing.assert_allclose(terms.kl, reference.pairwise_entropy(means, covs, weights, reference.kl), rtol=1e-12)
    np.testing.assert_allclose(terms.elk, reference.elk(means, covs, weights), rtol=1e-12)
    np.testing.assert_allclose(terms.gaussian, reference.gaussian_entropy(reference.moment_matched(means, covs, weights)), rtol=1e-12)


def test_the_best_bounds_alone():
    means, covs, weights = random_mixture(18)
    terms = entropy(means, covs, weights)
    found = mixture_entropy_bounds(jnp.asarray(means), covs, weights=jnp.asarray(weights), chunk=2)
    np.testing.assert_allclose(found, (terms.lower, terms.upper), rtol=1e-12)


def test_nan_input_gives_nan_and_so_do_weights_that_are_none():
    means, covs, weights = random_mixture(17)
    for unusable in (np.nan * weights, 0 * weights, weights - [1, 0, 0, 0, 0, 0]):
        assert np.isnan(entropy(means, covs, unusable)).all()
    covs[0, 0, 0] = np.nan
    assert jnp.isnan(entropy(means, covs).kl)


def test_memory_of_value_and_gradient_is_far_below_all_pairs():
    """Temporaries by the compiler's own account, 6000 components with diagonals: one [N, N] array is 288 MB."""
    means = covs = jax.ShapeDtypeStruct((6000, 8), jnp.float64)
    memory = kl_and_gradient.lower(means, covs, chunk=8).compile().memory_analysis()
    assert memory.temp_size_in_bytes < 30e6


@pytest.mark.usefixtures("without_typing_hook")
def test_bad_input_is_named():
    means = jnp.ones((4, 3))
    with pytest.raises(ValueError, match=r"means must have shape \[N, d\], got \(3,\)"):
        pairwise_entropy(jnp.ones(3), 1.0)
    with pytest.raises(TypeError, match="means must be floating-point, got dtype int64"):
        pairwise_entropy(jnp.ones((4, 3), jnp.int64), 1.0)
    with pytest.raises(ValueError, match=r"covs must have shape .* got \(3, 3\); add a leading axis of 1"):
        mixture_entropy_bounds(means, jnp.eye(3))
    with pytest.raises(ValueError, match=r"weights must have shape \[N\] = \(4,\), got \(3,\)"):
        pairwise_entropy(means, 1.0, weights=jnp.ones(3))
    with pytest.raises(TypeError, match="weights must be a floating-point array, got list"):
        pairwise_entropy(means, 1.0, weights=[1.0, 1.0, 1.0, 1.0])  # pyright: ignore
    with pytest.raises(ValueError, match="distance must be one of kl"):
        pairwise_entropy(means, 1.0, distance="euclid")
