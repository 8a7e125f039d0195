import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sslx import geometry

DIMENSIONS = ("effective_rank", "stable_rank", "nesum", "participation_ratio", "corrected_participation_ratio")

alpha_req = jax.jit(geometry.alpha_req)


@jax.jit
def _all_metrics(z):
    return {name: getattr(geometry, name)(z) for name in ("rankme", "condition_number", "alpha_req", *DIMENSIONS)}


def _entropic(s, eps=0.0):
    p = s / s.sum() + eps
    return np.exp(-np.sum(p * np.log(p)))


def _features(n, d, decay=0.5, seed=0):
    generator = np.random.default_rng(seed)
    return generator.normal(size=(n, d)) * np.arange(1, d + 1) ** -decay @ generator.normal(size=(d, d)) + generator.normal(size=d)


@pytest.mark.parametrize(("n", "d"), [(40, 12), (7, 12)])
def test_metrics_are_their_definitions(n, d):
    z = _features(n, d)
    s = np.linalg.svd(z, compute_uv=False)
    l = np.linalg.eigvalsh(np.cov(z.T))[::-1]
    expected = {
        "rankme": _entropic(s, 1e-7),
        "effective_rank": _entropic(s),
        "stable_rank": np.sum(z**2) / np.linalg.norm(z, 2) ** 2,
        "nesum": l.sum() / l[0],
        "participation_ratio": l.sum() ** 2 / np.sum(l**2),
        "condition_number": l[0] / l[-1] if n > d else np.inf,
    }
    for dtype, rtol in ((np.float64, 1e-9), (np.float32, 1e-3)):
        metrics = _all_metrics(z.astype(dtype))
        for name, value in expected.items():
            np.testing.assert_allclose(metrics[name], value, rtol=rtol, err_msg=name)


def test_rankme_is_not_centred_and_the_covariance_metrics_are():
    z = _features(40, 12)
    plain, moved = _all_metrics(z), _all_metrics(z + 10)
    assert abs(float(moved["rankme"]) - float(plain["rankme"])) > 0.1
    for name in ("nesum", "participation_ratio", "condition_number", "alpha_req"):
        np.testing.assert_allclose(moved[name], plain[name], rtol=1e-9)


def test_order_of_the_metrics():
    """NESum <= participation ratio <= entropy of the covariance <= RankMe of centred features."""
    z = _features(40, 12)
    z = z - z.mean(axis=0)
    entropy = jax.jit(lambda l: geometry.effective_dimension(l, kind="entropy"))(np.linalg.eigvalsh(z.T @ z))
    metrics = {name: float(value) for name, value in _all_metrics(z).items()}
    assert metrics["nesum"] < metrics["participation_ratio"] < float(entropy) < metrics["rankme"]


def test_nan_stays_nan():
    """One NaN in the features reaches every metric."""
    z = _features(40, 12)
    z[3, 2] = np.nan
    assert np.isnan(list(_all_metrics(z).values())).all()


@pytest.mark.parametrize("exponent", [-66, 66])
def test_metrics_do_not_depend_on_the_unit(exponent):
    """Not even where the squares of the features leave float32."""
    z = _features(40, 12).astype(np.float32)
    plain, scaled = _all_metrics(z), _all_metrics(np.ldexp(z, exponent))
    for name, value in plain.items():
        np.testing.assert_allclose(scaled[name], value, rtol=1e-5, err_msg=name)


def test_rows_that_are_equal_but_for_the_rounding_of_their_mean_fill_no_dimension():
    equal = _all_metrics(np.tile(np.float32(0.1) * np.arange(1, 13, dtype=np.float32), (40, 1)))
    assert [float(equal[name]) for name in DIMENSIONS[2:]] == [0, 0, 0]
    assert equal["condition_number"] == np.inf
    assert np.isnan(geometry.condition_number(jnp.full((4, 5), jnp.nan)))


@jax.jit
def _gradients(z):
    return [jax.grad(metric)(z) for metric in (geometry.rankme, geometry.participation_ratio)]


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.float64])
def test_collapse(dtype):
    """A zero matrix: RankMe is eps^(-K eps), the dimensions are 0, the exponent is not a number; gradients are finite."""
    zeros = np.zeros((10, 64), dtype)
    metrics, gradients = {name: float(value) for name, value in _all_metrics(zeros).items()}, _gradients(zeros)
    np.testing.assert_allclose(metrics["rankme"], 1e-7 ** (-10 * 1e-7), rtol=1e-6)
    assert [metrics[name] for name in DIMENSIONS] == [0] * len(DIMENSIONS)
    assert metrics["condition_number"] == np.inf
    assert np.isnan(metrics["alpha_req"])
    assert all(np.isfinite(gradient).all() for gradient in gradients)
    equal_rows = _all_metrics(np.ones((10, 64), dtype))
    np.testing.assert_allclose(equal_rows["rankme"], 1, rtol=1e-3)


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0])
def test_alpha_req_reads_the_exponent(alpha):
    """Exact power-law covariance through orthonormal columns: the exponent comes back, from the eigenvalues 4 to 100."""
    n, d = 200, 120
    u = np.linalg.qr(np.c_[np.ones(n), np.random.default_rng(1).normal(size=(n, d))])[0][:, 1:]
    scale = np.arange(1, d + 1) ** (-alpha / 2)
    scale[:3] *= 7
    scale[100:] /= 7
    moments = geometry.update_moments(geometry.init_host_moments(d), u * scale)
    for found in (alpha_req(u * scale), geometry.moment_metrics(moments).alpha_req):
        np.testing.assert_allclose(found, alpha, rtol=1e-9)


