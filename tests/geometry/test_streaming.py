import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sslx import geometry

METRICS = geometry.SpectralMetrics._fields
self_cluster = jax.jit(geometry.self_cluster)


def _features(n, d, decay, seed=0):
    generator = np.random.default_rng(seed)
    u = np.linalg.qr(generator.normal(size=(d, d)))[0]
    return (generator.normal(size=(n, d)) * np.arange(1, d + 1) ** -decay @ u + 0.3).astype(np.float32)


@jax.jit
def _stream_on_device(z):
    moments, _ = jax.lax.scan(lambda m, z: (geometry.update_moments(m, z), None), geometry.init_moments(24), z.reshape(8, 32, 24))
    return geometry.moment_metrics(moments)


@jax.jit
def _metrics(z):
    return {name: getattr(geometry, name)(z) for name in METRICS}


def _direct(z):
    return {name: float(value) for name, value in _metrics(np.float64(z)).items()}


@pytest.mark.parametrize(("n", "decay"), [(300, 0.5), (300, 3.0), (20, 0.5)])
def test_host_moments_give_the_metrics_of_all_features(n, decay):
    """One pass over uneven batches equals the SVD of everything, also with singular values 1e-4 apart and with fewer rows than columns."""
    z = _features(n, 24, decay)
    metrics, clustering = geometry.stream_metrics(np.split(z, [1, 7, 8, n // 2]))
    for name, value in _direct(z).items():
        np.testing.assert_allclose(getattr(metrics, name), value, rtol=1e-5, err_msg=name)
    np.testing.assert_allclose(clustering, self_cluster(np.float64(z)), rtol=1e-9)


def test_device_moments_are_right_to_a_thousandth():
    z = _features(256, 24, 0.5)
    metrics = _stream_on_device(z)
    assert metrics.rankme.dtype == jnp.float32
    for name, value in _direct(z).items():
        np.testing.assert_allclose(getattr(metrics, name), value, rtol=1e-3, err_msg=name)


def test_a_float32_gram_matrix_loses_small_singular_values_and_the_host_form_does_not():
    z = _features(300, 24, 3.0)
    truth = _direct(z)["condition_number"]
    device = jax.jit(lambda z: geometry.moment_metrics(geometry.update_moments(geometry.init_moments(24), z)))(z)
    host = geometry.moment_metrics(geometry.update_moments(geometry.init_host_moments(24), z))
    assert abs(float(device.condition_number) / truth - 1) > 0.01
    np.testing.assert_allclose(host.condition_number, truth, rtol=1e-5)


def test_host_moments_are_float64_without_x64_and_keep_a_large_mean():
    """A mean 1e4 times the spread would leave float32 sums of squares without a correct digit."""
    z = _features(400, 8, 0.0) + np.float32(1e4)
    moments = geometry.init_host_moments(8)
    for batch in np.split(z, 4):
        moments = geometry.update_moments(moments, batch)
    assert moments.scatter.dtype == np.float64
    np.testing.assert_allclose(moments.scatter / 399, np.cov(z.T.astype(np.float64)), rtol=1e-10)


def test_merge_is_the_union_and_empty_moments_are_neutral():
    z = _features(50, 6, 0.5).astype(np.float64)
    whole, first, second = (geometry.update_moments(geometry.init_host_moments(6), rows) for rows in (z, z[:13], z[13:]))
    for merged in (geometry.merge_moments(first, second), geometry.merge_moments(whole, geometry.init_host_moments(6))):
        for got, wanted in zip(merged, whole, strict=True):
            np.testing.assert_allclose(got, wanted, rtol=1e-10, atol=1e-12)


def test_devices_see_the_moments_of_the_whole_batch():
    z = _features(40, 6, 0.5)
    update = jax.vmap(lambda part: geometry.update_moments(geometry.init_moments(6), part, axis_name="i"), axis_name="i")
    split = jax.jit(update)(z.reshape(4, 10, 6))
    whole = jax.jit(lambda z: geometry.update_moments(geometry.init_moments(6), z))(z)
    for got, wanted in zip(split, whole, strict=True):
        np.testing.assert_allclose(got, np.broadcast_to(wanted, got.shape), rtol=2e-5, atol=1e-6)


def test_lidar_from_moments():
    generator = np.random.default_rng(1)
    z = generator.normal(size=(40, 1, 6)) * [3, 2, 1, 1, 0.5, 0.1] + 0.3 * generator.normal(size=(40, 4, 6))
    between = within = geometry.init_host_moments(6)
    for images in np.split(z, 4):
        means = images.mean(axis=1)
        between = geometry.update_moments(between, means)
        within = geometry.update_moments(within, (images - means[:, None]).reshape(-1, 6))
    np.testing.assert_allclose(geometry.lidar_from_moments(between, within), jax.jit(geometry.lidar)(z), rtol=1e-9)


@pytest.mark.parametrize("exponent", [-66, 66])
def test_the_host_form_does_not_depend_on_the_unit(exponent):
    """Nor on what JAX can hold: it may know float32 only."""
    z = _features(256, 24, 0.5)
    with jax.enable_x64(False):
        plain, scaled = (jax.tree.leaves(geometry.stream_metrics([x])) for x in (z, np.ldexp(z, exponent)))
        moments = [geometry.update_moments(geometry.init_host_moments(24), np.ldexp(x, exponent)) for x in (z, z[::-2] - z[::2])]
        lidar = geometry.lidar_from_moments(*moments, delta=0.0)
    np.testing.assert_allclose(scaled, plain, rtol=1e-5)
    assert 1.1 < lidar < 24


def test_collapsed_moments():
    metrics, clustering = geometry.stream_metrics([np.ones((9, 6), np.float32)])
    np.testing.assert_allclose(metrics.rankme, 1, rtol=1e-4)
    assert metrics.participation_ratio == metrics.nesum == 0
    assert metrics.condition_number == np.inf
    np.testing.assert_allclose(clustering, 1, rtol=1e-9)


def test_one_row_has_one_dimension():
    moments = geometry.update_moments(geometry.init_host_moments(6), _features(1, 6, 0.5))
    np.testing.assert_allclose(geometry.rankme_from_moments(moments), 1, rtol=1e-5)
    np.testing.assert_allclose(geometry.lidar_from_moments(moments, moments), 1, rtol=1e-5)


def test_nan_stays_nan():
    """On the device and on the host, where NumPy's decompositions would raise."""
    z = _features(256, 24, 0.5)
    z[3, 2] = np.nan
    moments = geometry.update_moments(geometry.init_host_moments(24), z)
    assert np.isnan([*_stream_on_device(z), *jax.tree.leaves(geometry.stream_metrics([z]))]).all()
    assert np.isnan(geometry.lidar_from_moments(moments, moments))


@pytest.mark.parametrize("metric", ["moment_metrics", "rankme_from_moments", "self_cluster_from_moments", "lidar_from_moments"])
def test_empty_host_moments_are_refused(metric):
    """By every metric; LiDAR reads two of them."""
    with pytest.raises(ValueError, match=r"moments must have at least [12] rows .*, got 0"):
        getattr(geometry, metric)(*[geometry.init_host_moments(6)] * (1 + metric.startswith("lidar")))


def test_bad_input(without_typing_hook):
    with pytest.raises(ValueError, match=r"batches must hold at least one batch \[n, d\], got none"):
        geometry.stream_metrics([])
    with pytest.raises(ValueError, match=r"batches must have shape \[N, d\], got \(3,\)"):
        geometry.stream_metrics([np.ones(3)])
    with pytest.raises(ValueError, match="moments must have at least 2 rows over all devices, got 1; pass a larger batch"):
        geometry.stream_metrics([np.ones((1, 6))])
    with pytest.raises(ValueError, match="moments must have one width, got 6 and 1; start those of another width from empty ones"):
        geometry.stream_metrics([np.ones((4, 6)), np.ones((4, 1))])
    with pytest.raises(ValueError, match="moments must have a width of at least 5, got 3"):
        geometry.moment_metrics(geometry.init_moments(3))
