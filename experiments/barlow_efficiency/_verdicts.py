"""The verdicts of the diagnosis, and how often each fell as a heat map."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

import _script
from sslx.evaluate._diagnose import CLUSTER, COMPLETE, DIMENSIONAL, HEALTHY, NOISE

VERDICTS = (COMPLETE, DIMENSIONAL, CLUSTER, NOISE, HEALTHY)


def heat_map(axis: Axes, expected: Mapping[str, str], counts: np.ndarray, title: str) -> None:
    """Counts [case, verdict]; `expected` has the right verdict of every case, which is framed."""
    axis.imshow(counts / counts.sum(axis=1, keepdims=True), cmap="Blues", vmin=0, vmax=1.4, aspect="auto")
    for i, j in np.argwhere(counts):
        axis.text(j, i, str(counts[i, j]), ha="center", va="center", fontsize=6.5)
    for i, verdict in enumerate(expected.values()):
        corner = (VERDICTS.index(verdict) - 0.47, i - 0.44)
        axis.add_patch(Rectangle(corner, 0.94, 0.88, fill=False, color=_script.RED, linewidth=0.9))
    axis.set_xticks(range(len(VERDICTS)), [verdict.split()[0] for verdict in VERDICTS], fontsize=6.5, rotation=25)
    axis.set_yticks(range(len(expected)), list(expected), fontsize=6.5)
    axis.tick_params(length=0)
    axis.set_title(f"{title} (framed: right)", fontsize=8)
