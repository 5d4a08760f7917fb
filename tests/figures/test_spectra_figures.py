"""Spectra's charts show the rows they are given, and the answer says what the rows say."""

from dataclasses import replace

import numpy as np
import pytest

from core.analyses import spectra
from core.analyses.request import AnalysisRequest, Row
from core.analyses.tidy import Table
from core.figures import spectra as figures
from core.figures.drawing import Drawing
from core.figures.view import View
from core.models.info import LoraModule, Role
from tests.analyses.adapters import MODULES, make_adapter, make_adapters
from tests.analyses.fabricate import make_clips, make_model

CLIPS = make_clips(["anger", "neutral", "sadness", "anger", "neutral", "sadness"], ["a", "a", "b", "b", "c", "c"])
OTHER = (LoraModule(0, "v_proj", 3, 48, 48), LoraModule(2, "v_proj", 3, 48, 48))


@pytest.fixture(scope="module")
def request_(tmp_path_factory) -> AnalysisRequest:
    folder = tmp_path_factory.mktemp("base")
    models = (
        make_model(),
        make_adapter(folder, "two targets"),
        replace(make_adapter(folder, "one target", OTHER), fingerprint="another"),
    )
    return AnalysisRequest(models, CLIPS, "frozen")


@pytest.fixture(scope="module")
def table(request_) -> Table:
    result = spectra.compute(make_adapters(request_), request_)
    return Table.of(result.rows(), result.notes)


@pytest.fixture
def view(request_, table) -> View:
    return View(
        request_.models, request_.models[0], "published", "all", {"": {"spectra": table}}, CLIPS, 6, None, False, True
    )


def every(view: View) -> list[Drawing]:
    """Every chart of the page without a split."""
    return [
        figures.energy(view),
        figures.energy(view, every=True),
        figures.efficiency(view),
        figures.distribution(view),
        *(figures.heatmap(view, measure) for measure in figures.MEASURES),
        figures.norms(view),
        *(figures.weights(view, look, 2) for look in figures.LOOKS),
        *(figures.subspaces(view, pair) for pair in figures.pairs(view)),
    ]


def traces(drawing: Drawing, words: str) -> list:
    """Traces whose hover labels hold these words."""
    return [
        trace
        for trace in drawing.figure.data
        if trace.customdata is not None and any(words in str(one) for one in np.ravel(trace.customdata))
    ]


def test_energy_is_the_mean_over_modules_and_sv90_lies_on_its_line(view, table):
    figure = figures.energy(view).figure
    for panel, (component, prefix) in enumerate([("A", ""), ("A", "grad_"), ("B", ""), ("B", "grad_")]):
        axis = "x" if panel == 0 else f"x{panel + 1}"
        of = [trace for trace in figure.data if trace.xaxis == axis and trace.legendgroup == "two targets"]
        line = next(trace for trace in of if trace.mode == "lines" and trace.fill is None)
        for k, value in zip(line.x, line.y, strict=True):
            row = table.one(model="two targets", component=component, statistic=f"{prefix}energy:{k}", module=None)
            assert row is not None and row.value == value
        mark = next(trace for trace in of if trace.mode == "markers")
        mean = table.one(model="two targets", component=component, statistic=f"{prefix}sv90", module=None)
        assert mean is not None and (mark.x, mark.y) == ((mean.value,), (0.9,))
        band = any(trace.fill == "toself" for trace in of)
        assert band == (prefix + component != "grad_B"), "B's gradients are the ones without an interval"


def test_untrained_has_its_models_colour_dashed_and_open(view):
    figure = figures.energy(view).figure
    lines = {trace.name: trace for trace in figure.data if trace.name}
    assert lines["one target"].line.color == lines["one target (untrained)"].line.color
    assert (lines["one target"].line.dash, lines["one target (untrained)"].line.dash) == ("solid", "dash")
    marks = [trace for trace in figure.data if trace.mode == "markers" and trace.legendgroup.endswith("(untrained)")]
    assert marks and all(trace.marker.symbol.endswith("-open") for trace in marks)


