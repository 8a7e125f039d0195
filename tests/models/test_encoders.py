"""Encoders: shapes, parameter counts, compute dtype, and batch norm that sees the whole batch."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sslx.models import ENCODERS, BasicBlock, BottleneckBlock, ConvNet, ResNet, encoder
from sslx.models._layers import PatchConv, convolve_on_cpu

# torchvision counts 11,689,512 / 21,797,672 / 25,557,032 with a classifier of 1,000 classes: minus its weights and biases.
TORCHVISION = {
    "resnet18-imagenet": 11_689_512 - 513_000,
    "resnet34-imagenet": 21_797_672 - 513_000,
    "resnet50-imagenet": 25_557_032 - 2_049_000,
}
WIDTH = {"convnet": 128, "mlp": 256, "resnet50": 2048, "resnet50-imagenet": 2048}


def variables(module, images, dtype=jnp.float64):
    """Random variables of the module's shapes: cheaper than its initialisation, which compiles."""
    rng = np.random.default_rng(0)
    shapes = jax.eval_shape(module.init, jax.random.key(0), images)
    return jax.tree.map(lambda leaf: jnp.asarray(rng.uniform(0.5, 1.5, leaf.shape) - (leaf.ndim > 1), dtype), shapes)


def train(module, tree, images):
    return jax.jit(partial(module.apply, train=True, mutable=["batch_stats"]))(tree, images)


