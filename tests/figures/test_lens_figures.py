"""The Lens page's figures, its sentences, and the clips behind a curve."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import plotly.graph_objects as go
import pytest

from core.analyses import contributions, lens
from core.analyses.request import AnalysisRequest, Note, Row, Variant
from core.analyses.tidy import Table
from core.corpora.clip import Clip
from core.figures import lens as figures
from core.figures.view import View
from core.models.info import ModelInfo, Role
from tests.analyses.fabricate import Shelf, make_clips, make_model, make_record

LABELS = ("anger", "happiness", "neutral", "sadness")
FROZEN = make_model("Frozen", labels=LABELS)
LORA = make_model("LoRA", labels=("Neutral", "sad", "angry", "happy"), role=Role.LORA)
DEEP = make_model("Deep", layers=7, labels=LABELS, role=Role.LORA)
CLIPS = make_clips([*LABELS] * 3, ["a", "b", "c"] * 4)


def tables(models: Sequence[ModelInfo], clips: Sequence[Clip], variant: Variant = "published") -> dict[str, Table]:
    """Both analyses of random records."""
    draw = np.random.default_rng(0)
    shelf = Shelf({(model.name, clip.clip_id): make_record(model, draw) for model in models for clip in clips})
    request = AnalysisRequest(tuple(models), tuple(clips), models[0].name, variant)
    results = {"lens": lens.compute(shelf, request), "contributions": contributions.compute(shelf, request)}
    return {name: Table.of(result.rows(), result.notes) for name, result in results.items()}


def view(
    models: Sequence[ModelInfo] = (FROZEN, LORA),
    clips: Sequence[Clip] = CLIPS,
    variant: Variant = "published",
    by: str | None = None,
) -> View:
    groups = {str(clip.label): [c for c in clips if c.label == clip.label] for clip in clips} if by else {"": clips}
    found = {name: tables(models, of, variant) for name, of in groups.items()}
    return View(tuple(models), models[0], variant, "all", found, tuple(clips), len(clips), by, done=True)


def made(rows: Sequence[Row], clips: Sequence[Clip] = CLIPS, models: Sequence[ModelInfo] = (FROZEN, LORA)) -> View:
    """A view of hand-made rows of both analyses."""
    of = {name: Table.of([row for row in rows if row.analysis == name]) for name in ("lens", "contributions")}
    return View(tuple(models), models[0], "published", "all", {"": of}, tuple(clips), len(clips), done=True)


def curve(statistic: str, model: str, values: Sequence[float], half: float | None = None, versus: str | None = None):
    return [
        Row(
            "lens",
            "published",
            model,
            versus,
            point,
            statistic=statistic,
            value=value,
            ci_low=None if half is None else value - half,
            ci_high=None if half is None else value + half,
            n=12,
        )
        for point, value in enumerate(values)
    ]


def landmark(model: str, statistic: str, value: float | None, analysis: str = "lens", n: int | None = 12) -> Row:
    return Row(analysis, "published", model, component="landmark", statistic=statistic, value=value, n=n)


def lines(figure: go.Figure, mode: str = "lines+markers") -> list[go.Scatter]:
    return [trace for trace in figure.data if trace.type == "scatter" and trace.mode == mode]


def texts(figure: go.Figure) -> list[str]:
    return [note.text for note in figure.layout.annotations]


@pytest.fixture(scope="module")
def whole() -> View:
    return view()


@pytest.fixture(scope="module")
def split() -> View:
    return view(by="emotion")


def test_four_panels_hold_the_rows_of_each_model(whole: View) -> None:
    for difference, names in ((False, ["Frozen", "LoRA"]), (True, ["LoRA"])):
        drawing = figures.main(whole, difference=difference)
        found = {(trace.xaxis or "x", trace.legendgroup): trace.y for trace in lines(drawing.figure)}
        for panel, statistic in zip(("x", "x2", "x3", "x4"), ("kl", "overlap", "accuracy", "uar"), strict=True):
            for name in names:
                versus = "Frozen" if difference else None
                expected = whole.table("lens").curve(statistic=statistic, model=name, versus=versus).value
                np.testing.assert_array_equal(found[panel, name], expected)
        assert len(found) == 4 * len(names)
        assert set(drawing.numbers[""].distinct("statistic")) == {"kl", "overlap", "accuracy", "uar"}


def test_without_labels_two_panels_say_so() -> None:
    """An empty panel without a word looks like a fault; with labels nothing of it may be left."""
    unlabelled = view(clips=[replace(clip, label=None) for clip in CLIPS])
    assert texts(figures.main(unlabelled).figure).count("no labels") == 2
    assert figures.answer(unlabelled).startswith("These clips have no labels")
    assert "no labels" not in texts(figures.main(view()).figure)


def test_nothing_jumps_when_numbers_come(whole: View, split: View) -> None:
    empty = replace(whole, tables={}, clips=(), done=False)
    for draw in (figures.main, figures.trajectories, figures.convergence):
        before, after = draw(empty).figure.layout, draw(whole).figure.layout
        assert (before.height, before.margin) == (after.height, after.margin)
    waiting = replace(split, tables={}, done=False)
    assert not lines(figures.main(waiting, "UAR").figure)
    assert figures.answer(empty) == figures.coincide(empty) == figures.missing(empty) == figures.answer(waiting) == ""
    assert figures.behind(empty, "LoRA", 5).n == 0


def test_a_pressed_marker_is_found_again(whole: View, split: View) -> None:
    drawing = figures.main(whole)
    at = next(i for i, trace in enumerate(drawing.figure.data) if trace in lines(drawing.figure)[-1:])
    assert figures.pointed(whole, drawing, at, 3) == ("LoRA", 3, "")
    for difference, panels in ((False, ["Frozen", "LoRA"]), (True, ["LoRA"])):
        drawing = figures.main(split, "KL", difference=difference)
        traces = list(drawing.figure.data)
        found = {
            figures.pointed(split, drawing, i, 2, difference=difference)
            for i, trace in enumerate(traces)
            if trace.mode == "lines+markers"
        }
        assert found == {(model, 2, emotion) for model in panels for emotion in LABELS}


def test_trajectories_are_probabilities_of_one_group(whole: View, split: View) -> None:
    """Classes are matched by name: LoRA's own order differs, and its "happy" is happiness."""
    for of, group in ((whole, ""), (split, "anger")):
        drawing = figures.trajectories(of, group)
        traces = lines(drawing.figure)
        assert {trace.legendgroup for trace in traces} == set(LABELS)
        for panel in ("x", "x2"):
            total = np.sum([trace.y for trace in traces if (trace.xaxis or "x") == panel], axis=0)
            np.testing.assert_allclose(total, 1)
    expected = split.table("lens", "anger").curve(model="LoRA", statistic="mean_prob", component="happy").value
    shown = [one for one in traces if one.legendgroup == "happiness" and one.xaxis == "x2"]
    np.testing.assert_array_equal(shown[0].y, expected)


