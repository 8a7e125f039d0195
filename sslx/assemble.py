"""From a config to the things it names: data, method, network, optimiser, placement, the state at step 0; and a state's frozen parts."""

import textwrap
from collections.abc import Callable
from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax.errors import InvalidRngError, ScopeParamShapeError
from jax import Array

from sslx import data, evaluate, parallel
from sslx.augment import COLOURED, RECIPES, make_views
from sslx.baseline import raw_scores
from sslx.config import Config, ConfigError
from sslx.data import Dataset
from sslx.folder import NOT_LOSSES
from sslx.methods import HeadSize, Method, Online
from sslx.models import ENCODERS, Head, encoder
from sslx.train import Network, TrainState, create_state, init_probe
from sslx.typing import AxisName

MOST_STEPS = 2**31  # they are counted in 32 bits
RECORDED = ("loss", "spectrum", *NOT_LOSSES)


class Parts(NamedTuple):
    """What a config stands for, built."""

    dataset: Dataset
    split: evaluate.ValidationSplit
    method: Method
    lift: parallel.Lift
    steps: int
    schedule: optax.Schedule
    optimizer: optax.GradientTransformation
    raw: Callable[[], dict[str, Any]]  # the scores of raw pixels, found once for all seeds


class Inputs(NamedTuple):
    """What a network has to know of its data: image shape [H, W, C] and number of classes."""

    image_shape: tuple[int, ...]
    classes: int