def count(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


@pytest.mark.parametrize("name", ENCODERS)
def test_features_have_the_published_width_and_parameters_are_float32(name):
    images = jax.ShapeDtypeStruct((2, 64, 64, 3), jnp.float32)
    features, tree = jax.eval_shape(lambda x: encoder(name).init_with_output(jax.random.key(0), x), images)
    assert features.shape == (2, WIDTH.get(name, 512))
    assert {leaf.dtype for leaf in jax.tree.leaves(tree)} == {jnp.dtype(jnp.float32)}


@pytest.mark.parametrize("name", TORCHVISION)
def test_resnets_have_as_many_parameters_as_the_published_ones(name):
    def parameters(model, size):
        return jax.eval_shape(model.init, jax.random.key(0), jax.ShapeDtypeStruct((1, size, size, 3), jnp.float32))["params"]

    assert count(parameters(encoder(name), 64)) == TORCHVISION[name]
    stems = 7 * 7 * 3 * 64 - 3 * 3 * 3 * 64
    assert count(parameters(encoder(name.removesuffix("-imagenet")), 32)) == TORCHVISION[name] - stems


def test_unknown_encoder_is_refused():
    with pytest.raises(ValueError, match=r"model must be one of convnet, mlp, .*, got 'vgg'"):
        encoder("vgg")


def test_no_convolution_or_linear_map_in_front_of_batch_norm_has_a_bias():
    for name, size in [("convnet", 8), ("mlp", 8), ("resnet18", 8)]:
        images = jax.ShapeDtypeStruct((1, size, size, 1), jnp.float32)
        tree = jax.eval_shape(encoder(name).init, jax.random.key(0), images)["params"]
        paths = [jax.tree_util.keystr(path).lower() for path, _ in jax.tree_util.tree_leaves_with_path(tree)]
        biases = [path for path in paths if "bias" in path]
        assert biases
        assert all("norm" in path or "bn" in path for path in biases)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_float64_and_float32_inputs_are_computed_in_their_own_type(dtype):
    def features(images):
        module = ConvNet(widths=(4, 6), strides=(1, 2))
        tree = jax.tree.map(lambda leaf: leaf.astype(dtype), module.init(jax.random.key(0), images))
        return module.apply(tree, images, train=True, mutable=["batch_stats"])[0]

    assert jax.eval_shape(features, jax.ShapeDtypeStruct((4, 8, 8, 1), dtype)).dtype == dtype


def test_bfloat16_compute_is_close_and_keeps_float32_statistics():
    images = jax.random.uniform(jax.random.key(1), (16, 8, 8, 1), jnp.float32)
    module = ConvNet(widths=(8, 8), strides=(1, 2))
    tree = variables(module, images, jnp.float32)
    exact, _ = train(module, tree, images)
    rounded, state = train(module.clone(dtype=jnp.bfloat16), tree, images)
    assert rounded.dtype == jnp.bfloat16
    assert {leaf.dtype for leaf in jax.tree.leaves(state)} == {jnp.dtype(jnp.float32)}
    np.testing.assert_allclose(rounded.astype(jnp.float32), exact, atol=0.05)


@pytest.mark.parametrize(
    "module",
    [ConvNet(widths=(4, 6), strides=(1, 2)), ResNet(blocks=(1, 1), width=4), ResNet(blocks=(1,), width=4, bottleneck=True)],
    ids=["convnet", "basic", "bottleneck"],
)
def test_batch_norm_over_devices_equals_the_large_batch(module):
    images = jax.random.uniform(jax.random.key(1), (12, 8, 8, 2), jnp.float64)
    tree = variables(module, images)
    features, state = train(module, tree, images)
    synchronised = module.clone(axis_name="batch")
    split = jax.pmap(
        lambda x: synchronised.apply(tree, x, train=True, mutable=["batch_stats"]), axis_name="batch", devices=jax.devices()[:4]
    )
    features_4, state_4 = split(images.reshape(4, 3, 8, 8, 2))
    np.testing.assert_allclose(features_4.reshape(12, -1), features, rtol=1e-9, atol=1e-12)
    for one, four in zip(jax.tree.leaves(state), jax.tree.leaves(state_4), strict=True):
        np.testing.assert_allclose(four[2], one, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("height", "width", "strides", "stride"), [(7, 8, (2, 1, 1), 2), (32, 32, (1, 2, 2), 1), (31, 40, None, 1), (32, 33, None, 2)]
)
def test_the_first_stage_is_a_convolution_and_momentum_weighs_the_old_statistics(height, width, strides, stride):
    images = jax.random.uniform(jax.random.key(1), (6, height, width, 2), jnp.float64)
    module = ConvNet(widths=(3, 2, 2), strides=strides, momentum=0.75)
    tree = variables(module, images)
    _, state = train(module, tree, images)
    kernel = tree["params"]["PatchConv_0"]["kernel"]
    maps = jax.lax.conv_general_dilated(images, kernel, (stride, stride), [(1, 1), (1, 1)], dimension_numbers=("NHWC", "HWIO", "NHWC"))
    statistics = state["batch_stats"]["BatchNorm_0"]
    old = tree["batch_stats"]["BatchNorm_0"]
    np.testing.assert_allclose(statistics["mean"], 0.75 * old["mean"] + 0.25 * maps.mean((0, 1, 2)), rtol=1e-9)
    np.testing.assert_allclose(statistics["var"], 0.75 * old["var"] + 0.25 * maps.var((0, 1, 2)), rtol=1e-9)


@pytest.mark.parametrize("stride", [1, 2])
def test_the_fast_convolution_has_the_derivatives_of_the_plain_one(stride):
    x, dx = jax.random.normal(jax.random.key(0), (2, 3, 7, 8, 2), jnp.float64)
    kernel, dkernel = jax.random.normal(jax.random.key(1), (2, 3, 3, 2, 4), jnp.float64)

    def plain(x, kernel):
        padding = ((1, 1), (1, 1))
        return jax.lax.conv_general_dilated(x, kernel, (stride, stride), padding, dimension_numbers=("NHWC", "HWIO", "NHWC"))

    def derivatives(f):
        def everything(x, kernel, dx, dkernel):
            gradient = jax.grad(lambda *a: jnp.sum(jnp.sin(f(*a))), argnums=(0, 1))
            return jax.jvp(f, (x, kernel), (dx, dkernel)), jax.jvp(gradient, (x, kernel), (dx, dkernel))

        return jax.jit(everything)(x, kernel, dx, dkernel)

    both = map(derivatives, (lambda x, kernel: convolve_on_cpu(x, kernel, stride), plain))
    for found, wanted in zip(*map(jax.tree.leaves, both), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("block", [BasicBlock, BottleneckBlock])
def test_zero_init_residual_starts_a_block_as_its_shortcut(block):
    images = jax.random.normal(jax.random.key(1), (2, 5, 5, 8), jnp.float64)
    width = 8 if block is BasicBlock else 2
    for zero in (True, False):
        module = block(width, 1, zero, {"dtype": None, "axis_name": None, "momentum": 0.9})
        out, _ = jax.jit(partial(module.init_with_output, train=True))(jax.random.key(0, impl="unsafe_rbg"), images)
        assert np.array_equal(out, jax.nn.relu(images)) == zero


def test_an_accelerator_takes_the_compilers_own_derivative(monkeypatch):
    module, x = PatchConv(True, 4, 2), jax.random.normal(jax.random.key(0), (2, 5, 5, 3))
    params = module.init(jax.random.key(1), x)

    def gradient_and_program():
        gradient = jax.grad(lambda p: jnp.sum(jnp.sin(module.apply(p, x))))  # pyright: ignore[reportArgumentType]
        return gradient(params), str(jax.make_jaxpr(gradient)(params))

    on_cpu, with_products = gradient_and_program()
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    elsewhere, without = gradient_and_program()
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-5), elsewhere, on_cpu)
    assert "dot_general" in with_products
    assert "dot_general" not in without


def test_a_frozen_encoder_takes_the_compilers_own_convolution_on_a_cpu_too():
    x = jnp.zeros((2, 8, 8, 3))
    for name in ("convnet", "resnet18"):
        module = encoder(name)
        program = str(jax.make_jaxpr(module.apply)(jax.eval_shape(module.init, jax.random.key(0), x), x))
        assert "conv_general_dilated" in program
        assert "dot_general" not in program