def test_many_classes_keep_the_highest() -> None:
    many = tuple(f"class {i}" for i in range(10))
    model = make_model("Many", labels=many)
    drawing = figures.trajectories(view([model], make_clips(many, None)))
    assert len(lines(drawing.figure)) == 7
    assert "7 that rise highest" in drawing.how_to_read


def test_landmarks_stand_on_the_axis_of_the_curves(whole: View) -> None:
    """What a layer writes stands half-way between its points, its strongest one too."""
    figure = figures.convergence(whole).figure
    marks = {trace.legendgroup: trace for trace in lines(figure, "markers")}
    for model in ("Frozen", "LoRA"):
        rows = whole.table("lens").over_clips.pick(component="landmark", model=model)
        layer = whole.table("contributions").one(statistic="strongest", model=model, versus=None)
        wanted = ["saturation", "critical_mean", "critical", "kl_min", "commitment", "cka_jump"]
        values = [row.value for name in wanted if (row := rows.one(statistic=name)) and row.value is not None]
        assert layer is not None and layer.value is not None
        np.testing.assert_allclose(marks[model].x, [*values, layer.value + 0.5])
    np.testing.assert_allclose(lines(figure)[0].x, np.arange(5) + 0.5)
    np.testing.assert_allclose(lines(figure)[2].x, np.arange(6))


