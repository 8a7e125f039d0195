import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from sslx.information import (
    boundary_distance,
    induced_covariance_operator,
    induced_gaussian,
    induced_mixture,
    induced_samples,
    linearisation_error,
    local_affine,
    region_exit_bound,
    same_region,
)
from sslx.models import encoder


class Encoder(nn.Module):
    """Convolution, batch norm, ReLU, mean pool, dense: piecewise affine in inference mode."""

    @nn.compact
    def __call__(self, images):
        h = nn.Conv(4, (3, 3), dtype=jnp.float64, param_dtype=jnp.float64)(images)
        h = nn.BatchNorm(use_running_average=True, dtype=jnp.float64, param_dtype=jnp.float64, name="norm")(h)
        return nn.Dense(3, dtype=jnp.float64, param_dtype=jnp.float64)(nn.relu(h).mean((1, 2)))


@pytest.fixture(scope="module")
def network():
    model, x = Encoder(), jax.random.normal(jax.random.key(0), (4, 4, 1), jnp.float64)
    variables = jax.jit(model.init)(jax.random.key(1), x[None])
    variables = {**variables, "batch_stats": jax.tree.map(lambda a: a + 0.3, variables["batch_stats"])}

    def f(image):
        return model.apply(variables, image[None])[0]

    def pre_activations(image):
        _, seen = model.apply(variables, image[None], capture_intermediates=lambda m, _: m.name == "norm", mutable="intermediates")
        return seen["intermediates"]

    return jax.jit(f), pre_activations, x


def test_affine_map_is_exact_inside_the_region(network):
    f, pre_activations, x = network
    x = np.asarray(x)
    inside = jax.jit(lambda x, other: same_region(pre_activations, x, other))
    error = jax.jit(lambda x, step: linearisation_error(f, x, step))
    a, b = (np.asarray(m) for m in jax.jit(lambda x: local_affine(f, x))(x))
    assert a.shape == (3, 16)
    assert b.shape == (3,)
    distance = float(jax.jit(lambda x: boundary_distance(pre_activations, x))(x))
    direction = np.random.default_rng(2).standard_normal(x.shape)
    step, far = (length * direction / np.linalg.norm(direction) for length in (0.99 * distance, 10.0))
    assert distance > 0
    assert inside(x, x + step)
    np.testing.assert_allclose(f(x + step), a @ np.ravel(x + step) + b, rtol=1e-12)
    assert float(error(x, step)) < 1e-12
    assert not inside(x, x + far)
    assert float(error(x, far)) > 1e-2


def test_boundary_is_reached_at_its_distance():
    w, b = np.array([[3.0, 4.0], [1.0, 0.0]]), np.array([-10.0, 5.0])
    x = np.array([1.0, 1.0])  # 3 / 5 from the first line, 6 from the second
    np.testing.assert_allclose(jax.jit(lambda x: boundary_distance(lambda x: w @ x + b, x))(x), 0.6, rtol=1e-12)


def test_regions_of_a_half_precision_network_and_of_a_broken_one():
    """Faces and norms in float32, for the network of the test above in bfloat16 and its squares in float16; nan once a weight is."""
    b, x = jnp.array([-10.0, 5.0], jnp.bfloat16), jnp.ones(2, jnp.float32)

    @jax.jit
    def checks(w):
        def h(x):
            return w @ x.astype(w.dtype) + b

        def squares(x):
            return (1e3 * (w.astype(x.dtype) @ x) ** 2).astype(jnp.float16)

        numbers = boundary_distance(h, x), region_exit_bound(h, x, 0.7), linearisation_error(squares, x, -x / 2)
        return jnp.stack(numbers), same_region(h, x, x)

    w = jnp.array([[3.0, 4.0], [1.0, 0.0]], jnp.bfloat16)
    numbers, same = checks(w)
    np.testing.assert_allclose(numbers, [0.6, scipy.stats.norm.cdf([-0.6 / 0.7, -6 / 0.7]).sum(), 0.25], rtol=1e-6)
    assert same
    numbers, same = checks(w.at[0, 0].set(jnp.nan))
    assert np.isnan(numbers).all()
    assert not same


def test_operator_takes_a_vector_of_another_type():
    w = np.float32([[3, 4], [1, 0]])
    _, matvec = induced_covariance_operator(lambda x: w @ x, jnp.ones(2, jnp.float32), 0.5)
    for dtype in (jnp.float64, jnp.int32):
        np.testing.assert_allclose(matvec(jnp.array([1, 2], dtype)), 0.25 * w @ w.T @ [1, 2], rtol=1e-6)


def test_induced_gaussian_is_the_push_forward_of_an_affine_map():
    rng = np.random.default_rng(0)
    w, c, root, x = (rng.standard_normal(s) for s in ((3, 4), (3,), (4, 4), (4,)))
    noise = root @ root.T
    push = jax.jit(lambda x, noise: induced_gaussian(lambda x: w @ x + c, x, noise))
    mean, cov = push(jnp.asarray(x), jnp.asarray(noise))
    np.testing.assert_allclose(mean, w @ x + c, rtol=1e-12)
    np.testing.assert_allclose(cov, w @ noise @ w.T, rtol=1e-12)
    np.testing.assert_allclose(push(jnp.asarray(x), 0.5)[1], 0.25 * w @ w.T, rtol=1e-12)


def test_matrix_free_operator_equals_the_dense_covariance(network):
    f, _, x = network
    root = np.random.default_rng(1).standard_normal((16, 16))

    @jax.jit
    def both(noise):
        mean, matvec = induced_covariance_operator(f, x, noise)
        return (mean, jax.vmap(matvec)(jnp.eye(3))), induced_gaussian(f, x, noise)

    for noise in (0.3, jnp.asarray(root @ root.T)):
        free, dense = both(noise)
        np.testing.assert_allclose(free[0], dense[0], rtol=1e-12)
        np.testing.assert_allclose(free[1], dense[1], rtol=1e-11, atol=1e-14)


