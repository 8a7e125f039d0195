"""One look for all figures: sizes for a column, colours that colour-blind readers can tell apart, no pyplot state."""

import io
from typing import Any

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")  # Okabe and Ito
STYLE: dict[Any, Any] = {
    "font.size": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "axes.grid": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.5,
    "legend.frameon": False,
    "lines.linewidth": 1.3,
    "savefig.dpi": 160,
}


def figure(columns: int = 1, *, width: float = 3.4, height: float = 2.3) -> tuple[Any, Any]:
    """A figure of panels side by side, each `width` x `height` inches, and its axes (an array for several panels)."""
    import matplotlib
    from cycler import cycler
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with matplotlib.rc_context({**STYLE, "axes.prop_cycle": cycler(color=COLOURS)}):
        fig = Figure(figsize=(width * columns, height), layout="constrained")
        FigureCanvasAgg(fig)
        return fig, fig.subplots(1, columns)


def literal(name: str) -> str:
    """A name that a user chose as text to be drawn as it is: matplotlib reads mathematics between dollars, and legends leave out _names."""
    return (" " if name.startswith("_") else "") + name.replace("$", r"\$")


def to_png(fig: Any) -> bytes:
    """The figure as a PNG file."""
    import matplotlib

    buffer = io.BytesIO()
    with matplotlib.rc_context(STYLE):
        fig.savefig(buffer, format="png")
    return buffer.getvalue()
