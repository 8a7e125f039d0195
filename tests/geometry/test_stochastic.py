import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sslx import geometry

N = 24
DRAWS = 300


def _matrix(decay, seed=0, n=N):
    u = np.linalg.qr(np.random.default_rng(seed).normal(size=(n, n)))[0]
    return jnp.asarray(u * np.arange(1, n + 1) ** -decay @ u.T)


def _truth(g):
    l = np.linalg.eigvalsh(g)
    p = l / l.sum()
    return l.sum(), np.sum(l**2), l.sum() ** 2 / np.sum(l**2), np.exp(-np.sum(p * np.log(p))), l[::-1]


@jax.jit
def _hutchinson(g):
    keys = jax.random.split(jax.random.key(1), DRAWS)
    return jax.vmap(lambda key: geometry.hutchinson_participation(lambda v: g @ v, key, jnp.zeros(N), probes=64))(keys)


@jax.jit
def _lanczos(g):
    keys = jax.random.split(jax.random.key(2), DRAWS)
    return jax.vmap(lambda key: geometry.lanczos_spectrum(lambda v: g @ v, key, jnp.zeros(N), steps=10, probes=64, top=2))(keys)


def _assert_covers(estimate, truth, name):
    """|value - truth| < 2 errors in 90 to 99 % of the draws (95 % for a normal), and a mean within 4 of its own standard errors."""
    value, error = (np.asarray(part) for part in estimate)
    covered = np.mean(np.abs(value - truth) < 2 * error)
    assert 0.90 <= covered <= 0.99, (name, covered)
    assert abs(value.mean() - truth) < 4 * value.std() / np.sqrt(DRAWS), name


@pytest.mark.parametrize("decay", [0.3, 1.0])
def test_hutchinson_errors_cover_the_truth(decay):
    g = _matrix(decay)
    trace, square, participation, _, _ = _truth(g)
    found = _hutchinson(g)
    _assert_covers(found.trace, trace, "trace")
    _assert_covers(found.trace_square, square, "trace of the square")
    _assert_covers(found.participation, participation, "participation")
    predicted = np.sqrt(2 * (square - np.sum(np.diagonal(g) ** 2)) / 64)
    np.testing.assert_allclose(np.std(found.trace.value), predicted, rtol=0.12)


@pytest.mark.parametrize("decay", [0.3, 1.0])
def test_lanczos_errors_cover_the_truth(decay):
    """Statistical errors for the sums; for the largest eigenvalues a bound that has to hold every time, and from one side for the first."""
    g = _matrix(decay)
    trace, square, _, entropy, l = _truth(g)
    found = jax.device_get(_lanczos(g))
    _assert_covers(found.trace, trace, "trace")
    _assert_covers(found.trace_square, square, "trace of the square")
    _assert_covers(found.entropy_dimension, entropy, "entropy dimension")
    nearest = np.min(np.abs(found.top[..., None] - l), axis=-1)
    assert np.all(nearest <= found.top_error + 1e-12)
    assert np.all(found.top[:, 0] <= l[0] + 1e-12)
    assert np.all(found.top_error[:, 0] < 0.2 * l[0])


def test_full_recurrence_is_exact():
    """steps = n resolves every eigenvalue (random signs, generic matrix): each largest eigenvalue to rounding."""
    g = _matrix(1.0, n=8)
    found = jax.jit(lambda key: geometry.lanczos_spectrum(lambda v: g @ v, key, jnp.zeros(8), steps=99, probes=2, top=8))(jax.random.key(0))
    np.testing.assert_allclose(found.top, _truth(g)[4], rtol=1e-9)


def test_errors_are_the_residuals_of_the_ritz_vectors():
    """In the span of v, G v and G^2 v, of the probe v for which they are least."""
    g, key = np.asarray(_matrix(1.0, n=8)), jax.random.key(0)
    found = jax.jit(lambda: geometry.lanczos_spectrum(lambda v: g @ v, key, jnp.zeros(8), steps=3, probes=4, top=2))()
    pairs = []
    for v in np.asarray(jax.random.rademacher(key, (4, 8), g.dtype)):
        q = np.linalg.qr(np.stack([v, g @ v, g @ g @ v], axis=1))[0]
        values, vectors = np.linalg.eigh(q.T @ g @ q)
        residuals = np.linalg.norm(g @ q @ vectors - q @ vectors * values, axis=0)
        pairs.append((values[:0:-1], residuals[:0:-1]))
    np.testing.assert_allclose((found.top, found.top_error), min(pairs, key=lambda pair: pair[1].sum()), rtol=1e-9)


