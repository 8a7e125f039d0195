"""Converted weights against a forward pass written in NumPy on the published layout, and back to where they came from."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sslx.models import MLP, ResNet, encoder, from_torch, to_torch


def published_shapes(blocks, width, *, bottleneck, stem):
    """Names and shapes of the state dict of torchvision's ResNets."""
    shapes = {}

    def conv_norm(conv, norm, out, into, size):
        shapes[f"{conv}.weight"] = (out, into, size, size)
        shapes.update({f"{norm}.{field}": (out,) for field in ("weight", "bias", "running_mean", "running_var")})
        shapes[f"{norm}.num_batches_tracked"] = ()

    conv_norm("conv1", "bn1", width, 3, {"cifar": 3, "imagenet": 7}[stem])
    into = width
    for stage, count in enumerate(blocks):
        inner = width * 2**stage
        widths, sizes = ((inner, inner, 4 * inner), (1, 3, 1)) if bottleneck else ((inner, inner), (3, 3))
        for block in range(count):
            name = f"layer{stage + 1}.{block}"
            for i, (before, out, size) in enumerate(zip((into, *widths), widths, sizes, strict=False)):
                conv_norm(f"{name}.conv{i + 1}", f"{name}.bn{i + 1}", out, before, size)
            if block == 0 and (stage > 0 or into != widths[-1]):
                conv_norm(f"{name}.downsample.0", f"{name}.downsample.1", widths[-1], into, 1)
            into = widths[-1]
    return shapes | {"fc.weight": (1000, into), "fc.bias": (1000,)}


def random_state(shapes):
    """Weights that keep the activations near unit size, statistics near those of standard normals."""
    rng = np.random.default_rng(0)
    return {
        name: rng.normal(size=shape) * np.sqrt(2 / np.prod(shape[1:])) if len(shape) == 4 else rng.uniform(0.5, 1.5, shape)
        for name, shape in shapes.items()
    }


def forward(state, x, stem):
    """Features of images x [N, C, H, W] in inference mode."""

    def conv(name, x, stride=1):
        weight = state[f"{name}.weight"]
        size = weight.shape[-1]
        x = np.pad(x, ((0, 0), (0, 0), (size // 2,) * 2, (size // 2,) * 2))
        windows = np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(2, 3))[:, :, ::stride, ::stride]
        return np.einsum("nchwij,ocij->nohw", windows, weight)

    def norm(name, x):
        mean, var, scale, bias = (state[f"{name}.{f}"][:, None, None] for f in ("running_mean", "running_var", "weight", "bias"))
        return (x - mean) / np.sqrt(var + 1e-5) * scale + bias

    x = np.maximum(norm("bn1", conv("conv1", x, 2 if stem == "imagenet" else 1)), 0)
    if stem == "imagenet":
        padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=-np.inf)
        x = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))[:, :, ::2, ::2].max((-1, -2))
    for name in dict.fromkeys(".".join(key.split(".")[:2]) for key in state if key.startswith("layer")):
        stride = 2 if name.endswith(".0") and not name.startswith("layer1") else 1
        count = 3 if f"{name}.conv3.weight" in state else 2
        y = x
        for i in range(1, count + 1):
            y = norm(f"{name}.bn{i}", conv(f"{name}.conv{i}", y, stride if i == count - 1 else 1))
            y = np.maximum(y, 0) if i < count else y
        if f"{name}.downsample.0.weight" in state:
            x = norm(f"{name}.downsample.1", conv(f"{name}.downsample.0", x, stride))
        x = np.maximum(x + y, 0)
    return x.mean((2, 3))