def test_clips_own_landmarks_stand_behind_their_mean(whole: View) -> None:
    boxes = [trace for trace in figures.convergence(whole).figure.data if trace.type == "box"]
    rows = whole.table("lens").pick(component="landmark", model="Frozen")
    own = [row.value for row in rows.rows() if row.clip_id and row.value is not None]
    assert sorted(boxes[0].x) == pytest.approx(sorted(own))
    assert len(set(boxes[0].y)) == 2


def test_models_of_different_depth_share_relative_depth() -> None:
    both = view((FROZEN, DEEP))
    for draw in (figures.main, figures.trajectories, figures.convergence):
        figure = draw(both).figure
        x = np.concatenate([trace.x for trace in lines(figure) + lines(figure, "markers")])
        assert x.min() >= 0 and x.max() == 1
    assert "of the depth apart" in figures.coincide(both)
    assert "**Frozen**" in figures.answer(both)  # there is no difference, so the levels


def test_do_they_coincide() -> None:
    rows = [landmark("Frozen", "saturation", 1.0), landmark("Frozen", "kl_min", 5.0)]
    rows += [landmark("LoRA", name, value) for name, value in (("saturation", 4.2), ("kl_min", 5.0), ("cka_jump", 5.0))]
    rows += [landmark("LoRA", "strongest", 4.0, "contributions"), landmark("LoRA", "commitment", None)]
    assert figures.coincide(made(rows)) == (
        "Within one layer of each other for **LoRA**.\n\n"
        "- **Frozen**: saturation 1, KL minimum 5: 4 points apart\n"
        "- **LoRA**: saturation 4.2, strongest contribution 4.5, KL minimum 5, CKA jump 5: 0.8 points apart"
    )


def test_what_does_not_exist_is_named_with_its_reason() -> None:
    notes = [Note(f"{name} commitment", "None, because KL stays high.") for name in ("Frozen", "LoRA")]
    notes += [Note("LoRA saturation by clip", "None for 3 of 12 clips, because of this.")]
    table = Table.of(curve("kl", "LoRA", [2, 1]), notes)
    found = figures.missing(replace(made([]), tables={"": {"lens": table}}))
    assert found == "No **commitment** for Frozen and LoRA: KL stays high."


def prob(clip: Clip, point: int, values: Sequence[float], kl: float, model: ModelInfo = FROZEN) -> list[Row]:
    row = Row("lens", "published", model.name, layer=point, clip_id=clip.clip_id)
    found = [
        replace(row, component=name, statistic="prob", value=value)
        for name, value in zip(model.labels, values, strict=True)
    ]
    return [*found, replace(row, statistic="kl_clip", value=kl)]


def test_the_worst_and_the_best_clips() -> None:
    """By the label's probability at that very point, under the model's own order of classes."""
    share = np.linspace(0.9, 0.02, len(CLIPS))
    rows = []
    for i, clip in enumerate(CLIPS):
        of_label = LABELS.index(str(clip.label))
        values = np.full(4, (1 - share[i]) / 3)
        values[of_label] = share[i]
        mine = [values[LABELS.index(name)] for name in ("neutral", "sadness", "anger", "happiness")]
        rows += prob(clip, 4, mine, float(i), LORA) + prob(clip, 3, mine[::-1], 0.0, LORA)
        rows += prob(clip, 4, [0.25] * 4, 9.0, FROZEN)
    found = figures.behind(made(rows), "LoRA", 4)
    assert (found.measure, found.n) == ("label", 12)
    assert [one.clip for one in found.worst] == list(CLIPS[:6:-1])
    assert [one.clip for one in found.best] == list(CLIPS[:5])
    best = found.best[0]
    assert (best.reads, best.probability, best.label, best.kl) == ("anger", 0.9, 0.9, 0.0)
    assert found.worst[0].reads != str(found.worst[0].clip.label)


