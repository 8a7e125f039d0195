"""The diagnosis of a run or of saved features: reads them, asks `sslx.evaluate.diagnose`, draws."""

import os
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from sslx import evaluate, geometry, plotting
from sslx.assemble import build_network, initial_state, inputs_of, rehearse
from sslx.augment import RECIPES, make_views
from sslx.config import Config
from sslx.data import DataError, Dataset
from sslx.evaluate._arrays import as_floats, as_labels
from sslx.folder import RunFolder, jsonable, losses_of, read_lines, write_figure
from sslx.frozen import load_run
from sslx.memory import enough_memory, explain_evaluation
from sslx.pixels import unit_interval
from sslx.train import TrainState
from sslx.watch import Watch, evaluating, silent

FILES = (".npz", ".npy")
ARRAYS = ("features", "features_b", "labels")
IMAGES, BLOCK = 2048, 256
LOSSES_OVER_THEORY = 4  # both orders of the views, and no half in front of the square


class Material(NamedTuple):
    """What is diagnosed; None where there is nothing."""

    features: Float[np.ndarray, "N d"]
    features_b: Float[np.ndarray, "N d"] | None = None
    labels: Int[np.ndarray, " N"] | None = None
    terms: dict[str, float] | None = None
    predictor: Float[np.ndarray, "d d"] | None = None
    weight_decay: float = 0.0
    signal_before: float | None = None


def diagnose(source: str | Path, *, out: str | Path | None = None, watch: Watch = silent) -> dict[str, Any]:
    """Diagnose the embedding of a run, or features that any library saved, and draw what the verdict rests on.

    Args:
        source: a run folder, an .npz file with `features` [N, d] and, where there are any, `features_b` (the same images in another
            view) and `labels` [N], or an .npy file of features alone.
        out: folder for the figure, made if need be; by default the run folder, or the current one for a file.
        watch: called with "data" and "evaluate" and a record, as in `sslx.pretrain`.

    Returns:
        verdict, sentence, remedy, evidence, efficiency {gauge: {functional: eta}}, last loss terms, spectrum, modes, and the figure's
        path: JSON values.

    Raises:
        FolderError, DataError, ConfigError: the source cannot be read or does not fit, or the figure cannot be written.
    """
    record = examine(source, watch)
    return {**record, "figure": draw(record, out)}


def examine(source: str | Path, watch: Watch = silent) -> dict[str, Any]:
    """The diagnosis but for its figure, as JSON values; the same errors."""
    source = Path(source)
    material = saved_features(source) if holds_features(source) else features_of_run(source, watch)
    try:
        return {"source": str(source), **jsonable(judge(material))}
    except ValueError as error:
        raise DataError(f"{source}: {error}") from None


def holds_features(source: Path) -> bool:
    """Whether this is a file of features, or meant to be one; a run is a folder."""
    return os.path.isfile(source) or source.suffix in FILES


def draw(record: dict[str, Any], out: str | Path | None = None) -> str:
    """Draw what the verdict of `examine` rests on, in the folder `out`: the figure's path.

    Raises:
        FolderError: the figure cannot be written.
    """
    source = Path(record["source"])
    place = out if out is not None else "." if holds_features(source) else source
    name = source.stem if source.suffix in FILES else source.resolve().name  # a run's may have dots, or be .
    modes = record["modes"] and {mode: np.array(values, float) for mode, values in record["modes"].items()}
    drawn = plotting.diagnosis(record["verdict"], np.array(record["spectrum"], float), record["efficiency"], modes)
    figure = Path(place) / f"{name}-diagnosis.png"
    write_figure(figure, plotting.to_png(drawn))
    return str(figure)


def judge(material: Material) -> dict[str, Any]:
    """The verdict with everything it rests on, as arrays."""
    z, z_b = material.features, material.features_b
    modes = None
    if z_b is not None and z_b.shape == z.shape:
        modes = evaluate.eigenmodes(z, z_b, predictor=material.predictor, weight_decay=material.weight_decay)
    found = evaluate.diagnose(
        z,
        features_b=z_b,
        labels=material.labels,
        terms=material.terms,
        predictor_eigenvalues=modes and modes.gain,
        mode_threshold=0.0 if modes is None or modes.threshold is None else modes.threshold,
        signal_before=material.signal_before,
    )
    largest = np.max(np.abs(z), initial=1e-30)
    eta = jax.jit(geometry.efficiencies)(jnp.asarray(z / largest, jnp.float32))
    return {
        **found._asdict(),
        "evidence": found.evidence._asdict(),
        "efficiency": {gauge: {kind: float(x) for kind, x in each._asdict().items()} for gauge, each in eta._asdict().items()},
        "terms": material.terms,
        "modes": modes and {name: x for name, x in modes._asdict().items() if x is not None},
    }


