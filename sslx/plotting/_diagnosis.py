"""What a verdict on features rests on: their spectrum, their efficiency in every gauge, and their modes."""

from typing import Any

import numpy as np
from jaxtyping import Float

from sslx.plotting._style import COLOURS, figure

MARKERS = ("o", "s", "^", "D")


def diagnosis(
    title: str,
    spectrum: Float[np.ndarray, " d"],
    efficiency: dict[str, dict[str, float]],
    modes: dict[str, Float[np.ndarray, " d"]] | None = None,
) -> Any:
    """Spectrum of the covariance, efficiency by gauge and functional and, where there are two views, the table of modes.

    Args:
        title: the verdict.
        spectrum: eigenvalues, falling, [d].
        efficiency: {gauge: {functional: eta}}.
        modes: `strength`, `agreement` of the views, and for methods with a predictor its `gain` and the `threshold` of collapse, [d] each.
    """
    fig, axes = figure(2 if modes is None else 3, width=2.9, height=2.5)
    fig.suptitle(title, fontsize=9)
    draw_spectrum(axes[0], spectrum)
    draw_efficiency(axes[1], efficiency)
    if modes is not None:
        draw_modes(axes[2], modes)
    return fig


def draw_spectrum(ax: Any, spectrum: Float[np.ndarray, " d"]) -> None:
    """Share of the variance per eigenvalue; what lies below 1e-12 of it is cut."""
    share = spectrum / max(spectrum.sum(), 1e-300)
    ax.plot(np.arange(1, len(share) + 1), np.maximum(share, 1e-12), marker=".", markersize=3)
    ax.set(xlabel="rank of the eigenvalue", ylabel="share of the variance", yscale="log", xscale="log")


def draw_efficiency(ax: Any, efficiency: dict[str, dict[str, float]]) -> None:
    """A column of marks per gauge, a mark per functional."""
    gauges = list(efficiency)
    for k, kind in enumerate(efficiency[gauges[0]]):
        x = np.arange(len(gauges)) + 0.12 * (k - 1.5)
        ax.plot(x, [efficiency[gauge][kind] for gauge in gauges], MARKERS[k], color=COLOURS[k], markersize=4, label=kind)
    ax.set_xticks(range(len(gauges)), gauges)
    ax.set(ylabel="efficiency $d_{eff} / d$", ylim=(-0.03, 1.03), xlim=(-0.5, len(gauges) - 0.5))
    ax.legend(fontsize=6, ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False, columnspacing=0.8, handletextpad=0.1)


def draw_modes(ax: Any, modes: dict[str, Float[np.ndarray, " d"]]) -> None:
    """Strength, agreement of the views, and gain of the predictor with its threshold; modes below the threshold are crossed."""
    x = np.arange(1, len(modes["agreement"]) + 1)
    ax.plot(x, modes["strength"] / max(modes["strength"][0], 1e-300), "-", color=COLOURS[2], label="strength")
    ax.plot(x, modes["agreement"], ".", color=COLOURS[0], markersize=4, label="agreement of views")
    if "gain" in modes:
        gain, threshold = modes["gain"], modes["threshold"]
        below = gain < threshold
        ax.plot(x, gain, "-", color=COLOURS[1], label="gain of predictor")
        ax.plot(x[below], gain[below], "x", color="black", markersize=4, label="below threshold $p_-$")
        ax.plot(x, np.where(threshold <= 1, threshold, np.nan), "--", color="black", linewidth=0.9)
    ax.set(xlabel="mode, strongest first", ylabel="share of the largest", ylim=(None, 1.05))
    ax.legend(fontsize=6, ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False)
