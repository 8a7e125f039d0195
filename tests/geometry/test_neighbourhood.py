import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sslx import geometry

alignment, self_cluster = jax.jit(geometry.alignment), jax.jit(geometry.self_cluster)


def _sphere(n, d, seed=0):
    z = np.random.default_rng(seed).normal(size=(n, d))
    return z / np.linalg.norm(z, axis=1, keepdims=True)


def _uniformity(z, t=2):
    rows, columns = np.triu_indices(len(z), 1)
    return np.log(np.mean(np.exp(-t * np.sum((z[rows] - z[columns]) ** 2, axis=1))))


@pytest.mark.parametrize("alpha", [1, 2, 3.5])
def test_alignment_is_its_definition(alpha):
    a, b = _sphere(20, 5), _sphere(20, 5, seed=1)
    expected = np.mean(np.linalg.norm(a - b, axis=1) ** alpha)
    np.testing.assert_allclose(alignment(3 * a, 0.2 * b, alpha=alpha), expected, rtol=1e-12)
    assert float(alignment(a, 2 * a, alpha=alpha)) < 1e-12


@pytest.mark.parametrize(("n", "batch_size"), [(2, 256), (37, 8), (37, 37)])
def test_uniformity_is_its_definition(n, batch_size):
    z = _sphere(n, 5)
    uniformity = jax.jit(lambda z, t: geometry.uniformity(z, t=t, batch_size=batch_size))
    for t in (2.0, 0.5):
        np.testing.assert_allclose(uniformity(4 * z, t), _uniformity(z, t), rtol=1e-12)
    np.testing.assert_allclose(uniformity(np.float16(z), 2.0), _uniformity(z), rtol=0.02)


def test_uniformity_limits():
    """0 for one point; -2t for high dimension; a cold kernel does not underflow in float32."""
    uniformity = jax.jit(geometry.uniformity)
    np.testing.assert_allclose(uniformity(np.ones((9, 40), np.float32)), 0, atol=1e-5)
    np.testing.assert_allclose(uniformity(_sphere(300, 3000)), -4, atol=0.01)
    np.testing.assert_allclose(uniformity(np.float32(_sphere(9, 40)), t=400), _uniformity(_sphere(9, 40), 400), rtol=1e-4)


def test_gradients():
    z, direction = _sphere(7, 3), _sphere(7, 3, seed=1)
    for metric in (lambda z: geometry.uniformity(z, batch_size=4), geometry.self_cluster):
        metric = jax.jit(metric)
        gradient = jax.jit(jax.grad(metric))
        slope = (float(metric(z + 1e-5 * direction)) - float(metric(z - 1e-5 * direction))) / 2e-5
        np.testing.assert_allclose(np.sum(np.asarray(gradient(z)) * direction), slope, rtol=1e-7)


@jax.jit
def _gradients(z):
    metrics = (geometry.uniformity, geometry.self_cluster, lambda z: geometry.alignment(z, z, alpha=1))
    return [jax.grad(metric)(z) for metric in metrics]


def test_gradients_are_finite_at_collapse():
    for collapsed in (np.zeros((6, 3), np.float32), np.ones((6, 3), np.float32)):
        for gradient in _gradients(collapsed):
            assert np.isfinite(gradient).all()


@jax.jit
def _of_directions(a, b):
    sampled = geometry.uniformity_sampled(jax.random.key(0), a, pairs=50)
    return geometry.alignment(a, b), geometry.uniformity(a), geometry.self_cluster(a), *sampled


@pytest.mark.parametrize("exponent", [-66, 66])
def test_only_directions_count(exponent):
    """Also where the squares of the rows leave float32, on either side in one batch."""
    a, b = np.float32(_sphere(20, 5)), np.float32(_sphere(20, 5, seed=1))
    each = np.tile([[exponent], [-exponent]], (10, 1))
    np.testing.assert_allclose(_of_directions(np.ldexp(a, each), np.ldexp(b, -exponent)), _of_directions(a, b), rtol=1e-5)


