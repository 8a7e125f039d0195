"""Weights in the layout that PyTorch's ResNets are published in, there and back."""

import re
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict
from jax import Array

FIELDS = {
    "weight": ("params", "scale"),
    "bias": ("params", "bias"),
    "running_mean": ("batch_stats", "mean"),
    "running_var": ("batch_stats", "var"),
}
NAMES = {leaf: field for field, (_, leaf) in FIELDS.items()} | {"kernel": "weight"}
SHORTCUT = {"downsample.0": "downsample_conv", "downsample.1": "downsample_bn"}


def from_torch(state_dict: Mapping[str, Any], *, prefix: str = "") -> dict[str, Any]:
    """Variables of `ResNet` from a state dict with torchvision's names.

    `layer1.0.conv1.weight` [O, I, h, w] becomes `layer1_0/conv1/kernel` [h, w, I, O]; `downsample.0` and `.1` are the convolution
    and the batch norm of a shortcut. The classifier `fc` and the counters `num_batches_tracked` are left out.

    Args:
        state_dict: names to arrays (or CPU tensors).
        prefix: what stands in front of every name, as "module." in a checkpoint of distributed training; names without it are
            left out.

    Returns:
        `{"params": ..., "batch_stats": ...}` in float32, for `encoder("resnet50-imagenet").apply`.

    Raises:
        ValueError: no name starts with the prefix, or a name is not one of a ResNet's.
    """
    variables: dict[str, Any] = {"params": {}, "batch_stats": {}}
    for name, value in state_dict.items():
        inner = name.removeprefix(prefix)
        if not name.startswith(prefix) or inner.startswith("fc.") or inner.endswith("num_batches_tracked"):
            continue
        collection, path, leaf = place(inner, np.asarray(value))
        node = variables[collection]
        for part in path[:-1]:
            node = node.setdefault(part, {})
        node.setdefault(path[-1], {}).update(leaf)
    if not variables["params"]:
        raise ValueError(
            f"state_dict has no parameter that starts with {prefix!r}, its first names are {list(state_dict)[:3]}; pass their prefix"
        )
    return variables


def place(name: str, value: np.ndarray) -> tuple[str, tuple[str, ...], dict[str, Array]]:
    """Collection, module path and named array of one entry of the state dict."""
    *modules, field = renamed(name, SHORTCUT).split(".")
    known = field in FIELDS and (len(modules) == 1 or (len(modules) == 3 and modules[0].startswith("layer")))
    if not known or not modules[-1].startswith(("conv", "bn", "downsample")):
        raise ValueError(
            f"state_dict has {name!r}, which is no parameter of a ResNet; pass the prefix of the encoder's names, or that part only"
        )
    path = (f"{modules[0]}_{modules[1]}", modules[2]) if len(modules) == 3 else (modules[0],)
    if value.ndim == 4:
        return "params", path, {"kernel": jnp.asarray(value.transpose(2, 3, 1, 0), jnp.float32)}
    collection, leaf = FIELDS[field]
    return collection, path, {leaf: jnp.asarray(value, jnp.float32)}


def to_torch(variables: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The state dict with torchvision's names of the variables of a `ResNet`, as `sslx.load` gives them: the inverse of `from_torch`.

    As tensors they load into torchvision's network of that size once its `fc` is an identity. For a network without `-imagenet` in its name
    `conv1` is to be a convolution of 3x3 pixels with stride 1, and `maxpool` an identity. Its images are in [0, 1], not standardised.

    Raises:
        ValueError: a name is not one of a ResNet's.
    """
    state = {}
    for collection in ("params", "batch_stats"):
        for path, value in flatten_dict(variables.get(collection, {}), sep=".").items():
            module, _, leaf = path.rpartition(".")
            name = re.sub(r"^(layer\d+)_", r"\1.", renamed(module, {ours: theirs for theirs, ours in SHORTCUT.items()}))
            array = np.array(value, np.float32)
            if not re.match(r"(conv1|bn1|layer\d+\.\d+\.\S+)$", name) or leaf not in NAMES:
                raise ValueError(f"variables have {path!r}, which is none of a ResNet's; pass the variables of a ResNet encoder")
            state[f"{name}.{NAMES[leaf]}"] = np.ascontiguousarray(array.transpose(3, 2, 0, 1)) if array.ndim == 4 else array
    return state


def renamed(name: str, parts: Mapping[str, str]) -> str:
    """The name with every part replaced."""
    for old, new in parts.items():
        name = name.replace(old, new)
    return name
