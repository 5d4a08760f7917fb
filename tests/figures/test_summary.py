"""Final probabilities and KL curves."""

import dataclasses

import numpy as np
import pytest

from core.analyses.request import DEFAULT_FRAMES
from core.figures.clip import (
    FORMULA,
    HOW_TO_READ,
    final_probabilities,
    final_probabilities_alt,
    final_probabilities_table,
    kl_curves,
    kl_curves_alt,
    kl_curves_table,
)
from core.models.info import Role
from tests.figures.views_for_tests import view

FROZEN = view("frozen", Role.FROZEN, None, saturation=None, seed=3)
LORA = view("lora-r32")


def test_dots_are_the_final_probabilities_in_the_models_colours() -> None:
    fig = final_probabilities([FROZEN, LORA], label="sad")
    dots = [t for t in fig.data if t.mode == "markers"]
    for dot, given, colour in zip(dots, (FROZEN, LORA), ("#808080", "#5b6fd8"), strict=True):
        np.testing.assert_array_equal(dot.x, given.final)
        assert [round(row) for row in dot.y] == [2, 1, 0, 3], "each in its own class's band"
        assert dot.marker.color == colour
    assert dots[0].y[0] < dots[1].y[0]
    assert fig.layout.yaxis.ticktext[-1] == "<b>sadness (label)</b>"
    assert fig.layout.xaxis.title.text == "probability"
    assert fig.layout.xaxis.range == (0, 1.02)


def test_final_probabilities_in_words_and_rows() -> None:
    sure = dataclasses.replace(LORA, final=np.array([0.1, 0.05, 0.8, 0.05]))
    text = "Final class probabilities: lora-r32 predicts anger with probability 0.800."
    assert final_probabilities_alt([sure]) == text
    assert final_probabilities_table([sure])[2] == {"model": "lora-r32", "class": "anger", "probability": 0.8}


def test_kl_lines_and_saturation_markers() -> None:
    untrained = view("untrained", Role.UNTRAINED, 32, saturation=4)
    fig = kl_curves([FROZEN, LORA, untrained])
    curves = [t for t in fig.data if t.mode == "lines+markers"]
    for curve, given in zip(curves, (FROZEN, LORA, untrained), strict=True):
        np.testing.assert_array_equal(curve.y, given.kl)
        np.testing.assert_array_equal(curve.x, np.arange(5))
    assert [c.line.dash for c in curves] == ["solid", "solid", "dash"]
    settles = [t for t in fig.data if t.mode == "markers"]
    assert [(t.x[0], t.y[0]) for t in settles] == [(2, LORA.kl[2]), (4, untrained.kl[4])]
    assert fig.layout.yaxis.title.text == "KL divergence (nats)"
    assert fig.layout.yaxis.type in (None, "linear")
    assert fig.layout.yaxis.range[0] < 0, "zero itself is visible"


def test_models_of_different_depth_share_a_relative_axis() -> None:
    deep = view("deep", layers=8, saturation=8)
    fig = kl_curves([LORA, deep])
    assert "relative depth" in fig.layout.xaxis.title.text
    ends = [t.x[-1] for t in fig.data if t.mode == "lines+markers"]
    assert ends == [1, 1]
    assert list(fig.data[-2].customdata) == list(range(9)), "the hover still names the point"


def test_kl_in_words_and_rows() -> None:
    assert "lora-r32 is furthest at point 0 (1.50 nats) and ends at 0.00." in kl_curves_alt([LORA])
    rows = kl_curves_table([LORA])
    assert rows[2] == {"model": "lora-r32", "point": 2, "kl_nats": 0.75, "settles": 1}
    assert sum(int(row["settles"] or 0) for row in rows) == 1
    undefined = dataclasses.replace(LORA, kl=np.full(5, np.nan))
    assert "undefined" in kl_curves_alt([undefined])
    kl_curves([undefined])


@pytest.mark.parametrize(
    "figure", ["trajectories", "layer_class_heatmaps", "audio_view", "final_probabilities", "kl_curves"]
)
def test_every_figure_says_how_to_read_it_and_its_formula_in_each_variant(figure: str) -> None:
    assert HOW_TO_READ[figure].endswith(".")
    assert set(FORMULA[figure]) == set(DEFAULT_FRAMES)


def test_formulas_differ_where_the_variants_do() -> None:
    assert FORMULA["trajectories"]["published"] == FORMULA["trajectories"]["released"]
    assert "LN" in FORMULA["trajectories"]["corrected"]
    assert FORMULA["kl_curves"]["released"] != FORMULA["kl_curves"]["published"] == FORMULA["kl_curves"]["corrected"]