def test_sampled_uniformity_covers_the_exact_value():
    @jax.jit
    def sampled_and_exact(z):
        keys = jax.random.split(jax.random.key(0), 200)
        return *jax.vmap(lambda key: geometry.uniformity_sampled(key, z, pairs=400))(keys), geometry.uniformity(z)

    value, error, exact = map(np.asarray, sampled_and_exact(_sphere(50, 6)))
    covered = np.mean(np.abs(value - exact) < 2 * error)
    assert 0.90 <= covered <= 0.99


def test_sampled_uniformity_of_a_simplex():
    """All pairs at one distance: the value is exact, also where a cold kernel underflows."""
    value, error = jax.jit(lambda z: geometry.uniformity_sampled(jax.random.key(0), z, t=200, pairs=8))(np.eye(4, dtype=np.float32))
    np.testing.assert_allclose((value, error), (-400, 0), rtol=1e-6)


def test_nan_stays_nan():
    """A row with a NaN is not a row of zeros."""
    z = _sphere(20, 5)
    z[3, 2] = np.nan
    assert np.isnan(alignment(z, z, alpha=2))


def test_self_cluster_limits_and_definition():
    """1 for one point, 0 for the uniform sphere (the squared norm: the norm itself would give neither), -1/(N - 1) evenly on a circle."""
    z = _sphere(40, 6)
    gram = z @ z.T
    expected = (6 * np.sum(gram**2) - 40 * (6 + 40 - 1)) / (5 * 39 * 40)
    np.testing.assert_allclose(self_cluster(5 * z), expected, rtol=1e-10)
    np.testing.assert_allclose(self_cluster(np.ones((40, 6))), 1, rtol=1e-12)
    np.testing.assert_allclose(self_cluster(_sphere(20000, 8)), 0, atol=3e-4)
    angle = 2 * np.pi * np.arange(5) / 5
    np.testing.assert_allclose(self_cluster(np.stack([np.cos(angle), np.sin(angle)], axis=1)), -1 / 4, rtol=1e-12)


def test_split_batch():
    a, b = _sphere(24, 5), _sphere(24, 5, seed=1)

    def metrics(a, b, axis_name=None):
        one = geometry.alignment(a, b, axis_name=axis_name), geometry.self_cluster(a, axis_name=axis_name)
        return *one, geometry.uniformity(a, batch_size=4, axis_name=axis_name)

    split = jax.jit(jax.vmap(lambda a, b: metrics(a, b, "i"), axis_name="i"))(a.reshape(4, 6, 5), b.reshape(4, 6, 5))
    whole = jax.jit(metrics)(a, b)
    for part, value in zip(split, whole, strict=True):
        np.testing.assert_allclose(part, value, rtol=1e-12)


def test_bad_input(without_typing_hook):
    with pytest.raises(ValueError, match=r"z_a and z_b must have one shape \[N, d\], got \(4, 3\) and \(5, 3\)"):
        geometry.alignment(jnp.ones((4, 3)), jnp.ones((5, 3)))
    with pytest.raises(ValueError, match=r"z must have at least 2 rows over all devices, got 1; pass a larger batch"):
        geometry.uniformity(jnp.ones((1, 3)))
    with pytest.raises(ValueError, match="batch_size must be an integer of at least 1, got 0"):
        geometry.uniformity(jnp.ones((4, 3)), batch_size=0)
    with pytest.raises(ValueError, match=r"z must have at least 2 columns, got shape \(5, 1\)"):
        geometry.self_cluster(jnp.ones((5, 1)))
    with pytest.raises(ValueError, match="pairs must be an integer of at least 2, got 1"):
        geometry.uniformity_sampled(jax.random.key(0), jnp.ones((5, 2)), pairs=1)
    with pytest.raises(ValueError, match=r"pairs must be an integer of at least 2, got 2\.5"):
        geometry.uniformity_sampled(jax.random.key(0), jnp.ones((5, 2)), pairs=2.5)  # pyright: ignore
    with pytest.raises(ValueError, match="alpha must be above 0, got -1"):
        geometry.alignment(jnp.ones((4, 3)), jnp.ones((4, 3)), alpha=-1)
