import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference_information as reference
from jax.test_util import check_grads

from sslx.entropy import pairwise_entropy_isotropic
from sslx.information import gaussian_entropy, mixture_entropy, mixture_entropy_bounds, pairwise_entropy

entropy = jax.jit(mixture_entropy, static_argnames="chunk")
pairwise = jax.jit(pairwise_entropy, static_argnames=("distance", "chunk"))
LOWER, UPPER = ("bhattacharyya", "elk"), ("kl", "huber", "gaussian", "diagonal")


def random_mixture(seed, n=6, width=3, spread=2.0):
    rng = np.random.default_rng(seed)
    means = spread * rng.standard_normal((n, width))
    roots = rng.standard_normal((n, width, width)) * rng.uniform(0.2, 1.0, (n, 1, 1))
    weights = rng.dirichlet(np.full(n, 2.0))
    return means, roots @ roots.transpose(0, 2, 1) + 0.05 * np.eye(width), weights


def test_bounds_hold_on_fifty_random_mixtures():
    rng = np.random.default_rng(0)
    for seed in range(50):
        means, covs, weights = random_mixture(seed, spread=rng.uniform(0.1, 6.0))
        truth, error = reference.entropy_monte_carlo(rng, means, covs, weights, 4000)
        terms = entropy(jnp.asarray(means), jnp.asarray(covs), weights=jnp.asarray(weights))
        for name in (*LOWER, "lower", "conditional"):
            assert getattr(terms, name) <= truth + 4 * error, (seed, name)
        for name in (*UPPER, "upper"):
            assert getattr(terms, name) >= truth - 4 * error, (seed, name)


def test_agrees_with_numpy():
    means, covs, weights = random_mixture(1)
    terms = entropy(jnp.asarray(means), jnp.asarray(covs), weights=jnp.asarray(3 * weights))
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
        np.testing.assert_allclose(getattr(terms, name), value, rtol=1e-12, err_msg=name)
    assert terms.lower == max(terms.bhattacharyya, terms.elk)
    assert terms.upper == min(getattr(terms, name) for name in UPPER)
    np.testing.assert_allclose(terms.saturation_upper, (expected["kl"] - conditional) / label, rtol=1e-10)


@pytest.mark.parametrize("alpha", [0.2, 0.8])
def test_chernoff_entropy_agrees_with_numpy_and_is_not_symmetric_in_alpha(alpha):
    means, covs, weights = random_mixture(2)
    value = pairwise(
        jnp.asarray(means), jnp.asarray(covs), weights=jnp.asarray(weights), distance="chernoff", chernoff_alpha=alpha
    )
    expected = reference.pairwise_entropy(means, covs, weights, lambda *a: reference.chernoff(*a, alpha))
    swapped = reference.pairwise_entropy(means, covs, weights, lambda *a: reference.chernoff(*a, 1 - alpha))
    np.testing.assert_allclose(value, expected, rtol=1e-12)
    assert abs(expected - swapped) > 1e-3


def test_order_of_the_bounds():
    for seed in range(10):
        means, covs, weights = random_mixture(100 + seed)
        terms = entropy(jnp.asarray(means), jnp.asarray(covs), weights=jnp.asarray(weights))
        assert terms.conditional < terms.bhattacharyya < terms.kl < terms.huber
        assert terms.lower <= terms.upper <= terms.gaussian <= terms.diagonal
        assert 0 < terms.saturation_lower < terms.saturation_upper < 1


@pytest.mark.parametrize("kind", ["scalar", "isotropic", "diagonal", "shared diagonal", "shared matrix"])
def test_every_form_of_covariance_equals_the_dense_one(kind):
    means, covs, _ = random_mixture(3)
    variances = np.diagonal(covs, axis1=1, axis2=2).copy()
    eye = np.eye(3)
    given, dense = {
        "scalar": (0.3, np.tile(0.3 * eye, (6, 1, 1))),
        "isotropic": (variances[:, 0], variances[:, :1, None] * eye),
        "diagonal": (variances, variances[:, :, None] * eye),
        "shared diagonal": (variances[:1], np.tile(variances[0] * eye, (6, 1, 1))),
        "shared matrix": (covs[:1], np.tile(covs[0], (6, 1, 1))),
    }[kind]
    compact = entropy(jnp.asarray(means), jnp.asarray(given))
    np.testing.assert_allclose(compact, entropy(jnp.asarray(means), jnp.asarray(dense)), rtol=1e-11, atol=1e-11)