def test_float32_is_close_to_float64(network):
    f, _, x = network
    low, high = (jax.jit(lambda x: induced_gaussian(f, x, 0.3))(x.astype(dtype)) for dtype in (jnp.float32, jnp.float64))
    np.testing.assert_allclose(low[0], high[0], rtol=1e-4)
    np.testing.assert_allclose(low[1], high[1], rtol=1e-4, atol=1e-4 * np.max(high[1]))


def test_encoder_of_the_library_in_inference_mode():
    """The affine map, dense and matrix-free, of an encoder as a training run leaves it, float32 and with batch statistics."""
    model, x = encoder("convnet"), jax.random.uniform(jax.random.key(0), (8, 8, 1), jnp.float32)
    variables = jax.jit(model.init)(jax.random.key(1), x[None])

    @jax.jit
    def checks(variables, x):
        def f(image):
            return model.apply(variables, image[None], train=False)[0]

        (a, b), (mean, matvec), value = local_affine(f, x), induced_covariance_operator(f, x, 0.1), f(x)
        v = jnp.linspace(-1, 1, len(value), dtype=jnp.float32)
        return value, a @ x.ravel() + b, mean, matvec(v), 0.01 * a @ (a.T @ v)

    value, affine, mean, free, dense = checks(variables, x)
    np.testing.assert_allclose(affine, value, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(mean, value)
    np.testing.assert_allclose(free, dense, rtol=1e-4, atol=1e-4 * np.max(np.abs(dense)))


def test_network_outputs_under_small_noise_have_the_induced_moments(network):
    f, pre_activations, x = network

    @jax.jit
    def draws(key):
        sigma = boundary_distance(pre_activations, x) / 8  # 16 inputs: |e| is about 4 sigma
        noise = sigma * jax.random.normal(key, (20_000, *x.shape), jnp.float64)
        return induced_gaussian(f, x, sigma), jax.vmap(f)(x + noise), induced_samples(key, f, x, sigma, samples=20_000)

    (mean, cov), *samples = draws(jax.random.key(3))
    for values in map(np.asarray, samples):
        assert np.all(np.abs(values.mean(0) - mean) < 5 * np.sqrt(np.diagonal(cov) / 20_000))
        np.testing.assert_allclose(np.cov(values.T), cov, atol=0.05 * np.max(cov))


def test_induced_mixture_is_one_gaussian_per_image(network):
    f, _, x = network
    x = np.asarray(x)
    means, covs = jax.device_get(jax.jit(lambda images: induced_mixture(f, images, 0.1))(np.stack([x, -x])))
    mean, cov = jax.jit(lambda x: induced_gaussian(f, x, 0.1))(-x)
    np.testing.assert_allclose(means[1], mean, rtol=1e-12)
    np.testing.assert_allclose(covs[1], cov, rtol=1e-11, atol=1e-15)


def test_exit_bound_is_exact_for_one_face_and_sums_over_faces():
    w, offsets, x = jnp.array([[3.0, 4.0], [1.0, 0.0]]), jnp.array([-10.0, 1.0]), jnp.array([1.0, 1.0])
    exact = scipy.stats.norm.cdf(-np.array([0.6, 2.0]) / 0.7)
    one, both = jax.jit(
        lambda x: (
            region_exit_bound(lambda x: w[:1] @ x + offsets[:1], x, 0.7),
            region_exit_bound(lambda x: {"a": w @ x + offsets, "dead": jnp.zeros(2)}, x, 0.7),
        )
    )(x)
    np.testing.assert_allclose(one, exact[0], rtol=1e-12)
    np.testing.assert_allclose(both, exact.sum(), rtol=1e-12)


def test_exit_bound_has_a_derivative_in_sigma_beside_a_unit_without_a_face():
    def bound(sigma):
        return region_exit_bound(lambda x: jnp.stack([x[0], 0 * x[1] + 1]), jnp.ones(2), sigma)

    np.testing.assert_allclose(jax.grad(bound)(0.5), scipy.stats.norm.pdf(2) * 4, rtol=1e-6)


def test_exit_bound_holds_for_a_network(network):
    _, pre_activations, x = network

    @jax.jit
    def exits(scale):
        sigma = scale * boundary_distance(pre_activations, x)
        noise = sigma * jax.random.normal(jax.random.key(5), (4000, *x.shape), jnp.float64)
        inside = jax.vmap(lambda e: same_region(pre_activations, x, x + e))(noise)
        return 1 - jnp.mean(inside), region_exit_bound(pre_activations, x, sigma)

    for scale in (1 / 3, 1.0, 10.0):
        left, bound = exits(scale)
        assert left <= bound + 4 * np.sqrt(bound / 4000)
        assert bound <= 1
    assert left > 0.5


@pytest.mark.usefixtures("without_typing_hook")
def test_bad_input_is_named():
    x = jnp.ones(3)
    with pytest.raises(ValueError, match=r"cov_or_sigma must be a scalar .* \(3, 3\), got shape \(3,\); use jnp.diag"):
        induced_gaussian(lambda x: x, x, jnp.ones(3))
    with pytest.raises(ValueError, match=r"f must map one input of shape \(3,\) to one vector"):
        local_affine(lambda x: x[None], x)
    with pytest.raises(TypeError, match="x must be floating-point, got dtype int64"):
        local_affine(lambda x: x, jnp.ones(3, jnp.int64))
    with pytest.raises(TypeError, match="x must be a floating-point array, got list"):
        region_exit_bound(lambda x: x, [1.0], 1.0)
