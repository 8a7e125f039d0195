"""How good raw pixels are: the same for every run on a data set, so it is found once and kept in the cache."""

import contextlib
import hashlib
import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from sslx import evaluate, folder as folders
from sslx.data import Dataset, cache_root


def raw_scores(dataset: Dataset) -> dict[str, Any]:
    """What `evaluate.evaluate` says of the pixels themselves, {} without labels; found anew where the cache cannot be read or written."""
    if not dataset.classes:
        return {}
    kept = cache_root() / f"raw-pixels-{fingerprint(dataset)}.json"
    with contextlib.suppress(OSError, ValueError):
        return json.loads(kept.read_text())
    scores = evaluate.evaluate(evaluate.raw_pixels(dataset.train_images), evaluate.raw_pixels(dataset.test_images), dataset)
    with contextlib.suppress(OSError, folders.FolderError):
        kept.parent.mkdir(parents=True, exist_ok=True)
        folders.write_json(kept, scores)
    return scores


def fingerprint(dataset: Dataset) -> str:
    """Of the images and labels, and of all code that scores them: another evaluation never reads what this one wrote."""
    digest = hashlib.sha256()
    for path in sorted(Path(evaluate.__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    for package in ("numpy", "scipy", "scikit-learn"):
        digest.update(version(package).encode())
    for array in (dataset.train_images, dataset.train_labels, dataset.test_images, dataset.test_labels):
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:32]