def test_every_module_is_named_in_the_distribution_at_its_value(view, table):
    drawing = figures.distribution(view)
    for module in MODULES:
        found = [
            (trace.x[i], text)
            for trace in drawing.figure.data
            for i, text in enumerate(trace.customdata)
            if f"<b>two targets</b><br>{module.name}<br>" in text
        ]
        kinds = [("A", "sv90"), ("A", "grad_sv90"), ("B", "sv90"), ("B", "grad_sv90")]
        rows = [table.one(model="two targets", module=module.name, component=c, statistic=s) for c, s in kinds]
        assert [value for value, _ in found] == [row and row.value for row in rows]


def test_ratios_stand_beside_the_papers_as_they_are(view, table):
    figure = figures.efficiency(view).figure
    ours = next(trace for trace in figure.data if trace.name == "one target")
    kinds = [("A", "efficiency"), ("A", "grad_efficiency"), ("B", "efficiency"), ("B", "grad_efficiency")]
    expected = [table.one(model="one target", component=c, statistic=s) for c, s in kinds]
    assert list(ours.x) == [row and row.value for row in expected]
    paper = next(trace for trace in figure.data if trace.name == "paper (large-v2, r=32)")
    assert paper.x == (5.5, 1.7, 10.4, 0.4) and paper.marker.symbol.endswith("-open")


def test_heatmap_places_modules_at_their_layers_and_keeps_targets_apart(view, table):
    drawing = figures.heatmap(view, "effective rank")
    (cell,) = traces(drawing, "<b>two targets</b><br>1.fc1, A activations")
    row = table.one(model="two targets", module="1.fc1", component="A", statistic="effective_rank")
    assert row is not None and row.value is not None
    assert list(cell.x) == [1] and 2 ** cell.z[0][0] == pytest.approx(row.value)
    assert any("fc1" in label for label in drawing.figure.layout.yaxis.ticktext)


def test_overlap_shows_the_chosen_number_of_directions(view, table):
    drawing = figures.weights(view, figures.OVERLAP, 2)
    first = drawing.figure.data[0]
    row = table.one(model="two targets", module="0.v_proj", component="dW", statistic="overlap_left:2")
    assert row is not None and first.y[0] == row.value
    assert set(drawing.numbers[""].distinct("statistic")) == {"overlap_left:2", "overlap_right:2"}


def test_subspaces_are_the_means_and_each_shared_module(view, table):
    (pair,) = figures.pairs(view)
    mean, layer = figures.subspaces(view, pair).figure.data
    row = table.one(model="two targets", versus="one target", statistic="subspace_mean:2:3")
    assert row is not None and mean.z[1][2] == row.value and np.shape(mean.z) == (5, 3)
    shared = table.one(model="two targets", versus="one target", module="0.v_proj", statistic="subspace:3")
    assert shared is not None and layer.z[2][0] == shared.value and list(layer.x) == [0]


def test_nothing_moves_when_numbers_come(view):
    for before, after in zip(every(replace(view, tables={}, done=False)), every(view), strict=True):
        assert before.figure.layout.height == after.figure.layout.height
        assert before.figure.layout.xaxis == after.figure.layout.xaxis
        assert before.figure.layout.margin == after.figure.layout.margin


def test_narrow_puts_kinds_under_each_other(view):
    wide, tall = figures.energy(view).figure, figures.energy(replace(view, narrow=True)).figure
    assert wide.layout.yaxis.domain == wide.layout.yaxis2.domain
    assert tall.layout.yaxis2.domain[1] < tall.layout.yaxis.domain[0]


def test_undefined_numbers_are_gaps(view):
    rows = [
        replace(row, value=None, ci_low=None, ci_high=None) if row.component == "B" else row
        for row in view.table("spectra").rows()
    ]
    broken = replace(view, tables={"": {"spectra": Table.of(rows)}})
    assert len(every(broken)) == len(every(view))
    text = figures.answer(broken)
    assert "A " in text and "nan" not in text and "undefined" not in text


def test_one_clip_without_intervals_is_drawn(view):
    rows = [replace(row, ci_low=None, ci_high=None) for row in view.table("spectra").rows()]
    alone = replace(view, tables={"": {"spectra": Table.of(rows)}}, clips=CLIPS[:1], total=1)
    assert not [trace for trace in figures.energy(alone).figure.data if trace.fill]
    assert "[" not in figures.answer(alone)


