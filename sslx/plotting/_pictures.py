"""What the network saw and what it made of it: view examples, and a map of the features."""

from typing import Any

import numpy as np
from jaxtyping import Float, Int

from sslx.plotting._style import figure, literal


def view_examples(images: Float[np.ndarray, "R N H W C"]) -> Any:
    """R rows of N pictures in [0, 1] with white lines between them: the images, then one row per view."""
    rows, count, height, width, channels = images.shape
    tiles = np.pad(np.clip(images, 0, 1), ((0, 0), (0, 0), (1, 1), (1, 1), (0, 0)), constant_values=1)
    mosaic = tiles.swapaxes(1, 2).reshape(rows * (height + 2), count * (width + 2), channels)
    fig, ax = figure(width=0.62 * count, height=0.68 * rows)
    ax.imshow(mosaic, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    ax.set(xticks=[], yticks=(np.arange(rows) + 0.5) * (height + 2) - 0.5)
    ax.set_yticklabels(["image", *(f"view {r}" for r in range(1, rows))], rotation=90, va="center", fontsize=7)
    ax.tick_params(length=0)
    ax.grid(visible=False)
    ax.spines[:].set_visible(False)
    return fig


def feature_map(features: Float[np.ndarray, "N d"], labels: Int[np.ndarray, " N"], classes: tuple[str, ...]) -> Any:
    """A t-SNE map of at most 1,000 features in two dimensions, coloured by class, grey without one; what is not finite is left out."""
    import matplotlib
    from sklearn.manifold import TSNE

    chosen = np.random.default_rng(0).permutation(len(features))[:1000]
    chosen = chosen[np.isfinite(features[chosen]).all(axis=1)]
    points = np.zeros((len(chosen), 2))  # what equal features have
    if len(chosen) and np.ptp(features[chosen], axis=0).any():  # t-SNE of rows that are all equal ends the process
        points = TSNE(perplexity=min(30, (len(chosen) - 1) / 3), max_iter=500, random_state=0).fit_transform(features[chosen])
    fig, ax = figure(width=4.4, height=3.4)
    colours = matplotlib.colormaps["tab10" if len(classes) <= 10 else "tab20"]
    for c, name in enumerate(classes):
        members = labels[chosen] == c
        ax.scatter(*points[members].T, s=7, color=colours(c % colours.N), label=literal(name) if len(classes) <= 20 else None)
    ax.scatter(*points[labels[chosen] < 0].T, s=7, color="0.6")
    ax.set(xticks=[], yticks=[], xlabel="t-SNE of the test features")
    ax.grid(visible=False)
    if 0 < len(classes) <= 20:
        ax.legend(fontsize=7, markerscale=1.5, loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    return fig