@pytest.mark.parametrize(("bottleneck", "stem"), [(False, "cifar"), (True, "imagenet")])
def test_converted_weights_give_the_features_of_the_published_layout(bottleneck, stem):
    blocks, width = (2, 1), 4
    state = random_state(published_shapes(blocks, width, bottleneck=bottleneck, stem=stem))
    images = np.random.default_rng(1).random((2, 17, 16, 3))
    module = ResNet(blocks=blocks, width=width, bottleneck=bottleneck, stem=stem)
    features = jax.jit(module.apply)(from_torch(state), jnp.asarray(images))
    np.testing.assert_allclose(features, forward(state, images.transpose(0, 3, 1, 2), stem), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "blocks", "bottleneck"),
    [("resnet18-imagenet", (2, 2, 2, 2), False), ("resnet34-imagenet", (3, 4, 6, 3), False), ("resnet50-imagenet", (3, 4, 6, 3), True)],
)
def test_the_published_networks_fill_every_parameter(name, blocks, bottleneck):
    shapes = jax.eval_shape(encoder(name).init, jax.random.key(0), jax.ShapeDtypeStruct((1, 64, 64, 3), jnp.float32))
    published = published_shapes(blocks, 64, bottleneck=bottleneck, stem="imagenet")
    state = {f"module.{key}": np.broadcast_to(np.float32(0), shape) for key, shape in published.items()}
    converted = from_torch(state, prefix="module.")
    assert jax.tree.map(jnp.shape, converted) == jax.tree.map(jnp.shape, dict(shapes))
    assert {leaf.dtype for leaf in jax.tree.leaves(converted)} == {jnp.dtype(jnp.float32)}


@pytest.mark.parametrize(("bottleneck", "stem"), [(False, "cifar"), (True, "imagenet")])
def test_there_and_back_is_the_same_state(bottleneck, stem):
    state = random_state(published_shapes((2, 1), 4, bottleneck=bottleneck, stem=stem))
    back = to_torch(from_torch(state))
    assert set(state) - set(back) == {name for name in state if name.startswith("fc.") or name.endswith("num_batches_tracked")}
    for name, value in back.items():
        np.testing.assert_array_equal(value, state[name].astype(np.float32))
        assert (value.flags.c_contiguous, value.flags.writeable) == (True, True)


def test_variables_of_other_networks_do_not_go_to_torch(without_typing_hook):
    good = from_torch(random_state(published_shapes((1,), 4, bottleneck=False, stem="cifar")))
    params, others = good["params"], {"batch_stats": good["batch_stats"]}
    for path, wrong in (
        ("Dense_0.kernel", MLP((3,)).init(jax.random.key(0), jnp.zeros((2, 4, 4, 1)))["params"]),
        ("conv1.bias", {**params, "conv1": {**params["conv1"], "bias": np.zeros(4)}}),
        ("conv1.kernel", {**params, "conv1": {"kernel": np.zeros((2, 3, 3, 3, 4))}}),
        ("layer1_0.se.kernel", {**params, "layer1_0": {**params["layer1_0"], "se": {"kernel": np.zeros((4, 4))}}}),
        ("layer1_0.conv1.scale", {**params, "layer1_0": {**params["layer1_0"], "conv1": {"scale": np.zeros(4)}}}),
    ):
        with pytest.raises(ValueError, match=rf"variables have '{path}', which is none of a ResNet's; pass the variables of a ResNet"):
            to_torch({"params": wrong, **others})
    half = {"params": params, "batch_stats": {}}
    for wrong, found in ((params, r"\['conv1', 'bn1', 'layer1_0'\]"), (half, r"\['params'\]"), ((None, good), "tuple")):
        with pytest.raises(ValueError, match=rf"variables must hold a ResNet's params and batch_stats, got {found}; pass those that sslx"):
            to_torch(wrong)


def test_other_networks_are_refused():
    with pytest.raises(
        ValueError, match=r"no parameter that starts with 'module.', its first names are \['conv1.weight'\]; pass their prefix"
    ):
        from_torch({"conv1.weight": np.zeros((4, 3, 3, 3))}, prefix="module.")
    for name in ("backbone.conv1.weight", "patch_embed.proj.weight", "layer1.0.conv1.alpha", "conv1.bias", "bn1.weight"):
        with pytest.raises(ValueError, match=rf"state_dict has '{name}', which is no parameter of a ResNet; pass the prefix"):
            from_torch({name: np.zeros((4, 3, 3, 3))})
