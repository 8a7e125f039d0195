"""The run as one HTML page that needs no other file: what came out, how training went, what the views and features look like."""

import base64
import html
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from sslx import plotting

STYLE = """body{font:15px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;color:#222}
table{border-collapse:collapse}td,th{padding:.25rem .8rem;border-bottom:1px solid #ddd;text-align:right}
td:first-child,th:first-child{text-align:left}figure{display:inline-block;margin:.6rem;vertical-align:top}
figcaption{font-size:.85rem;color:#555}img{max-width:100%;height:auto}code{color:#555}"""


def render(
    summary: dict[str, Any],
    metrics: list[dict[str, Any]],
    validation: list[dict[str, Any]],
    views: Float[np.ndarray, "R N H W C"],
    features: Float[np.ndarray, "T d"],
    labels: Int[np.ndarray, " T"],
    classes: tuple[str, ...],
) -> str:
    """The report as one HTML document; without labels it has no accuracies, and no curve where its records are lost.

    Args:
        summary: what summary.json holds.
        metrics: records of metrics.jsonl.
        validation: records of validation.jsonl.
        views: images (row 0) and their views (one row each), in [0, 1].
        features: features of the test images.
        labels: their classes.
        classes: names of the classes, () without labels.
    """
    figures = {}
    if metrics:
        figures |= {"Loss": plotting.loss_terms(metrics), "Learning rate": plotting.learning_rate(metrics)}
    if validation and all("validation_accuracy" in record for record in validation):
        figures["Validation accuracy"] = plotting.validation_accuracy(validation)
    if validation:
        figures["Spectrum of the embedding over training"] = plotting.spectrum(validation)
    figures["Images and their views"] = plotting.view_examples(views)
    figures["Features of the test images"] = plotting.feature_map(features, labels, classes)
    table = accuracy_table(summary) if classes else ""
    title = html.escape(f"{summary['method']} on {summary['dataset']}, seed {summary['seed']}")
    pictures = "".join(picture(name, fig) for name, fig in figures.items())
    return (
        f"<!doctype html><html lang='en'><meta charset='utf-8'><title>{title}</title><style>{STYLE}</style>"
        f"<h1>{title}</h1>{table}<p>RankMe {summary['rankme']:.1f} and efficiency {summary['efficiency']:.3f} "
        f"of the embedding; {summary['steps']} steps, {summary['seconds']:.0f} s in all on {html.escape(summary['device'])}.</p>"
        f"{speed_line(summary.get('speed'))}"
        f"{pictures}<p><code>{html.escape(str(summary['versions']))}</code></p></html>\n"
    )


def speed_line(speed: dict[str, float] | None) -> str:
    """How fast the training was, where it was measured."""
    if not speed:
        return ""
    return (
        f"<p>Training took {speed['images_per_second']:.0f} images a second ({speed['seconds_per_epoch']:.2f} s an epoch), "
        f"{100 * speed['model_flops_utilisation']:.1f} % of the {speed['peak_gflop_per_second']:.0f} GFLOP/s of a matrix product, "
        f"after {speed['compile_seconds']:.1f} s of compilation, with {speed['peak_memory_gib']:.1f} GiB of memory at most.</p>"
    )


def picture(caption: str, fig: Any) -> str:
    """A figure inside the page."""
    data = base64.b64encode(plotting.to_png(fig)).decode()
    return f"<figure><img alt='{caption}' src='data:image/png;base64,{data}'><figcaption>{caption}</figcaption></figure>"


def accuracy_table(summary: dict[str, Any]) -> str:
    """Trained encoder, random encoder and raw pixels, row by row, in per cent."""
    rows = {"trained encoder": summary, "random encoder": summary["baselines"]["random"], "raw pixels": summary["baselines"]["raw"]}
    few = list(summary["few_label_accuracy"])
    head = "".join(f"<th>{name}</th>" for name in ("%", "kNN", "linear", *(f"{n} labels per class" for n in few)))
    return f"<table><tr>{head}</tr>" + "".join(row(name, scores, few) for name, scores in rows.items()) + "</table>"


def row(name: str, scores: dict[str, Any], few: list[str]) -> str:
    """One row of the table."""
    few_cells = [f"{100 * scores['few_label_accuracy'][n]:.1f} ± {100 * scores['few_label_std'][n]:.1f}" for n in few]
    cells = [name, f"{100 * scores['knn_accuracy']:.1f}", f"{100 * scores['linear_accuracy']:.1f}", *few_cells]
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"