def saved_features(path: Path) -> Material:
    """The arrays of a file as numbers."""
    arrays = read_arrays(path)
    try:
        z = as_floats("features", arrays["features"])
        z_b = as_floats("features_b", arrays["features_b"]) if "features_b" in arrays else None
        labels = as_labels("labels", arrays["labels"], len(z)) if "labels" in arrays else None
    except (TypeError, ValueError) as error:
        raise DataError(f"{path}: {error}") from None
    return Material(z, z_b, labels)


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Those arrays of an .npz file that we know of, or the features that an .npy file is."""
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return {"features": loaded}
        with loaded as archive:
            found, arrays = archive.files, {name: archive[name] for name in ARRAYS if name in archive.files}
    except FileNotFoundError:
        raise DataError(f"{path} does not exist; save it with np.savez(path, features=...)") from None
    except Exception as error:  # damaged bytes may raise anything
        raise DataError(f"{path} is no .npz archive of plain arrays ({error}); write it with np.savez(path, features=...)") from None
    if "features" not in arrays:
        raise DataError(f"{path} has no array 'features' (but {', '.join(found) or 'none'}); save it with np.savez(path, features=...)")
    return arrays


def features_of_run(path: Path, watch: Watch = silent) -> Material:
    """What a run folder says of the embedding of its last checkpoint."""
    with enough_memory(explain_evaluation):
        return features_of_state(*load_run(path, watch=watch), watch)._replace(terms=last_terms(path))


def features_of_state(config: Config, state: TrainState, dataset: Dataset, watch: Watch = silent) -> Material:
    """The embeddings of two views of at most 2,048 training images, and the predictor as a matrix: a learnt one as its best linear fit."""
    method = config.build_method()
    rehearse(config, method, inputs_of(dataset))
    block = min(BLOCK, len(dataset.train_images))
    count = min(IMAGES, len(dataset.train_images)) // block * block
    rows = evaluate.random_rows(len(dataset.train_images), count)
    network = build_network(config, inputs_of(dataset))

    @partial(jax.jit, static_argnames="train")
    def embed(params: Any, batch_stats: Any, key: Any, images: Any, *, train: bool) -> Any:
        views = make_views(key, unit_interval(images), jnp.arange(block), RECIPES[config.views])
        apply = partial(network.apply, {"params": params, "batch_stats": batch_stats}, train=train, mutable=["batch_stats"])
        return [apply(view, rngs={"dropout": jax.random.fold_in(key, len(views) + i)})[0][1:] for i, view in enumerate(views[:2])]

    def embed_all(of: str, state: TrainState, *, train: bool = False) -> Any:
        tell, parts = evaluating(watch, of), []
        for key, r in zip(jax.random.split(state.key, count // block), rows.reshape(-1, block), strict=True):
            tell("two views", done=len(parts) * block, total=count)
            parts.append(embed(state.params, state.batch_stats, key, dataset.train_images[r], train=train))
        return jax.tree.map(lambda *blocks: np.concatenate(blocks), *parts)

    untrained = initial_state(config, inputs_of(dataset), config.build_optimizer(1)[1])
    before = embed_all("random encoder", untrained, train=True)  # its running statistics are not yet those of any image
    (before_a, _), (before_b, _) = before
    (z_a, p_a), (z_b, p_b) = embed_all("trained encoder", state)
    predictor = None
    if method.matrix is not None:
        predictor = np.asarray(method.matrix(state.method_state))
    elif method.predictor is not None:
        predictor = np.linalg.lstsq(np.concatenate([z_a, z_b]), np.concatenate([p_a, p_b]), rcond=1e-6)[0]
    return Material(
        z_a,
        z_b,
        dataset.train_labels[rows],
        predictor=predictor,
        weight_decay=config.weight_decay / LOSSES_OVER_THEORY,
        signal_before=evaluate.signal(before_a, before_b),
    )


def last_terms(path: Path) -> dict[str, float] | None:
    """The loss and its terms at the last logged step."""
    records = read_lines(RunFolder(path).metrics)
    return losses_of(records[-1]) if records else None


def describe(record: dict[str, Any]) -> str:
    """The verdict, the remedy and where the figure is, if there is one, in words."""
    eta, d = record["efficiency"]["standardised"]["participation"], len(record["spectrum"])
    lines = [f"{record['verdict']}: {record['sentence']}", f"Remedy: {record['remedy']}"]
    if record["terms"]:
        terms = {name: "not finite" if value is None else f"{value:.4g}" for name, value in record["terms"].items()}
        lines.append("Loss at the end: " + ", ".join(f"{name} {value}" for name, value in terms.items()) + ".")
    lines.append(f"Efficiency {eta:.3f}: participation ratio of the correlation matrix over d = {d}.")
    if "figure" in record:
        lines.append(f"Spectrum, efficiency and modes are drawn in {record['figure']}.")
    return "\n".join(lines)