def test_one_shared_variance_equals_the_entropy_of_points():
    means = jnp.asarray(random_mixture(4)[0])
    for distance, lower in (("kl", False), ("bhattacharyya", True)):
        np.testing.assert_allclose(
            pairwise(means, 0.7, distance=distance), pairwise_entropy_isotropic(means, 0.7, lower=lower), rtol=1e-12
        )


def test_tight_clusters_give_the_exact_entropy():
    means, covs, weights = random_mixture(5)
    labels = np.repeat(np.arange(3), 2)
    terms = entropy(jnp.asarray(1e3 * means[labels]), jnp.asarray(covs[labels]), weights=jnp.asarray(weights))
    cluster_weights = weights.reshape(3, 2).sum(1)
    exact = np.sum(cluster_weights * ([reference.gaussian_entropy(s) for s in covs[:3]] - np.log(cluster_weights)))
    np.testing.assert_allclose([terms.bhattacharyya, terms.kl], exact, rtol=1e-12)


def test_identical_components_give_the_gaussian_and_one_point_is_exact():
    _, covs, _ = random_mixture(6)
    exact = reference.gaussian_entropy(covs[0])
    for n in (1, 5):
        means = jnp.ones((n, 3))
        terms = entropy(means, jnp.asarray(np.tile(covs[0], (n, 1, 1))))
        np.testing.assert_allclose([terms.bhattacharyya, terms.kl, terms.gaussian, terms.conditional], exact, rtol=1e-12)
    np.testing.assert_allclose(gaussian_entropy(jnp.asarray(covs[0])), exact, rtol=1e-12)


def test_far_components_saturate_at_ln_n_and_say_so():
    means = 1e3 * jnp.eye(5)
    terms = entropy(means, 1.0)
    np.testing.assert_allclose(terms.kl - terms.conditional, np.log(5), rtol=1e-12)
    np.testing.assert_allclose([terms.saturation_lower, terms.saturation_upper], 1.0, rtol=1e-12)
    gradient = jax.grad(lambda m: pairwise(m, 1.0, distance="bhattacharyya"))(means)
    np.testing.assert_array_equal(gradient, 0.0)
    assert entropy(jnp.zeros((5, 5)), 1.0).saturation_upper == 0


def test_rotation_and_translation_do_not_matter():
    means, covs, weights = random_mixture(7)
    q = np.linalg.qr(np.random.default_rng(0).standard_normal((3, 3)))[0]
    base = entropy(jnp.asarray(means), jnp.asarray(covs), weights=jnp.asarray(weights))
    turned = entropy(jnp.asarray(means @ q.T + 5.0), jnp.asarray(q @ covs @ q.T), weights=jnp.asarray(weights))
    for name in set(base._fields) - {"diagonal"}:
        np.testing.assert_allclose(getattr(base, name), getattr(turned, name), rtol=1e-9, err_msg=name)
    assert abs(base.diagonal - turned.diagonal) > 1e-3


def test_linear_map_shifts_every_bound_by_its_log_determinant():
    means, covs, _ = random_mixture(8)
    a = np.diag([2.0, 0.5, 3.0])
    base, mapped = entropy(jnp.asarray(means), jnp.asarray(covs)), entropy(jnp.asarray(means @ a), jnp.asarray(a @ covs @ a))
    np.testing.assert_allclose(np.array(mapped[:9]) - np.array(base[:9]), np.log(3.0), rtol=1e-9)


@pytest.mark.parametrize("form", ["scalar", "diagonal", "matrix"])
def test_chunked_equals_dense_with_its_gradient(form):
    means, covs, _ = random_mixture(9, n=7)
    covs = {"scalar": 0.5, "diagonal": np.diagonal(covs, axis1=1, axis2=2), "matrix": covs}[form]
    grad = jax.jit(jax.value_and_grad(pairwise_entropy, (0, 1)), static_argnames="chunk")
    chunked, dense = (grad(jnp.asarray(means), jnp.asarray(covs), chunk=chunk) for chunk in (3, 7))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12), chunked, dense)


def test_gradients():
    means, covs, weights = random_mixture(10, n=4)

    @jax.jit
    def every_bound(m, s, w):
        return jnp.stack(mixture_entropy(m, s @ s, weights=w)[2:10])

    check_grads(every_bound, tuple(map(jnp.asarray, (means, covs, weights))), 1, ["rev"], eps=1e-5)


