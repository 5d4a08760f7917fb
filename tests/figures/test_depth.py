"""Trajectories and heatmaps carry the numbers they are given, on the same axes in every panel."""

import dataclasses

import numpy as np
import pytest

from core.figures.clip import (
    ClipView,
    layer_class_heatmaps,
    layer_class_heatmaps_alt,
    trajectories,
    trajectories_alt,
    trajectories_table,
)
from core.figures.clip.depth import MAX_LINES, final_x
from core.figures.theme import emotion_style
from core.models.info import Role
from tests.figures.views_for_tests import SPELLED, view

FROZEN = view("frozen", Role.FROZEN, None, saturation=None, seed=3)
LORA = view("lora-r32")


def lines(fig, panel: int = 0) -> dict:
    axis = "x" if panel == 0 else f"x{panel + 1}"
    return {t.legendgroup: t for t in fig.data if t.xaxis == axis and t.mode == "lines+markers"}


def test_lines_are_the_given_probabilities_in_the_emotions_colours() -> None:
    fig = trajectories([FROZEN, LORA])
    for panel, given in enumerate((FROZEN, LORA)):
        drawn = lines(fig, panel)
        assert list(drawn) == ["anger", "happiness", "neutral", "sadness"]
        for index, spelling in enumerate(SPELLED):
            style = emotion_style(spelling)
            line = next(t for t in drawn.values() if t.line.color == style.color)
            np.testing.assert_array_equal(line.y, given.probabilities[:, index])
            np.testing.assert_array_equal(line.x, np.arange(5))
            assert line.marker.symbol == style.symbol
            assert line.marker.line.color == style.edge
            assert given.model in line.hovertemplate


def test_the_models_own_prediction_stands_apart() -> None:
    fig = trajectories([LORA])
    own = {t.legendgroup: t for t in fig.data if t.mode == "markers"}
    assert own["anger"].y[0] == LORA.final[2]
    assert own["neutral"].y[0] == LORA.final[0]
    assert len({t.x[0] for t in own.values()}) == 4, "small probabilities do not hide each other"
    assert all(abs(t.x[0] - final_x(4, narrow=False)) < 0.5 for t in own.values())
    assert min(t.x[0] for t in own.values()) > 4
    assert fig.layout.xaxis.ticktext[-1] == "model"


def test_panels_share_one_probability_axis_and_each_emotion_is_once_in_the_legend() -> None:
    fig = trajectories([FROZEN, LORA])
    assert fig.layout.yaxis.range == fig.layout.yaxis2.range == (-0.03, 1.03)
    assert fig.layout.yaxis2.matches == "y"
    assert fig.layout.yaxis.title.text == "probability"
    assert fig.layout.xaxis.title.text == "depth (point)"
    assert [t.name for t in fig.data if t.showlegend] == ["anger", "happiness", "neutral", "sadness"]


def test_saturation_is_a_line_with_a_label_and_its_absence_is_said() -> None:
    fig = trajectories([FROZEN, LORA])
    marks = [s for s in fig.layout.shapes if s.type == "line"]
    assert [(s.xref, s.x0, s.x1) for s in marks] == [("x2", 2, 2)]
    texts = [a.text for a in fig.layout.annotations]
    assert "settles at 2" in texts
    assert "never settles on the model's answer" in texts


def test_stacked_puts_panels_under_each_other() -> None:
    wide, tall = trajectories([FROZEN, LORA]), trajectories([FROZEN, LORA], stacked=True)
    assert tall.layout.xaxis.domain == tall.layout.xaxis2.domain == (0, 1)
    assert tall.layout.yaxis2.domain[1] < tall.layout.yaxis.domain[0]
    assert wide.layout.yaxis.domain == wide.layout.yaxis2.domain
    assert tall.layout.height > wide.layout.height


def test_the_label_is_thicker_in_any_spelling() -> None:
    widths = {name: line.line.width for name, line in lines(trajectories([LORA], label="angry")).items()}
    assert widths.pop("anger") > max(widths.values())


def test_never_more_than_seven_lines_and_nothing_is_lost() -> None:
    many = view(classes=tuple(f"class{i}" for i in range(11)))
    fig = trajectories([many], label="class4")
    drawn = lines(fig)
    assert len(drawn) == MAX_LINES
    assert "class4" in drawn
    assert "5 other classes" in drawn
    np.testing.assert_allclose(sum(line.y for line in drawn.values()), 1)


def test_models_of_other_depth_and_classes_are_drawn_as_they_are() -> None:
    other = view("full", Role.FULL, None, classes=("joy", "fear"), layers=6)
    fig = trajectories([LORA, other])
    assert set(lines(fig, 1)) == {"happiness", "fear"}
    np.testing.assert_array_equal(lines(fig, 1)["happiness"].x, np.arange(7))


def test_heatmaps_hold_the_same_numbers_on_one_scale() -> None:
    fig = layer_class_heatmaps([FROZEN, LORA])
    assert (fig.layout.coloraxis.cmin, fig.layout.coloraxis.cmax) == (0, 1)
    assert fig.layout.coloraxis.colorbar.title.text == "probability"
    assert all(t.coloraxis == "coloraxis" for t in fig.data)
    depth, own = (t for t in fig.data if t.xaxis == "x2")
    assert depth.y == ("anger", "happiness", "neutral", "sadness")
    np.testing.assert_array_equal(depth.z, LORA.probabilities[:, [2, 1, 0, 3]].T)
    np.testing.assert_array_equal(np.ravel(own.z), LORA.final[[2, 1, 0, 3]])
    assert own.x[0] > 4.5, "apart from the last point's column"


def test_heatmap_leaves_a_gap_where_a_model_has_no_such_class() -> None:
    other = view("full", Role.FULL, None, classes=("joy", "anger"))
    depth = next(t for t in layer_class_heatmaps([LORA, other]).data if t.xaxis == "x2")
    assert np.isnan(np.asarray(depth.z)[depth.y.index("sadness")]).all()


def test_alt_text_states_prediction_and_saturation() -> None:
    given = dataclasses.replace(LORA, final=np.array([0.1, 0.05, 0.8, 0.05]))
    assert trajectories_alt([given]) == (
        "Class probabilities read from each layer of 1 model: "
        "lora-r32 predicts anger (0.800) and settles at point 2 of 4."
    )
    assert "never settles" in trajectories_alt([FROZEN])
    runs = dataclasses.replace(LORA, probabilities=np.eye(4)[[0, 0, 2, 2, 3]])
    assert "lora-r32: neutral from point 0, anger from point 2, sadness from point 4." in layer_class_heatmaps_alt(
        [runs]
    )


def test_table_is_tidy_and_complete() -> None:
    rows = trajectories_table([FROZEN, LORA])
    assert len(rows) == 2 * (5 + 1) * 4
    assert rows[2] == {"model": "frozen", "point": 0, "class": "anger", "probability": FROZEN.probabilities[0, 2]}
    assert rows[-1]["point"] is None
    assert rows[-1]["probability"] == LORA.final[3]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"final": np.ones(3)}, "final has shape"),
        ({"kl": np.ones(4)}, "kl has shape"),
        ({"saturation": 5}, "saturation is 5"),
        ({"classes": ("anger", "angry", "sad", "joy")}, "name a class twice"),
        ({"seconds_per_frame": None}, "come together"),
        ({"frames": np.ones((5, 10, 3))}, "frames has shape"),
    ],
)
def test_views_refuse_what_does_not_fit(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(LORA, **change)


def test_no_models_is_an_error() -> None:
    nothing: list[ClipView] = []
    with pytest.raises(ValueError, match="no models"):
        trajectories(nothing)