def test_models_of_other_depth_share_a_relative_axis(view, tmp_path):
    deep = make_adapter(tmp_path, "deep", OTHER, layers=9)
    drawing = figures.norms(replace(view, models=(*view.models, deep)))
    assert drawing.figure.layout.xaxis.title.text == "relative depth"


def test_a_split_has_a_line_a_group(view, table):
    parted = replace(view, tables={"anger": {"spectra": table}, "sadness": {"spectra": table}}, by="emotion")
    drawing = figures.split(parted, "B gradients", "SV90", "v_proj")
    assert {trace.legendgroup for trace in drawing.figure.data} == {"anger", "sadness"}
    assert drawing.numbers["anger"].distinct("statistic") == ["grad_sv90"]
    assert drawing.numbers["anger"].distinct("module") == ["0.v_proj", "2.v_proj"]
    forward = figures.split(parted, "A activations", figures.NORM, "v_proj")
    assert forward.numbers["anger"].distinct("statistic") == ["grad_norm"]
    ratios = figures.efficiency(parted, "B activations")
    assert list(ratios.numbers) == ["anger", "sadness"]
    assert next(trace for trace in ratios.figure.data if "paper" in trace.name).x == (10.4, 10.4)
    assert "**anger**" in figures.answer(parted) and "**sadness**" in figures.answer(parted)
    assert figures.weights(parted, "update").numbers[""].pick(component="dW").distinct("statistic")


def answer_of(view: View, a: tuple[float, float, float], b: tuple[float, float, float]) -> str:
    """Answer to one adapter whose SV90 is 2, with these ratios and their bounds."""
    rows = []
    for component, (ratio, low, high) in (("A", a), ("B", b)):
        one = Row("spectra", "published", "one target", component=component, n=6)
        rows.append(replace(one, statistic="sv90", value=2.0))
        rows.append(replace(one, model="one target (untrained)", statistic="sv90", value=2 * ratio))
        ratio_ = replace(one, versus="one target (untrained)", statistic="efficiency")
        rows.append(replace(ratio_, value=ratio, ci_low=low, ci_high=high))
    return figures.answer(replace(view, tables={"": {"spectra": Table.of(rows)}}))


def test_the_answer_gives_both_sizes_their_ratio_and_the_papers(view):
    text = answer_of(view, (5, 4, 6), (3, 2, 4))
    assert "10.0 → **2.00** (5.00× [4.00, 6.00])" in text and "6 clips of 3 speakers" in text
    assert "5.5 for A and 10.4 for B" in text and text.endswith("the same direction.")
    assert "the other direction" in answer_of(view, (0.5, 0.4, 0.6), (0.9, 0.8, 0.95))
    assert "partly" in answer_of(view, (5, 4, 6), (0.9, 0.8, 0.95))


def test_the_answer_says_where_an_interval_holds_one(view):
    text = answer_of(view, (1.2, 0.9, 1.5), (3, 2, 4))
    assert text.count("the interval holds 1") == 1 and text.endswith("the same direction where the interval tells.")
    assert "can't tell" in answer_of(view, (1.2, 0.9, 1.5), (0.9, 0.8, 1.1))


def test_no_answer_before_anything_is_known(view):
    assert figures.answer(replace(view, tables={})) == ""


def test_an_untrained_model_has_no_counterpart(view, request_):
    drawn = replace(request_.models[1], role=Role.UNTRAINED, name="drawn")
    rows = [Row("spectra", "published", "drawn", component="A", statistic="sv90", value=4.0, n=6)]
    alone = replace(view, models=(drawn,), tables={"": {"spectra": Table.of(rows)}})
    assert "without an untrained counterpart" in figures.answer(alone)
    assert {trace.name for trace in figures.energy(alone).figure.data if trace.name} == {"drawn"}


def test_unlabelled_clips_are_said(view):
    assert figures.unlabelled(view) == ""
    assert "2 clips have no label" in figures.unlabelled(replace(view, clips=(*CLIPS, *make_clips([None, "joy"]))))
    assert "The clips have no label" in figures.unlabelled(replace(view, clips=make_clips([None])))