def assemble(config: Config, progress: data.Progress | None = None) -> Parts:
    """Read the data (telling `progress` how many images are decoded) and build method, optimiser and placement.

    Raises:
        ConfigError: the batch does not fit the data, the devices or the method, the views do not fit the images or the method, the steps
            are too many, or the method learns from labels and there are none.
        DataError: the data set cannot be read.
    """
    method, dataset = config.build_method(), data.load(config.dataset, data_dir=config.data_dir, progress=progress)
    if method.target == "labels" and not dataset.classes:
        raise ConfigError(f"method {config.method} learns from labels, {config.dataset} has none; choose another method")
    split = split_of(dataset)
    count = epoch_size(method, dataset, split)
    if config.batch_size > count:
        raise ConfigError(f"batch_size must be at most {count}, the training images of {config.dataset}, got {config.batch_size}")
    try:
        lift = parallel.lift(config.parallel)
        parallel.check_divisible(config.batch_size, len(jax.devices()), config.micro_batches)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    rehearse(config, method, inputs_of(dataset))
    steps = config.steps or (config.epochs or 0) * (count // config.batch_size)
    if steps >= MOST_STEPS:
        raise ConfigError(f"a run has less than {MOST_STEPS} steps, got {steps}; take fewer steps or epochs")
    schedule, optimizer = config.build_optimizer(steps)
    return Parts(
        dataset=dataset,
        split=split,
        method=method,
        lift=lift,
        steps=steps,
        schedule=jax.jit(schedule),
        optimizer=optimizer,
        raw=cache(partial(raw_scores, dataset)),
    )


def split_of(dataset: Dataset) -> evaluate.ValidationSplit:
    """Rows for validation and the rest; without labels nothing is validated."""
    if dataset.classes:
        return evaluate.validation_split(dataset.train_labels)
    return evaluate.ValidationSplit(kept=np.arange(len(dataset.train_labels)), held=np.arange(0))


def epoch_size(method: Method, dataset: Dataset, split: evaluate.ValidationSplit) -> int:
    """Images of an epoch: all there are, labelled or not; for a method that learns from labels those that validation leaves."""
    extra = dataset.unlabelled_images
    return len(split.kept) if method.target == "labels" else len(dataset.train_images) + (0 if extra is None else len(extra))


def rehearse(config: Config, method: Method, inputs: Inputs) -> None:
    """Trace views, loss and encoder on shapes alone: what does not fit is told before anything is written."""
    if config.views in COLOURED and inputs.image_shape[2] != 3:
        raise ConfigError(f"views {config.views} are for RGB images, {config.dataset} has shape {inputs.image_shape}; use --views digits")
    n, key = config.batch_size, jax.random.key(0)
    try:
        network = build_network(config, inputs)
    except TypeError as error:
        raise ConfigError(str(error)) from error
    image, rows, width = shaped(n, *inputs.image_shape), shaped(n, dtype=jnp.int32), network.projector.out
    try:
        views = jax.eval_shape(partial(make_views, views=RECIPES[config.views]), key, image, rows)
        z, state = shaped(len(views), n, width), jax.eval_shape(lambda: method.init_state(width))
        step = shaped(dtype=jnp.int32)
        loss, terms, after = jax.eval_shape(lambda z, state, step: method.loss(Online(z, z), z, state, key, step, None), z, state, step)
        check_given(loss, terms, state, after)
    except (TypeError, ValueError) as error:
        reason = textwrap.shorten(str(error) or type(error).__name__, 300)
        raise ConfigError(f"{config.method} with views {config.views} and batch size {n} cannot be trained: {reason}") from error
    view = shaped(2, *views.shape[2:])
    try:
        variables = jax.eval_shape(partial(network.encoder.init, train=False), key, image)
        jax.eval_shape(partial(network.encoder.apply, train=False), variables, view)
        jax.eval_shape(partial(network.encoder.apply, train=True, mutable=["batch_stats"], rngs={"dropout": key}), variables, view)
    except ScopeParamShapeError:
        raise ConfigError(
            f"model {config.model} wants images of one size: those of {config.dataset} are {inputs.image_shape}, views {config.views} make "
            f"{view.shape[1:]}; choose another model"
        ) from None
    except InvalidRngError as error:
        raise ConfigError(f"model {config.model} draws what it has no key for ({error}); draw from 'dropout' alone, in training") from None


def check_given(loss: Any, terms: Any, before: Any, after: Any) -> None:
    """Raise ValueError unless this is what the step wants of a method, a `sslx.methods.MethodLoss`, as far as shapes and types say."""
    numbers = (loss, *terms._asdict().values()) if hasattr(terms, "_asdict") else (None,)
    if any(getattr(x, "shape", None) != () for x in numbers) or not jnp.issubdtype(loss.dtype, jnp.floating):
        raise ValueError("the loss must be a floating-point number and its terms a NamedTuple of numbers")
    if taken := [name for name in terms._fields if name in RECORDED]:
        raise ValueError(f"a term of the loss is called {taken[0]}, which metrics.jsonl has already; give it another name")
    was, becomes = (f"{jax.tree.structure(x)} of {[f'{y.dtype}{list(y.shape)}' for y in jax.tree.leaves(x)]}" for x in (before, after))
    if was != becomes:
        raise ValueError(f"its state must keep structure, shapes and types, but {was} becomes {becomes}")


def shaped(*shape: int, dtype: Any = jnp.float32) -> jax.ShapeDtypeStruct:
    """What stands for an array in a trace."""
    return jax.ShapeDtypeStruct(shape, dtype)


def inputs_of(dataset: Dataset) -> Inputs:
    """Image shape and number of classes of a data set."""
    return Inputs(dataset.train_images.shape[1:], len(dataset.classes))


def build_network(config: Config, inputs: Inputs, *, axis_name: AxisName = None, dtype: Any = None) -> Network:
    """The encoder and the heads of a run, computing in `dtype` (None: that of parameters and images)."""
    method = config.build_method()
    size = method.projector
    if config.projector is not None:
        size = size._replace(hidden=config.projector[0], out=config.projector[1])
    if method.target == "labels":
        size = size._replace(out=inputs.classes)
    predictor = method.predictor
    if predictor is not None:
        predictor = make_head(predictor._replace(hidden=config.predictor_hidden or predictor.hidden, out=size.out), axis_name, dtype)
    return Network(encoder(config.model, axis_name=axis_name, dtype=dtype), make_head(size, axis_name, dtype), predictor)


def make_head(size: HeadSize, axis_name: AxisName, dtype: Any) -> Head:
    """A head of this size."""
    return Head(size.hidden, size.out, size.layers, size.bias, size.final_norm, axis_name=axis_name, dtype=dtype)


def compute_dtype(precision: str) -> Any:
    """The type in which the network computes in training: None for that of the parameters, float32."""
    low = precision == "bfloat16" or (precision == "auto" and jax.default_backend() != "cpu")
    return jnp.bfloat16 if low else None


def initial_state(config: Config, inputs: Inputs, optimizer: optax.GradientTransformation) -> TrainState:
    """The state at step 0, a function of the seed."""
    network, method = build_network(config, inputs), config.build_method()

    @jax.jit
    def build(key: Array) -> TrainState:
        init_key, run_key = jax.random.split(key)
        images = jnp.zeros((2, *inputs.image_shape), jnp.float32)
        (features, z, _), variables = network.init_with_output(init_key, images)
        return create_state(
            run_key,
            dict(variables),
            optimizer,
            method.init_state(z.shape[-1]),
            has_target=method.target == "ema",
            probe=init_probe(features.shape[-1], inputs.classes) if config.online_probe and inputs.classes else None,
        )

    return build(jax.random.key(config.seed))


def variables_of(state: TrainState, part: str = "encoder") -> dict[str, Any]:
    """The variables of the "encoder" or the "projector", free of the devices of the training, so that one program takes all of them."""
    return jax.device_put(parallel.host({"params": state.params[part], "batch_stats": state.batch_stats.get(part, {})}))


def frozen_encoder(model: str) -> Callable[..., Array]:
    """The encoder that has this name in inference mode, `(variables, images) -> features`, jitted; one for each, to be compiled once."""
    return frozen(model, ENCODERS.get(model))


@cache
def frozen(model: str, _row: Any) -> Callable[..., Array]:
    """`frozen_encoder` as long as this is the row of the table."""
    network = encoder(model)

    def apply(variables: dict[str, Any], images: Array) -> Array:
        if images.ndim != 4:
            raise ValueError(f"images must have shape [N, H, W, C], got {images.shape}; give one image as images[None]")
        try:
            return network.apply(variables, images, train=False)  # pyright: ignore[reportReturnType]  # without mutable collections
        except ScopeParamShapeError:
            raise ValueError(
                f"images of {images.shape[1:]} do not fit this {model}, trained on other ones; give them the size and channels of those"
            ) from None

    return evaluate.jitted(apply)


def frozen_projector(config: Config, inputs: Inputs) -> Callable[..., Array]:
    """The projector in inference mode, `(variables, features) -> embeddings`, jitted."""
    return evaluate.jitted(partial(build_network(config, inputs).projector.apply, train=False))
