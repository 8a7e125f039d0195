"""Figures show the numbers they were given; a PNG comes out."""

import io

import numpy as np
import pytest
from PIL import Image

from sslx import plotting

METRICS = [
    {"step": s, "learning_rate": 0.1 / s, "gradient_norm": 2.0, "loss": 3.0 / s, "a": 1.0 / s, "same": 3.0 / s} for s in (20, 40, 60)
]
VALIDATION = [{"step": s, "validation_accuracy": s / 100, "spectrum": [s, 1.0, 0.0]} for s in (20, 40)]


def lines(figure):
    return {line.get_label(): line.get_xydata() for line in figure.axes[0].lines}


def test_the_loss_and_each_term_that_differs_from_it_are_drawn():
    drawn = lines(plotting.loss_terms(METRICS))
    assert set(drawn) == {"loss", "a"}
    np.testing.assert_allclose(drawn["a"], [(20, 1 / 20), (40, 1 / 40), (60, 1 / 60)])


def test_accuracy_is_drawn_in_per_cent():
    (drawn,) = lines(plotting.validation_accuracy(VALIDATION)).values()
    np.testing.assert_allclose(drawn, [(20, 20), (40, 40)])


def test_every_checkpoint_has_its_spectrum_and_zero_stays_on_a_logarithmic_axis():
    drawn = plotting.spectrum(VALIDATION).axes[0].lines
    assert len(drawn) == 2
    np.testing.assert_allclose(drawn[1].get_ydata(), [40, 1, 1e-12])


def test_a_row_of_images_and_a_row_per_view():
    figure = plotting.view_examples(np.random.default_rng(0).uniform(size=(3, 5, 8, 8, 1)))
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["image", "view 1", "view 2"]
    assert figure.axes[0].images[0].get_array().shape[:2] == (30, 50)


def test_a_figure_becomes_a_png():
    image = Image.open(io.BytesIO(plotting.to_png(plotting.learning_rate(METRICS))))
    assert image.format == "PNG"
    assert image.width > 400


@pytest.mark.parametrize("count", [1, 40])
def test_equal_features_are_one_point_on_the_map(count):
    figure = plotting.feature_map(np.ones((count, 4), np.float32), np.zeros(count, np.int32), ("a",))
    np.testing.assert_array_equal(figure.axes[0].collections[0].get_offsets(), np.zeros((count, 2)))


def test_features_that_are_not_finite_are_left_out_and_names_are_drawn_as_they_are():
    """Between two dollars matplotlib would read mathematics, and stop at what is none."""
    labels = np.zeros(3, np.int32)
    figure = plotting.feature_map(np.array([[np.nan, 0.0], [1.0, 1.0], [0.0, np.inf]]), labels, ("a$b^$", "_z"))
    assert [len(points.get_offsets()) for points in figure.axes[0].collections] == [1, 0, 0]
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == [r"a\$b^\$", " _z"]
    assert plotting.to_png(figure)
    assert plotting.to_png(plotting.validation_curves({"folder:a$b^$": [VALIDATION]}))


def test_images_without_a_class_are_on_the_map():
    figure = plotting.feature_map(np.zeros((1, 4), np.float32), np.full(1, -1, np.int32), ())
    assert [len(points.get_offsets()) for points in figure.axes[0].collections] == [1]
    assert figure.axes[0].get_legend() is None


def test_a_colour_for_each_name_and_a_line_for_each_of_its_runs():
    figure = plotting.validation_curves({"a": [VALIDATION, VALIDATION[:1]], "b": [VALIDATION]})
    one, two, other = figure.axes[0].lines
    np.testing.assert_allclose(two.get_xydata(), [(20, 20)])
    assert one.get_color() == two.get_color() != other.get_color()
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "b"]
    unlabelled = [{"step": 20, "rankme": 3.5}]
    with_rankme = [{"rankme": 2.0, **record} for record in VALIDATION]
    mixed = plotting.validation_curves({"a": [with_rankme], "b": [unlabelled]}).axes[0].lines
    assert [list(line.get_ydata()) for line in mixed] == [[2.0, 2.0], [3.5]]