@pytest.mark.parametrize("form", ["scalar", "diagonal", "matrix"])
def test_float32_is_close_to_float64(form):
    means, covs, weights = random_mixture(12, n=20, width=8)
    covs = {"scalar": np.array(0.1), "diagonal": 0.1 * np.diagonal(covs, axis1=1, axis2=2), "matrix": covs}[form]
    wide = [jnp.asarray(a) for a in (means + 100.0, covs, weights)]
    narrow = [a.astype(jnp.float32) for a in wide]
    low = entropy(narrow[0], narrow[1], weights=narrow[2])
    high = entropy(*(a.astype(jnp.float64) for a in narrow[:2]), weights=narrow[2].astype(jnp.float64))
    assert low.lower.dtype == jnp.float32
    np.testing.assert_allclose(low, high, rtol=1e-4)


def test_half_precision_input_is_computed_in_float32():
    means, covs, _ = random_mixture(13)
    low = mixture_entropy_bounds(jnp.asarray(means, jnp.float16), jnp.asarray(covs, jnp.float16))
    assert low[0].dtype == jnp.float32
    np.testing.assert_allclose(low, mixture_entropy_bounds(jnp.asarray(means), jnp.asarray(covs)), rtol=0.02)


def test_nearly_singular_covariances_keep_their_entropy():
    """A stretch of 1e-6 along an oblique axis: every bound moves by ln 1e-6, in float64 with condition number 1e12."""
    means, _, _ = random_mixture(14)
    q = np.linalg.qr(np.random.default_rng(1).standard_normal((3, 3)))[0]
    thin, base = q @ np.diag([1.0, 1.0, 1e-6]), q
    squash = means @ base @ np.diag([1.0, 1.0, 1e-6]) @ q.T
    terms = entropy(jnp.asarray(squash), jnp.asarray(thin @ thin.T)[None])
    plain = entropy(jnp.asarray(means), 1.0)
    for name in (*LOWER, "kl", "huber", "gaussian"):
        np.testing.assert_allclose(getattr(terms, name) - getattr(plain, name), np.log(1e-6), rtol=1e-4, err_msg=name)


@pytest.mark.parametrize("covs", [0.0, np.zeros((4, 3)), np.zeros((4, 3, 3)), np.ones((4, 3, 3))])
def test_singular_covariances_give_minus_infinity_and_no_nan(covs):
    means = jnp.asarray(random_mixture(15, n=4)[0])
    assert mixture_entropy_bounds(means, jnp.asarray(covs)) == (-jnp.inf, -jnp.inf)
    assert pairwise(means, jnp.asarray(covs)) == -jnp.inf
    gradient = jax.grad(lambda m: pairwise(m, jnp.asarray(covs)))(means)
    assert jnp.all(jnp.isfinite(gradient))


def test_a_component_of_weight_zero_is_not_there():
    means, covs, weights = random_mixture(16)
    weights[2], covs[2] = 0.0, 0.0
    keep = np.arange(6) != 2
    full = entropy(jnp.asarray(means), jnp.asarray(covs), weights=jnp.asarray(weights))
    rest = entropy(jnp.asarray(means[keep]), jnp.asarray(covs[keep]), weights=jnp.asarray(weights[keep]))
    np.testing.assert_allclose(full, rest, rtol=1e-12)


def test_nan_input_gives_nan():
    means, covs, _ = random_mixture(17)
    covs[0, 0, 0] = np.nan
    assert jnp.isnan(pairwise(jnp.asarray(means), jnp.asarray(covs)))


def test_memory_of_value_and_gradient_is_far_below_all_pairs():
    """Temporaries by the compiler's own account, 6000 components: one [N, N] array is 288 MB."""
    means = covs = jax.ShapeDtypeStruct((6000, 8), jnp.float64)
    value_and_gradient = jax.jit(jax.value_and_grad(lambda m, s: sum(mixture_entropy_bounds(m, s, chunk=8)), (0, 1)))
    memory = value_and_gradient.lower(means, covs).compile().memory_analysis()
    assert memory.temp_size_in_bytes < 40e6


@pytest.mark.usefixtures("without_typing_hook")
def test_bad_input_is_named():
    means = jnp.ones((4, 3))
    with pytest.raises(ValueError, match=r"means must have shape \[N, d\], got \(3,\)"):
        pairwise(jnp.ones(3), 1.0)
    with pytest.raises(TypeError, match="means must be floating-point, got dtype int64"):
        pairwise(jnp.ones((4, 3), jnp.int64), 1.0)
    with pytest.raises(ValueError, match=r"covs must have shape .* got \(3, 3\); add a leading axis of 1"):
        mixture_entropy_bounds(means, jnp.eye(3))
    with pytest.raises(ValueError, match=r"weights must have shape \[N\] = \(4,\), got \(3,\)"):
        pairwise(means, 1.0, weights=jnp.ones(3))
    with pytest.raises(ValueError, match="distance must be one of 'kl'"):
        pairwise(means, 1.0, distance="euclid")
