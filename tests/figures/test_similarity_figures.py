"""Similarity's charts show the rows they are given under the names of what they are; the answer says what rows say."""

from dataclasses import replace

import numpy as np
import pytest

from core.analyses import cka, hsic
from core.analyses.request import DEFAULT_FRAMES, AnalysisRequest, Row
from core.analyses.tidy import Table
from core.figures import similarity as figures
from core.figures.drawing import Drawing
from core.figures.similarity.maps import grid
from core.figures.similarity.words import UNRELATED
from core.figures.view import View
from core.models.info import LoraModule, Role
from tests.analyses.adapters import make_adapter, make_adapters
from tests.analyses.fabricate import make_clips, make_model

CLIPS = make_clips(["anger", "neutral", "sadness", "anger", "neutral", "sadness"], [*"aabbcc"])
VARIANTS = ("published", "released", "corrected")
VALUE = LoraModule(0, "v_proj", 5, 48, 48), LoraModule(1, "v_proj", 5, 48, 48), LoraModule(1, "fc1", 4, 48, 60)


@pytest.fixture(scope="module", autouse=True)
def few_permutations():
    """Null bands of 8 permutations: what is drawn does not depend on how many there are, and 200 take long."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hsic, "PERMUTATIONS", 8)
        yield


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("base")
    second = replace(make_adapter(folder, "second", VALUE), fingerprint="another")
    return make_model(), make_adapter(folder, "lora", VALUE), second, make_model("deep", layers=7)


def made(models, variant="published", clips=CLIPS, by=None, **groups) -> View:
    """A view of real rows of invented records; `groups` are clips by name."""
    tables = {}
    for group, of in (groups or {"": clips}).items():
        request = AnalysisRequest(tuple(models), of, "frozen", variant=variant, frames=DEFAULT_FRAMES[variant])
        result = cka.compute(make_adapters(request), request)
        tables[group] = {"cka": Table.of(result.rows(), result.notes)}
    return View(tuple(models), models[0], variant, "all", tables, clips, len(clips), by, False, True)


@pytest.fixture(scope="module")
def views(models) -> dict[str, View]:
    return {variant: made(models, variant) for variant in VARIANTS}


def lines(drawing: Drawing, words: str) -> list:
    """Curves whose hover labels hold these words."""
    return [t for t in drawing.figure.data if t.customdata is not None and words in str(t.customdata[0])]


def every(view: View) -> list[Drawing]:
    """Every chart of the page."""
    first, last = view.models[0], view.models[-1]
    return [
        figures.alignment(view, "linear", "v_proj"),
        *(figures.heatmaps(view, first, last, one) for one in figures.estimators(view.variant)),
        figures.same_depth(view, "own"),
    ]


def test_trained_and_untrained_are_the_rows_in_one_colour_with_the_null_band(views):
    view = views["published"]
    drawing = figures.alignment(view, "rbf", "v_proj")
    for kind, statistic in (("activations", "cka_rbf"), ("gradients", "grad_cka_rbf")):
        for word, model in (("trained", "lora"), ("untrained", "lora (untrained)")):
            line, null = lines(drawing, f"<b>lora<br>{kind}, {word}")
            for trace, name in ((line, statistic), (null, f"{statistic}_null")):
                rows = [view.table("cka").one(model=model, module=f"{n}.v_proj", statistic=name) for n in (0, 1)]
                assert list(trace.y) == [row.value for row in rows]
                assert list(trace.x) == [0, 1], "the fc1 module is another target"
            assert (line.line.dash, line.marker.symbol) == (
                ("solid", "circle") if word == "trained" else ("dash", "circle-open")
            )
            assert line.line.color == view.styles["lora"].color
            assert null.legendgroup == UNRELATED and "unrelated features" in null.customdata[0]
    legend = [trace.name for trace in drawing.figure.data if trace.showlegend]
    assert legend == ["trained", "untrained", UNRELATED]


def test_without_the_null_band_only_the_lines_are_left(views):
    drawing = figures.alignment(views["published"], "linear", "v_proj", unrelated=False)
    assert UNRELATED not in {trace.name for trace in drawing.figure.data}
    assert lines(drawing, "lora<br>activations, trained")


def test_released_draws_the_notebooks_series_under_their_true_names(views):
    view = views["released"]
    drawing = figures.alignment(view, "linear", "v_proj")
    wanted = {
        "trained A with untrained A (linear)": ("lora", "A-A", "cka"),
        "trained B with untrained B (RBF)": ("lora", "B-B", "cka"),
        "gradients of B and A (RBF)": ("lora", "A-B", "grad_cka"),
        "gradients of B and A (RBF), untrained": ("lora (untrained)", "A-B", "grad_cka"),
    }
    legend = [trace.name for trace in drawing.figure.data if trace.showlegend]
    assert legend == [*wanted, UNRELATED]
    for name, (model, component, statistic) in wanted.items():
        line = next(t for t in drawing.figure.data if t.name == name and "<b>lora<" in str(t.customdata[0]))
        row = view.table("cka").one(model=model, component=component, statistic=statistic, module="1.v_proj")
        assert row is not None and line.y[1] == row.value
    styles = {(t.line.dash, t.marker.symbol, t.xaxis) for t in lines(drawing, "<b>lora<") if t.name in wanted}
    assert len(styles) == 4, "series of one panel can be told apart"


def test_heatmaps_are_the_rows_whichever_model_comes_first(views, models):
    frozen, lora = models[:2]
    for variant, view in views.items():
        table = view.table("cka")
        for estimator, statistic in (("own", "cka_layers"), ("rbf", "cka_layers_rbf")):
            cross = figures.heatmaps(view, frozen, lora, estimator).figure.data
            maps = [np.array(trace.z) for trace in cross if trace.type == "heatmap"]
            assert len(maps) == 3
            for row in table.pick(model="frozen", versus="lora", statistic=statistic).rows():
                assert maps[2][row.layer, int(row.module)] == row.value
        turned = [np.array(t.z) for t in figures.heatmaps(view, lora, frozen, "rbf").figure.data if t.type == "heatmap"]
        np.testing.assert_array_equal(turned[2], maps[2].T)
        other = "biased" if variant == "corrected" else "unbiased"
        assert figures.heatmaps(view, frozen, lora, "other").numbers[""].distinct("statistic") == [
            f"cka_layers_{other}",
            f"cka_layers_{other}_null",
        ]
        assert other in figures.estimators(variant)["other"]


def test_heatmaps_share_one_scale_and_show_the_diagonal_where_there_is_one(views, models):
    frozen, _, _, deep = models
    figure = figures.heatmaps(views["published"], frozen, deep, "own").figure
    assert (figure.layout.coloraxis.cmin, figure.layout.coloraxis.cmax) == (0, 1)
    assert figure.layout.coloraxis.colorbar.title.text == "CKA"
    maps = [trace for trace in figure.data if trace.type == "heatmap"]
    assert [np.shape(trace.z) for trace in maps] == [(6, 6), (8, 8), (6, 8)]
    assert {shape.xref for shape in figure.layout.shapes} == {"x", "x2"}, "6 and 8 points have no diagonal"


def test_crosses_mark_what_is_no_more_alike_than_unrelated_features(models):
    frozen = models[0]
    row = Row("cka", "published", "frozen", versus="frozen", statistic="cka_layers", n=6)
    null = replace(row, statistic="cka_layers_null", value=0.4, ci_low=0.3, ci_high=0.5)
    rows = []
    for layer in range(6):
        for column in range(6):
            place = {"layer": layer, "module": str(column)}
            value = None if layer == column == 5 else 0.5 if (layer, column) in ((1, 2), (4, 0)) else 0.9
            rows += [replace(row, value=value, **place), replace(null, **place)]
    view = View(models, frozen, "published", "all", {"": {"cka": Table.of(rows)}}, CLIPS, 6, done=True)
    drawing = figures.heatmaps(view, frozen, frozen, "own")
    (crosses,) = (trace for trace in drawing.figure.data if trace.type == "scatter")
    assert sorted(zip(crosses.y, crosses.x, strict=True)) == [(1, 2), (4, 0)], "an undefined place has no cross"
    (heatmap,) = (trace for trace in drawing.figure.data if trace.type == "heatmap")
    assert "up to 0.500 (no more alike than these)" in heatmap.customdata[1][2]
    assert "undefined" in heatmap.customdata[5][5]
    assert "2 of 35 places" in drawing.alt


def test_equal_depths_are_the_diagonal_and_only_of_models_as_deep(views, models):
    for reference in (models[0], models[1]):  # the rows name it first, or second
        view = replace(views["published"], reference=reference)
        drawing = figures.same_depth(view, "other")
        assert [model.name for model in figures.comparable(view)] == [
            name for name in ("frozen", "lora", "second") if name != reference.name
        ]
        line, _ = lines(drawing, "<b>second<br>")
        whole = grid(view.table("cka"), models[2], reference, "cka_layers_unbiased")
        np.testing.assert_array_equal(line.y, np.diag(whole.value))
        assert not lines(drawing, "<b>deep")


def test_nothing_moves_when_the_numbers_come(views):
    for variant, view in views.items():
        before, after = every(replace(view, tables={})), every(view)
        for one, other in zip(before, after, strict=True):
            assert one.figure.layout.height == other.figure.layout.height
            assert one.figure.layout.margin == other.figure.layout.margin
            assert one.figure.layout.xaxis.range == other.figure.layout.xaxis.range
        assert figures.answer(replace(view, tables={})) == "", variant


def test_many_adapters_stand_in_pairs_of_panels(views, models):
    few = figures.alignment(views["published"], "linear", "v_proj").figure
    names = [note.text for note in few.layout.annotations]
    assert names[:3] == ["<b>lora: activations</b>", "<b>second: activations</b>", "<b>lora: gradients</b>"]
    five = tuple(replace(models[1], name=f"lora {i}") for i in range(5))
    many = figures.alignment(replace(views["published"], models=(models[0], *five)), "linear", "v_proj").figure
    names = [note.text for note in many.layout.annotations]
    assert names[:3] == ["<b>lora 0: activations</b>", "<b>lora 0: gradients</b>", "<b>lora 1: activations</b>"]
    assert len({axis.domain for axis in many.select_xaxes()}) == 4


def test_one_clip_has_neither_interval_nor_null_band_and_says_so(models):
    view = made(models[:2], clips=CLIPS[:1])
    assert not [t for t in figures.alignment(view, "linear", "v_proj").figure.data if t.fill == "toself"]
    assert "audio frames" in figures.caution(view)
    assert "one clip's frames have no null band" in figures.answer(view)
    assert "clips" not in figures.answer(view).splitlines()[-1], "n is of frames there"


def test_a_split_has_a_line_a_group_and_the_heatmap_one_of_them(models):
    groups = {"right": CLIPS, "wrong": CLIPS[:5]}
    for variant in ("published", "released"):
        view = made(models[:2], variant, by="correct:lora", **groups)
        for chosen, series in figures.series(variant, "linear").items():
            drawing = figures.alignment(view, "linear", "v_proj", chosen)
            for group in groups:
                line = next(t for t in lines(drawing, f"<br>{group}") if t.xaxis == "x")
                rows = series.rows(view, models[1], "v_proj", group)
                np.testing.assert_array_equal(line.y, series.curve(rows).value)
                assert len(line.y) == 2
        shown = figures.heatmaps(view, models[0], models[1], "own", "wrong")
        assert set(shown.numbers) == {"wrong"}
        assert set(shown.numbers["wrong"].columns["n"]) == {5}
        assert {t.name for t in figures.same_depth(view, "own").figure.data if t.showlegend} == set(groups)
        assert "right" in figures.answer(view) and "5 to 6 clips each" in figures.answer(view)


def test_where_it_is_undefined_the_reason_stands_once_with_its_groups(models):
    view = made(models[:2], "corrected", by="emotion", anger=CLIPS[:2], neutral=CLIPS[2:4], sadness=CLIPS)
    reason = figures.undefined_alignment(view, "linear")
    assert reason == "anger and neutral: CKA over 2 rows is undefined: this estimator needs at least 4."
    assert "needs at least 4" in figures.undefined_layers(view, "own")
    assert "needs at least 3" in figures.undefined_layers(view, "other"), "the biased one needs fewer"
    assert figures.undefined_alignment(replace(view, done=False), "linear") == "", "more clips may come"
    assert "anger" not in figures.answer(view)
    figures.heatmaps(view, models[0], models[1], "own", "anger")  # drawn all the same, empty


def rows(model, statistic, values, **columns) -> list[Row]:
    """A row a v_proj module: (value, low, high)."""
    return [
        Row("cka", "published", model, None, i, f"{i}.v_proj", "A-B", statistic, None, *of, n=6, **columns)
        for i, of in enumerate(values)
    ]


def test_the_answer_is_what_the_rows_say(models):
    depth = [
        Row(
            "cka",
            "published",
            "frozen",
            "lora",
            i,
            str(i),
            None,
            "cka_layers",
            None,
            value,
            value - 0.1,
            value + 0.1,
            6,
        )
        for i, value in enumerate((1.0, 0.9, 0.8, 0.4, 0.7, 0.75))
    ]
    given = [
        *rows("lora", "cka", [(0.9, 0.85, 0.92), (0.7, 0.6, 0.8)]),
        *rows("lora", "cka_null", [(0.5, 0.4, 0.6), (0.5, 0.4, 0.7)]),
        *rows("lora (untrained)", "cka", [(0.95, 0.93, 0.97), (0.9, 0.7, 1.0)]),
        *rows("lora", "grad_cka", [(0.6, None, None), (None, None, None)]),
        *rows("lora", "grad_cka_null", [(0.3, 0.2, 0.4), (None, None, None)]),
        *depth,
    ]
    adapter = replace(models[1], lora=VALUE[:2], role=Role.LORA)
    view = View(
        (models[0], adapter), models[0], "published", "all", {"": {"cka": Table.of(given)}}, CLIPS, 6, done=True
    )
    assert figures.answer(view).split("  \n") == [
        "Mean A-B CKA, activations: **lora** 0.800 (untrained 0.925); no higher than unrelated: lora in layer 1, "
        "1 of 2 differ.",
        "Mean A-B CKA, gradients: **lora** 0.600; all above unrelated.",
        "Least like frozen at point 3: **lora** 0.400 [0.300, 0.500], 6 clips of 3 speakers.",
    ]


@pytest.mark.parametrize("variant", VARIANTS)
def test_models_without_lora_still_have_their_depths(models, variant):
    view = made((models[0], models[3]), variant)
    assert "A-B" not in figures.answer(view)
    drawing = figures.heatmaps(view, models[0], models[3], "own")
    assert "frozen × deep: lowest" in drawing.alt
    assert figures.comparable(view) == ()
