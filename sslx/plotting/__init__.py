"""Arrays and records -> matplotlib figures. Nothing here reads a file or knows a run folder."""

from sslx.plotting._diagnosis import diagnosis as diagnosis
from sslx.plotting._pictures import feature_map as feature_map, view_examples as view_examples
from sslx.plotting._style import COLOURS as COLOURS, figure as figure, to_png as to_png
from sslx.plotting._training import (
    learning_rate as learning_rate,
    loss_terms as loss_terms,
    spectrum as spectrum,
    validation_accuracy as validation_accuracy,
    validation_curves as validation_curves,
)
