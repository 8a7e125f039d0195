"""How a run went: loss, its terms, learning rate, validation accuracy and the spectrum of the embedding."""

import textwrap
from typing import Any

import numpy as np

from sslx.folder import losses_of
from sslx.plotting._style import COLOURS, figure, literal

Records = list[dict[str, Any]]


def loss_terms(metrics: Records) -> Any:
    """The loss and each of its terms against the step; a term that equals the loss is drawn once."""
    fig, ax = figure()
    steps = [r["step"] for r in metrics]
    ax.plot(steps, [r["loss"] for r in metrics], color="black", label="loss")
    terms = [name for name in losses_of(metrics[0]) if any(r[name] != r["loss"] for r in metrics)]
    for name in terms:
        ax.plot(steps, [r[name] for r in metrics], label=name.replace("_", " "))
    values = np.array([[r[name] for name in ("loss", *terms)] for r in metrics])
    if values.min() > 0 and values.max() > 100 * values.min():
        ax.set_yscale("log")
    ax.set(xlabel="step", ylabel="loss and its terms, unweighted")
    fig.legend(fontsize=7, frameon=False, ncols=2, loc="outside upper center")
    return fig


def learning_rate(metrics: Records) -> Any:
    """Learning rate and gradient norm against the step."""
    fig, ax = figure()
    steps = [r["step"] for r in metrics]
    ax.plot(steps, [r["learning_rate"] for r in metrics], label="learning rate")
    ax.plot(steps, [r["gradient_norm"] for r in metrics], label="gradient norm")
    ax.set(xlabel="step", yscale="log")
    ax.legend(fontsize=7, frameon=False)
    return fig


def validation_accuracy(validation: Records) -> Any:
    """Accuracy of nearest neighbours on the validation images against the step."""
    fig, ax = figure()
    ax.plot([r["step"] for r in validation], [100 * r["validation_accuracy"] for r in validation], marker="o", markersize=3)
    if all("online_accuracy" in r for r in validation):
        ax.plot([r["step"] for r in validation], [100 * r["online_accuracy"] for r in validation], marker="s", markersize=3)
        ax.legend(("kNN", "online probe"), fontsize=7, frameon=False)
    ax.set(xlabel="step", ylabel="accuracy on validation images (%)")
    return fig


def validation_curves(runs: dict[str, list[Records]]) -> Any:
    """Accuracy of nearest neighbours on the validation images against the step, a colour for each name and a line for each of its runs;
    RankMe where one of them has no labels."""
    names = [literal(textwrap.fill(name, 88)) for name in runs]
    fig, ax = figure(width=5.0, height=2.6 + 0.15 * sum(name.count("\n") + 1 for name in names))
    records = [record for lines in runs.values() for line in lines for record in line]
    labelled = all("validation_accuracy" in record for record in records)
    score, scale, ylabel = ("validation_accuracy", 100, "kNN on validation images (%)") if labelled else ("rankme", 1, "RankMe")
    for i, lines in enumerate(runs.values()):
        for j, line in enumerate(lines):
            style = {"color": COLOURS[i % len(COLOURS)], "label": None if j else names[i]}
            ax.plot([record["step"] for record in line], [scale * record[score] for record in line], marker="o", markersize=2, **style)
    ax.set(xlabel="step", ylabel=ylabel)
    fig.legend(loc="outside lower left", fontsize=7, frameon=False)
    return fig


def spectrum(validation: Records) -> Any:
    """Eigenvalues of the embedding covariance, one line per checkpoint from light to dark."""
    fig, ax = figure()
    for i, record in enumerate(validation):
        eigenvalues = np.maximum(record["spectrum"], 1e-12)
        shade = 0.85 * (1 - (i + 1) / len(validation))
        label = f"step {record['step']}" if i in (0, len(validation) - 1) else None
        ax.plot(np.arange(1, len(eigenvalues) + 1), eigenvalues, color=(shade, shade, shade + 0.15), label=label)
    ax.set(xlabel="rank of the eigenvalue", ylabel="eigenvalue of the\nembedding covariance", yscale="log")
    ax.legend(fontsize=7, frameon=False)
    return fig