def test_clips_without_labels_go_by_kl() -> None:
    clips = [replace(clip, label=None) for clip in CLIPS[:4]]
    kl = (0.2, np.nan, 3.0, 1.0)
    rows = [row for clip, one in zip(clips, kl, strict=True) for row in prob(clip, 0, [0.7, 0.1, 0.1, 0.1], one)]
    found = figures.behind(made(rows, clips), "Frozen", 0)
    assert (found.measure, found.n) == ("kl", 3)  # one is undefined
    assert [one.kl for one in found.worst] == [3.0, 1.0]
    assert [one.kl for one in found.best] == [0.2]
    assert found.best[0].label is None and found.best[0].reads == "anger"


def test_of_one_clip_there_is_no_best() -> None:
    found = figures.behind(made(prob(CLIPS[0], 2, [0.1, 0.2, 0.3, 0.4], 1.0), CLIPS[:1]), "Frozen", 2)
    assert (len(found.worst), found.best, found.n) == (1, (), 1)


def test_the_answer_says_what_the_rows_say() -> None:
    rows = curve("uar", "LoRA", [0, 0.1, 0.05, 0.3, 0.2, 0.4], 0.08, "Frozen")
    rows += [replace(landmark("LoRA", "saturation", 4.25), n=9), landmark("Frozen", "saturation", None, n=None)]
    rows += [landmark("LoRA", "kl_min", 5.0), landmark("Frozen", "kl_min", 2.0)]
    rows += [replace(landmark("Frozen", "kl_rebound", 0.75), ci_low=0.5, ci_high=1.0)]
    assert figures.answer(made(rows)).split("  \n") == [
        "Lens UAR at the last point, minus Frozen's: **LoRA** +0.400 [+0.320, +0.480] (from point 3 on), "
        "12 clips of 3 speakers. No difference is seen at points 0 and 2.",
        "Mean point where readings settle on the answer: **LoRA** 4.25 (9 of 12 clips); never for **Frozen**.",
        "KL to the answer is smallest at point 2 for **Frozen** (then rises by 0.750 [0.500, 1.00] nats); "
        "at the last point for **LoRA**.",
    ]


@pytest.mark.parametrize(
    ("values", "half", "said"),
    [
        ([0, 0.3, 0.02], 0.05, "+0.0200 [−0.0300, +0.0700] (holds zero)"),
        ([0, -0.3, -0.2], 0.05, "−0.200 [−0.250, −0.150] (from point 1 on)"),
        ([0, -0.3, 0.2], 0.05, "+0.200 [+0.150, +0.250] (only there)"),
        ([0, 0.3, 0.2], None, "+0.200 (no interval)"),
    ],
)
def test_the_answer_does_not_promise_too_much(values: list[float], half: float | None, said: str) -> None:
    assert said in figures.answer(made(curve("uar", "LoRA", values, half, "Frozen")))


def test_one_model_or_one_clip_has_an_answer() -> None:
    alone = figures.answer(view((LORA,)))
    assert alone.startswith("Lens UAR at the last point: **LoRA**")
    one = figures.answer(view(clips=CLIPS[:1]))
    assert "UAR" not in one and "KL to the answer" in one
    for draw in (figures.main, figures.trajectories, figures.convergence):
        assert draw(view(clips=CLIPS[:1])).figure.data


def test_a_split_answers_group_by_group(split: View) -> None:
    said = figures.answer(split)
    assert said.startswith("Lens recall of **LoRA** minus Frozen's at the last point: ")
    assert all(f"**{emotion}**" in said for emotion in LABELS)


@pytest.mark.parametrize("variant", ["published", "released", "corrected"])
def test_formula_and_note_are_the_variants(variant: Variant) -> None:
    drawing = figures.main(replace(view(), variant=variant))
    assert ("LN" in drawing.formula) == (variant == "corrected")
    assert (r"D_{KL}(\pi \,\|\, \pi_l)" in drawing.formula) == (variant == "released")
