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
        if (placed := place(inner, np.asarray(value))) is None:
            raise ValueError(
                f"state_dict has {inner!r}, which is no parameter of a ResNet; pass the prefix of the encoder's names, or that part only"
            )
        collection, path, leaf = placed
        node = variables[collection]
        for part in path:
            node = node.setdefault(part, {})
        node.update(leaf)
    if not variables["params"]:
        raise ValueError(
            f"state_dict has no parameter that starts with {prefix!r}, its first names are {list(state_dict)[:3]}; pass their prefix"
        )
    return variables


def place(name: str, value: np.ndarray) -> tuple[str, tuple[str, ...], dict[str, Array]] | None:
    """Collection, module path and named array of one entry of the state dict; None for one that no ResNet has."""
    *modules, field = renamed(name, SHORTCUT).split(".")
    inside = len(modules) == 1 or (len(modules) == 3 and modules[0].startswith("layer"))
    kind = re.fullmatch(r"(?:downsample_)?(conv|bn)\d?", modules[-1]) if inside else None
    if kind is None or field not in FIELDS or (kind[1], value.ndim) not in {("conv", 4), ("bn", 1)}:
        return None
    path = (f"{modules[0]}_{modules[1]}", modules[2]) if len(modules) == 3 else (modules[0],)
    if value.ndim == 4:
        return ("params", path, {"kernel": jnp.asarray(value.transpose(2, 3, 1, 0), jnp.float32)}) if field == "weight" else None
    collection, leaf = FIELDS[field]
    return collection, path, {leaf: jnp.asarray(value, jnp.float32)}


def to_torch(variables: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The state dict with torchvision's names of the variables of a `ResNet`, as `sslx.load` gives them: the inverse of `from_torch`.

    As tensors they load into torchvision's network of that size once its `fc` is an identity. For a network without `-imagenet` in its name
    `conv1` is to be a convolution of 3x3 pixels with stride 1, and `maxpool` an identity. Its images are in [0, 1], not standardised.

    Raises:
        ValueError: these are not parameters and batch statistics, or not those of a ResNet.
    """
    parts = [variables.get(name) for name in ("params", "batch_stats")] if isinstance(variables, Mapping) else [None]
    if not all(parts):
        found = [name for name, part in variables.items() if part] if isinstance(variables, Mapping) else type(variables).__name__
        raise ValueError(f"variables must hold a ResNet's params and batch_stats, got {found}; pass those that sslx.load gives")
    state = {}
    for path, value in ((path, value) for part in parts for path, value in flatten_dict(part, sep=".").items()):
        module, _, leaf = path.rpartition(".")
        name = re.sub(r"^(layer\d+)_", r"\1.", renamed(module, {ours: theirs for theirs, ours in SHORTCUT.items()}))
        entry, array = f"{name}.{NAMES.get(leaf)}", np.array(value, np.float32)
        array = np.ascontiguousarray(array.transpose(3, 2, 0, 1)) if array.ndim == 4 else array
        if place(entry, array) is None:
            raise ValueError(f"variables have {path!r}, which is none of a ResNet's; pass the variables of a ResNet encoder")
        state[entry] = array
    return state


def renamed(name: str, parts: Mapping[str, str]) -> str:
    """The name with every part replaced."""
    for old, new in parts.items():
        name = name.replace(old, new)
    return name
