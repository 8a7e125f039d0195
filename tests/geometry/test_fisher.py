import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sslx import geometry
from sslx.models import encoder

N, SIDE, D = 5, 4, 3


def _convnet(params, image):
    """A strided convolution, a nonlinearity, mean pooling and a linear head: [side, side, 1] -> [D]."""
    kernel = params["kernel"]
    hidden = jax.lax.conv_general_dilated(image[None], kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
    return jnp.mean(jnp.tanh(hidden[0]), axis=(0, 1)) @ params["head"] + params["bias"]


@pytest.fixture(scope="module")
def network():
    generator = np.random.default_rng(0)
    shapes = {"kernel": (3, 3, 1, 4), "head": (4, D), "bias": (D,)}
    params = {name: generator.normal(size=shape) for name, shape in shapes.items()}
    return params, generator.normal(size=(N, SIDE, SIDE, 1))


def _dense_and_operator(name, params, x, **options):
    """(matrix, matvec on flat vectors) of one of the three Fisher matrices of the convnet at sigma = 0.5."""
    if name == "parameters":
        dense = geometry.fisher_parameters(_convnet, params, x, 0.5, **options)
        operator = geometry.fisher_parameters_operator(_convnet, params, x, 0.5, **options)
        flat, unravel = jax.flatten_util.ravel_pytree(params)
    else:
        f = lambda one: _convnet(params, one)  # noqa: E731
        dense = getattr(geometry, f"fisher_{name}")(f, x, 0.5, **options)
        operator = getattr(geometry, f"fisher_{name}_operator")(f, x, 0.5, **options)
        flat, unravel = jax.flatten_util.ravel_pytree(x[0] if name == "input" else jnp.zeros(D, x.dtype))
    return dense, jax.vmap(lambda v: jax.flatten_util.ravel_pytree(operator(unravel(v)))[0])(jnp.eye(flat.size, dtype=x.dtype))


@pytest.mark.parametrize("name", ["input", "output", "parameters"])
def test_operator_equals_matrix_equals_jacobians(name, network):
    params, x = network
    both = jax.jit(lambda params, x: _dense_and_operator(name, params, x))
    dense, products = both(params, x)
    flat, unravel = jax.flatten_util.ravel_pytree(params)
    function = (lambda p, one: _convnet(unravel(p), one)) if name == "parameters" else (lambda p, one: _convnet(params, one))
    jacobian = jax.jit(jax.vmap(jax.jacfwd(function, argnums=0 if name == "parameters" else 1), in_axes=(None, 0)))
    j = np.asarray(jacobian(flat, x)).reshape(N, D, -1)
    expected = np.mean(j @ j.transpose(0, 2, 1) if name == "output" else j.transpose(0, 2, 1) @ j, axis=0) / 0.25
    np.testing.assert_allclose(dense, expected, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(products, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", ["input", "output", "parameters"])
def test_blocks_and_devices_change_nothing(name, network):
    params, x = network
    x = np.concatenate([x, x[:3] + 1.0])
    devices = jax.vmap(lambda x: _dense_and_operator(name, params, x, axis_name="i"), axis_name="i")
    whole, blocks, split = jax.jit(
        lambda x: (
            _dense_and_operator(name, params, x),
            _dense_and_operator(name, params, x, batch_size=3),
            devices(x.reshape(2, 4, SIDE, SIDE, 1)),
        )
    )(x)
    for value, wanted, each in zip(blocks, whole, split, strict=True):
        np.testing.assert_allclose(value, wanted, rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(each, np.broadcast_to(wanted, each.shape), rtol=1e-10, atol=1e-12)


def test_linear_map_has_the_closed_forms():
    """G_in = W^T W / s^2; parameters: E[xx^T] (x) I / s^2, independent of W; rank-r W with equal singular values: eta = r/d."""
    generator = np.random.default_rng(1)
    w, x, sigma = generator.normal(size=(4, 3)), generator.normal(size=(7, 3)), 0.3

    @jax.jit
    def matrices(w, x):
        inside, outside = (fisher(lambda x: w @ x, x, sigma) for fisher in (geometry.fisher_input, geometry.fisher_output))
        return inside, outside, geometry.fisher_parameters(lambda w, x: w @ x, w, x, sigma), geometry.efficiency(outside)

    inside, outside, parameters, eta = matrices(w, x)
    np.testing.assert_allclose(inside, w.T @ w / sigma**2, rtol=1e-12)
    np.testing.assert_allclose(outside, w @ w.T / sigma**2, rtol=1e-12)
    np.testing.assert_allclose(parameters, np.kron(np.eye(4), x.T @ x / 7) / sigma**2, rtol=1e-12, atol=1e-12)
    s = np.linalg.svd(w, compute_uv=False)
    np.testing.assert_allclose(eta, np.sum(s**2) ** 2 / (4 * np.sum(s**4)), rtol=1e-12)


def test_it_is_the_information_of_the_gaussian_model():
    """mean over y ~ N(f(x), s^2) of score score^T, scores by autodiff; 40,000 draws."""
    sigma = 0.5
    f = lambda x: jnp.array([jnp.sin(x[0] * x[1]), x[0] ** 2, x[1]])  # noqa: E731

    @jax.jit
    def estimate_and_matrix(x):
        y = f(x[0]) + sigma * jax.random.normal(jax.random.key(0), (40000, 3))
        scores = jax.vmap(lambda y: jax.grad(lambda x: -jnp.sum((y - f(x)) ** 2) / (2 * sigma**2))(x[0]))(y)
        return scores.T @ scores / 40000, geometry.fisher_input(f, x, sigma)

    np.testing.assert_allclose(*estimate_and_matrix(np.array([[0.3, -0.8]])), rtol=0.04, atol=0.04)


def test_averages_share_the_trace_but_not_the_spectrum(network):
    params, x = network
    f = lambda one: _convnet(params, one)  # noqa: E731
    inside, outside = jax.jit(lambda x: (geometry.fisher_input(f, x, 1.0), geometry.fisher_output(f, x, 1.0)))(x)
    np.testing.assert_allclose(np.trace(inside), np.trace(outside), rtol=1e-10)
    assert abs(np.linalg.norm(inside) / np.linalg.norm(outside) - 1) > 1e-3


def test_half_precision_inputs():
    w = np.random.default_rng(1).normal(size=(4, 3))

    @jax.jit
    def matrix_and_product(w, x):
        return geometry.fisher_output(lambda x: w @ x, x, 0.5), geometry.fisher_output_operator(lambda x: w @ x, x, 0.5)(jnp.ones(4))

    matrix, product = matrix_and_product(np.float16(w), np.ones((6, 3), np.float16))
    assert matrix.dtype == product.dtype == jnp.float32
    np.testing.assert_allclose(matrix, w @ w.T / 0.25, rtol=0.02, atol=0.02)
    np.testing.assert_allclose(product, w @ w.T @ np.ones(4) / 0.25, rtol=0.02, atol=0.02)


@pytest.mark.parametrize("scale", [1e3, 1e-5])
def test_products_of_half_precision_inputs_are_those_of_float32(scale):
    """Their entries, 3e6 and 3e-10, are not numbers of float16."""
    w, x = jnp.full((2, 3), scale, jnp.float32), jnp.ones((4, 3), jnp.float32)
    for product, v in ((geometry.fisher_input_operator, jnp.ones(3)), (geometry.fisher_output_operator, jnp.ones(2))):
        half, full = (product(lambda x: w @ x, x.astype(dtype), 1.0)(v) for dtype in (jnp.float16, jnp.float32))
        np.testing.assert_array_equal(half, full)


def test_products_of_half_precision_parameters_are_summed_in_float32():
    """Of 1001 inputs, which is no number of bfloat16."""
    scale = lambda p, x: (p * x).astype(p.dtype)  # noqa: E731
    product = geometry.fisher_parameters_operator(scale, jnp.bfloat16(2), jnp.ones((1001, 1)), 1.0)(jnp.bfloat16(1))
    assert product.dtype == jnp.float32
    np.testing.assert_allclose(product, 1, rtol=1e-6)


def test_products_are_defined_for_the_parameters_of_a_resnet18():
    """Traced, not run: 11 million parameters, of which no matrix could be held."""
    model, x = encoder("resnet18"), jax.ShapeDtypeStruct((2, 32, 32, 3), jnp.float32)
    variables = jax.eval_shape(lambda key, x: model.init(key, x), jax.random.key(0), x)

    def product(variables, x, v):
        features = lambda p, image: model.apply({**variables, "params": p}, image[None])[0]  # noqa: E731
        return geometry.fisher_parameters_operator(features, variables["params"], x, 0.1, batch_size=1)(v)

    found = jax.eval_shape(product, variables, x, variables["params"])
    assert jax.tree.map(lambda leaf: leaf.shape, found) == jax.tree.map(lambda leaf: leaf.shape, variables["params"])
    assert sum(leaf.size for leaf in jax.tree.leaves(found)) > 11e6


@pytest.mark.parametrize("exponent", [-66, 66])
def test_noise_and_slopes_whose_squares_leave_float32(exponent):
    """The information of f / c with noise sigma / c is that of f with sigma."""
    x, c = jnp.eye(3, dtype=jnp.float32), 2.0**exponent
    for fisher in (geometry.fisher_input, geometry.fisher_output):
        np.testing.assert_allclose(fisher(lambda x: c * x, x, c), np.eye(3), rtol=1e-6)
    product = geometry.fisher_input_operator(lambda x: x, x, c)(c * x[0])
    np.testing.assert_allclose(product, [1 / c, 0, 0], rtol=1e-6)


@pytest.mark.parametrize("batch_size", [0, -2])
def test_batches_have_at_least_one_input(batch_size, without_typing_hook):
    f, x = lambda *arguments: arguments[-1], jnp.ones((2, 3))
    for fisher, arguments in (
        (geometry.fisher_input, (x, 1.0)),
        (geometry.fisher_output, (x, 1.0)),
        (geometry.fisher_parameters, (x[0], x, 1.0)),
        (geometry.fisher_input_operator, (x, 1.0)),
        (geometry.fisher_output_operator, (x, 1.0)),
        (geometry.fisher_parameters_operator, (x[0], x, 1.0)),
    ):
        with pytest.raises(ValueError, match=f"batch_size must be an integer of at least 1, got {batch_size}"):
            fisher(f, *arguments, batch_size=batch_size)


def test_bad_input(without_typing_hook):
    with pytest.raises(ValueError, match="sigma must be above 0, got 0"):
        geometry.fisher_input(lambda x: x, jnp.ones((2, 3)), 0)
    with pytest.raises(ValueError, match=r"sigma must be above 0, got 0\.0"):
        geometry.fisher_input(lambda x: x, jnp.ones((2, 3)), np.float32(0))
    with pytest.raises(TypeError, match="x must be floating-point, got dtype int"):
        geometry.fisher_output_operator(lambda x: x, jnp.ones((2, 3), int), 1.0)
    with pytest.raises(ValueError, match=r"x must have shape \[N, ...\] with N >= 1, got \(\); add a batch axis"):
        geometry.fisher_output(lambda x: x, jnp.ones(()), 1.0)