def test_alpha_req_is_the_published_weighted_fit():
    l = np.sort(np.random.default_rng(2).exponential(size=30))[::-1] * np.arange(1, 31.0) ** -1
    u = np.linalg.qr(np.c_[np.ones(50), np.random.default_rng(1).normal(size=(50, 30))])[0][:, 1:]
    for first, last in ((3, 100), (1, 20)):
        k = np.arange(first + 1, min(last, 30) + 1)
        slope = np.polyfit(-np.log(k), np.log(l[k - 1]), 1, w=k**-0.5)[0]  # polyfit squares its weights
        np.testing.assert_allclose(geometry.alpha_req(jnp.asarray(u * np.sqrt(l)), first=first, last=last), slope, rtol=1e-9)


def test_alpha_req_leaves_rounding_out():
    z = _features(60, 20, decay=1.0)
    low_rank = z[:, :10] @ np.random.default_rng(3).normal(size=(10, 20))
    assert 0 < float(alpha_req(np.float32(low_rank))) < 10


def test_alpha_req_fits_the_fewest_rows_that_it_takes():
    assert np.isfinite(geometry.alpha_req(_features(6, 9)))


@pytest.mark.parametrize("n", [64, 512])
def test_finite_samples_bias_the_participation_ratio(n):
    """Independent rows give about d / (1 + d/n); the correction brings d back."""
    d = 256
    z = np.random.default_rng(4).normal(size=(n, d))
    plain, corrected = jax.jit(lambda z: (geometry.participation_ratio(z), geometry.corrected_participation_ratio(z)))(z)
    np.testing.assert_allclose(plain, d / (1 + d / n), rtol=0.03)
    np.testing.assert_allclose(corrected, d, rtol=0.03)


def test_corrected_participation_ratio_of_a_power_law():
    """Mean over draws within 3 standard errors of the population value, which the plain ratio misses by far more."""
    d, n = 64, 40
    l = np.arange(1, d + 1) ** -0.7
    generator = np.random.default_rng(5)
    draws = generator.normal(size=(200, n, d)) * np.sqrt(l)
    corrected = np.asarray(jax.jit(jax.vmap(geometry.corrected_participation_ratio))(draws))
    truth = l.sum() ** 2 / np.sum(l**2)
    assert abs(corrected.mean() - truth) < 0.03 * truth
    assert np.mean(jax.jit(jax.vmap(geometry.participation_ratio))(draws)) < 0.8 * truth


def test_participation_ratio_of_split_batch():
    z = _features(40, 6)
    for metric in (geometry.participation_ratio, geometry.corrected_participation_ratio):
        split = jax.jit(jax.vmap(lambda part, metric=metric: metric(part, axis_name="i"), axis_name="i"))(z.reshape(4, 10, 6))
        np.testing.assert_allclose(split, jax.jit(metric)(z), rtol=1e-12)


def test_bad_input(without_typing_hook):
    with pytest.raises(ValueError, match=r"z must have shape \[N, d\], got \(4, 3, 2\)"):
        geometry.rankme(jnp.ones((4, 3, 2)))
    with pytest.raises(ValueError, match=r"z must have at least 2 rows over all devices, got 1; pass a larger batch"):
        geometry.participation_ratio(jnp.ones((1, 4)))
    with pytest.raises(ValueError, match=r"z must have at least 2 rows .*got shape \(1, 4\)"):
        geometry.condition_number(jnp.ones((1, 4)))
    with pytest.raises(ValueError, match=r"z must have at least first \+ 2 = 5 columns for a fit, got 4; pass a smaller first"):
        geometry.alpha_req(jnp.ones((9, 4)))
    with pytest.raises(ValueError, match=r"z must have at least first \+ 3 = 6 rows for a fit, got 5; pass a smaller first"):
        geometry.alpha_req(jnp.ones((5, 9)))
    with pytest.raises(ValueError, match=r"first must be an integer of at least 0, got 2\.5"):
        geometry.alpha_req(jnp.ones((9, 9)), first=2.5)  # pyright: ignore
    with pytest.raises(TypeError, match="z must be floating-point, got dtype int"):
        geometry.nesum(jnp.ones((9, 4), int))
