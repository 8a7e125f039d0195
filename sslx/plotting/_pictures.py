"""What the network saw and what it made of it: view examples, and a map of the features."""

from typing import Any

import numpy as np
from jaxtyping import Float, Int

from sslx.plotting._style import figure


def view_examples(images: Float[np.ndarray, "R N H W C"]) -> Any:
    """R rows of N pictures in [0, 1]: the images, then one row per view."""
    rows, count = images.shape[:2]
    fig, axes = figure(count, rows, width=0.62, height=0.68)
    for r in range(rows):
        for i in range(count):
            axes[r, i].imshow(np.clip(images[r, i].squeeze(), 0, 1), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            axes[r, i].set(xticks=[], yticks=[])
            axes[r, i].spines[:].set_visible(False)
        axes[r, 0].set_ylabel("image" if r == 0 else f"view {r}", fontsize=7)
    return fig


def feature_map(features: Float[np.ndarray, "N d"], labels: Int[np.ndarray, " N"], classes: tuple[str, ...]) -> Any:
    """A t-SNE map of at most 1,000 features in two dimensions, coloured by class."""
    import matplotlib
    from sklearn.manifold import TSNE

    chosen = np.random.default_rng(0).permutation(len(features))[:1000]
    points = TSNE(perplexity=min(30, (len(chosen) - 1) / 3), random_state=0).fit_transform(features[chosen])
    fig, ax = figure(width=4.4, height=3.4)
    colours = matplotlib.colormaps["tab10" if len(classes) <= 10 else "tab20"]
    for c, name in enumerate(classes):
        members = labels[chosen] == c
        ax.scatter(*points[members].T, s=7, color=colours(c % colours.N), label=name if len(classes) <= 20 else None)
    ax.set(xticks=[], yticks=[], xlabel="t-SNE of the test features")
    ax.grid(visible=False)
    if len(classes) <= 20:
        ax.legend(fontsize=7, markerscale=1.5, loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    return fig