def test_degenerate_and_zero_operators():
    """The identity breaks the recurrence down after one step, where it is exact; zero has dimension zero. Neither has a second value."""
    key = jax.random.key(0)
    lanczos = jax.jit(lambda c: geometry.lanczos_spectrum(lambda v: c * v, key, jnp.zeros(9, jnp.float32), steps=5, probes=3, top=2))
    hutchinson = jax.jit(lambda c: geometry.hutchinson_participation(lambda v: c * v, key, jnp.zeros(9, jnp.float32), probes=3))
    identity, zero = jax.device_get((lanczos(np.float32(2)), lanczos(np.float32(0))))
    np.testing.assert_allclose((identity.trace.value, identity.entropy_dimension.value, identity.top[0]), (18, 9, 2), rtol=1e-5)
    np.testing.assert_allclose((identity.trace.error, identity.top_error[0]), 0, atol=1e-5)
    np.testing.assert_allclose(hutchinson(np.float32(2)).participation.value, 9, rtol=1e-5)
    assert zero.trace.value == zero.entropy_dimension.value == float(hutchinson(np.float32(0)).participation.value) == 0
    np.testing.assert_array_equal([found.top[1] for found in (identity, zero)], np.nan)
    np.testing.assert_array_equal([found.top_error[1] for found in (identity, zero)], np.inf)


@jax.jit
def _scaled_operator(c):
    g, key, like = _matrix(1.0, n=8).astype(jnp.float32), jax.random.key(0), jnp.zeros(8, jnp.float32)
    found = geometry.lanczos_spectrum(lambda v: c * (g @ v), key, like, steps=5, probes=4, top=2)
    return geometry.hutchinson_participation(lambda v: c * (g @ v), key, like, probes=4), found


@pytest.mark.parametrize("exponent", [-66, 66])
def test_operators_whose_square_leaves_float32(exponent):
    (trace, _, participation), spectrum = jax.device_get(_scaled_operator(np.float32(1)))
    (scaled_trace, _, scaled_participation), scaled = jax.device_get(_scaled_operator(np.ldexp(np.float32(1), exponent)))
    np.testing.assert_allclose(scaled_participation, participation, rtol=1e-5)
    np.testing.assert_allclose(scaled.entropy_dimension, spectrum.entropy_dimension, rtol=1e-4)
    for got, wanted in ((scaled_trace, trace), (scaled.trace, spectrum.trace), (scaled.top, spectrum.top)):
        np.testing.assert_allclose(np.ldexp(got, -exponent), wanted, rtol=1e-4)


def test_probe_that_misses_an_eigenvalue_is_passed_over():
    """Of eigenvalues 4, 1, 1 a probe along the first sees one only, others see two; a third distinct one there is not."""
    g, key = jnp.eye(3) + 1, jax.random.key(8)
    assert abs(jnp.sum(jax.random.rademacher(key, (9, 3), g.dtype)[0])) == 3
    found = jax.jit(lambda: geometry.lanczos_spectrum(lambda v: g @ v, key, jnp.zeros(3), probes=9, top=3))()
    np.testing.assert_allclose(found.top, [4, 1, np.nan], rtol=1e-12)
    np.testing.assert_allclose(found.top_error, [0, 0, np.inf])


def test_operators_on_pytrees():
    """The parameter Fisher information of a small network, never formed, against its matrix."""
    generator = np.random.default_rng(3)
    params = {"w": generator.normal(size=(3, 4)), "v": generator.normal(size=(2, 3))}
    x = generator.normal(size=(6, 4))
    f = lambda p, x: p["v"] @ jnp.tanh(p["w"] @ x)  # noqa: E731

    @jax.jit
    def matrix_and_spectrum(key, params, x):
        operator = geometry.fisher_parameters_operator(f, params, x, 1.0)
        found = geometry.lanczos_spectrum(operator, key, params, steps=12, probes=40)
        return geometry.fisher_parameters(f, params, x, 1.0), found

    matrix, found = matrix_and_spectrum(jax.random.key(4), params, x)
    l = np.linalg.eigvalsh(matrix)
    assert abs(float(found.trace.value) - np.sum(l)) < 4 * float(found.trace.error)
    np.testing.assert_allclose(np.asarray(found.top)[0], l[-1], rtol=1e-6)


def test_bad_input(without_typing_hook):
    key = jax.random.key(0)
    with pytest.raises(TypeError, match="like must be floating-point, got dtype int"):
        geometry.lanczos_spectrum(lambda v: v, key, {"w": np.ones(3), "b": np.ones(2, int)})
    with pytest.raises(ValueError, match="probes must be an integer of at least 2, got 1"):
        geometry.hutchinson_participation(lambda v: v, key, jnp.zeros(3), probes=1)
    for name in ("probes", "steps", "top"):
        with pytest.raises(ValueError, match=f"{name} must be an integer of at least ., got 2.5"):
            geometry.lanczos_spectrum(lambda v: v, key, jnp.zeros(3), **{name: 2.5})
    with pytest.raises(ValueError, match=r"top must lie in 1..steps, got 4 with steps 3"):
        geometry.lanczos_spectrum(lambda v: v, key, jnp.zeros(3), top=4)
