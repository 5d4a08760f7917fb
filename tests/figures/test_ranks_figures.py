"""The Ranks page's maps, curves and sentences say what their rows say, and stand before there are any."""

from dataclasses import replace

import numpy as np
import pytest

from core.analyses.ranks_maps import depths
from core.analyses.request import Row
from core.analyses.tidy import Table
from core.corpora.clip import Clip
from core.figures import ranks as figures
from core.figures.ranks.chosen import pairs
from core.figures.ranks.verdicts import CLAIM, judge
from core.figures.view import View
from core.models.info import LoraModule, ModelInfo, Role
from tests.analyses.fabricate import make_model

LAYERS = 5
CLIPS = tuple(
    Clip(f"{i:012x}{'f' * 52}", f"clip {i}", 3200, label=label, speaker=f"s{i % 3}")
    for i, label in enumerate(["angry", "neutral", "sadness", "happy", None, "anger", "neutral", "sad", "happiness"])
)


def adapter(rank: int, base: str = "base", **more) -> ModelInfo:
    lora = tuple(LoraModule(layer, "v_proj", rank, 48, 48) for layer in range(LAYERS))
    labels = ("anger", "happiness", "neutral", "sadness")
    model = make_model(f"r={rank}", layers=LAYERS, role=Role.LORA, labels=labels, **more)
    return replace(model, lora=lora, base_fingerprint=base, parameters=100_000)


MODELS = adapter(4), adapter(8), adapter(16)


def row(model: str, statistic: str, value: float, *, layer: int | None = None, half: float = 0.01, **more) -> Row:
    over = {} if "clip_id" in more else {"ci_low": value - half, "ci_high": value + half, "n": len(CLIPS)}
    module = None if layer is None else f"{layer}.v_proj"
    return Row(
        "ranks", "published", model, layer=layer, module=module, statistic=statistic, value=value, **over, **more
    )


def rows(sensitivity: dict[str, float] | None = None, difference: float = 0.05, level: float = 0.1) -> list[Row]:
    """Rows of three adapters; each higher rank is `difference` better in silhouette from layer 2 on, else the same."""
    found = []
    for place, model in enumerate(MODELS):
        for layer in depths(LAYERS):
            for i, clip in enumerate(CLIPS):
                for side, statistic in enumerate(("tsne_1", "tsne_2", "pca_1", "pca_2")):
                    found.append(row(model.name, statistic, float(i + side), layer=layer, clip_id=clip.clip_id))
        for layer in range(LAYERS):
            found += [row(model.name, one, level, layer=layer) for one in ("silhouette", "knn_purity", "probe_uar")]
            found += [row(model.name, "probe_uar_shuffled", 0.25, layer=layer)]
            found += [row(model.name, one, 0.3, layer=layer, component="anger") for one in ("silhouette", "knn_purity")]
            found += [row(model.name, "probe_recall", 0.7, layer=layer, component="anger")]
            for lower in MODELS[:place]:
                for one in ("silhouette", "knn_purity", "probe_uar"):
                    value = difference if one == "silhouette" and layer >= 2 else 0.001
                    found.append(row(model.name, one, value, layer=layer, versus=lower.name))
    for emotion, value in (sensitivity or {}).items():
        found.append(row("r=16", "rank_sensitivity", value, component=emotion, versus="r=4"))
    return found


def view(found: list[Row] | None = None, models: tuple[ModelInfo, ...] = MODELS, **more) -> View:
    tables = {"": {"ranks": Table.of(found)}} if found is not None else {}
    return View(models, models[0], "published", "all", tables, CLIPS if found is not None else (), len(CLIPS), **more)


def markers(drawing) -> list:
    return [trace for trace in drawing.figure.data if trace.ids is not None]


def test_only_adapters_over_the_first_base_are_compared_lowest_rank_first() -> None:
    """Ranks over different encoders would differ for other reasons than rank."""
    models = (make_model(), MODELS[2], MODELS[0], adapter(32, base="another"))
    assert figures.comparable(models) == (MODELS[0], MODELS[2])
    assert figures.comparable((make_model(),)) == ()
    assert [(low.rank, high.rank) for low, high in pairs(MODELS)] == [(4, 16), (4, 8), (8, 16)]


@pytest.mark.parametrize("narrow", [False, True])
def test_every_clip_is_in_every_panel_under_its_emotion(narrow: bool) -> None:
    """A clip that a panel lost, or another spelling of its emotion, would make maps that can't be compared."""
    drawing = figures.maps(view(rows(), narrow=narrow), "t-SNE", "v_proj")
    panels: dict[str, dict[str, str]] = {}
    for trace in markers(drawing):
        panels.setdefault(trace.xaxis, {}).update(dict.fromkeys(trace.ids, trace.name))
    assert len(panels) == len(MODELS) * len(depths(LAYERS))
    names = {clip.clip_id[: figures.BEGINNING]: clip.label for clip in CLIPS}
    for found in panels.values():
        assert found.keys() == names.keys()
        assert {found[one] for one, label in names.items() if label in ("angry", "anger")} == {"anger"}
        assert {found[one] for one, label in names.items() if label is None} == {"unlabelled"}
    widths = {round(float(np.diff(axis.domain)[0]), 6) for axis in drawing.figure.select_xaxes()}
    heights = {round(float(np.diff(axis.domain)[0]), 6) for axis in drawing.figure.select_yaxes()}
    assert len(widths) == len(heights) == 1, "equal panels"
    assert not any(axis.showticklabels for axis in drawing.figure.select_xaxes())
    layers = {f"<b>layer {layer}</b>" for layer in depths(LAYERS)}
    assert layers <= {note.text for note in drawing.figure.layout.annotations}


def test_a_lasso_stands_out_in_every_panel() -> None:
    """What is drawn around in one panel must be the same clips in the others."""
    shown = view(rows())
    plain = figures.maps(shown, "t-SNE", "v_proj")
    assert all(trace.selectedpoints is None for trace in plain.figure.data), "nothing fades before a lasso"
    trace = next(i for i, one in enumerate(plain.figure.data) if one.name == "neutral")
    ids = figures.lassoed(plain, [(trace, 0), (trace, 1), (trace, 0)])
    assert ids == tuple(clip.clip_id[: figures.BEGINNING] for clip in CLIPS if clip.label == "neutral")
    picked = {clip.clip_id for clip in CLIPS if clip.clip_id.startswith(ids)}
    drawing = figures.maps(shown, "PCA", "v_proj", picked)
    for one in markers(drawing):
        assert [one.ids[i] for i in one.selectedpoints] == [i for i in one.ids if i in ids]
    assert "2 clips stand out" in drawing.alt


def test_a_clip_without_a_place_is_left_out() -> None:
    """NaN (a map of too few clips) must not become a point at zero."""
    found = [replace(one, value=np.nan) if one.statistic == "tsne_1" else one for one in rows()]
    assert not any(len(trace.x) for trace in figures.maps(view(found), "t-SNE", "v_proj").figure.data)
    assert any(len(trace.x) for trace in figures.maps(view(found), "PCA", "v_proj").figure.data)


@pytest.mark.parametrize("models", [MODELS, MODELS[:1]])
@pytest.mark.parametrize("narrow", [False, True])
def test_charts_stand_at_the_same_height_before_there_are_numbers(models, narrow: bool) -> None:
    """Nothing jumps when data arrive."""
    empty, full = view(None, models, narrow=narrow), view(rows(), models, narrow=narrow)
    assert figures.answer(empty, "v_proj") == "" and figures.claim(empty) == ""
    assert figures.verdicts(empty, "v_proj") == []
    height = figures.separation(empty, "v_proj").figure.layout.height
    assert height == figures.separation(full, "v_proj").figure.layout.height
    panels = figures.maps(empty, "t-SNE", "v_proj").figure.layout.height
    assert abs(panels - figures.maps(full, "t-SNE", "v_proj").figure.layout.height) <= 26, "at most a row of legend"
    assert figures.scores(empty).figure.layout.height == figures.scores(full).figure.layout.height
    if len(models) > 1:
        emotions = view(rows(dict.fromkeys(CLAIM, 0.1)), models)
        assert figures.sensitivity(empty).figure.layout.height == figures.sensitivity(emotions).figure.layout.height


def test_the_control_is_drawn_with_all_clips_and_recall_with_one_emotion() -> None:
    shown = view(rows())
    every = figures.separation(shown, "v_proj").figure
    assert any(trace.name == "shuffled labels" for trace in every.data)
    one = figures.separation(shown, "v_proj", "anger").figure
    assert not any(trace.name == "shuffled labels" for trace in one.data)
    assert {0.7} == {
        value
        for trace in one.data
        if trace.customdata is not None and "recall" in str(trace.customdata)
        for value in trace.y
    }


def test_differences_are_higher_minus_lower_rank() -> None:
    drawn = figures.separation(view(rows()), "v_proj").figure.data
    names = {trace.name for trace in drawn if trace.name and "−" in trace.name}
    assert names == {"r=8 − r=4", "r=16 − r=8", "r=16 − r=4"}
    line = next(t for t in drawn if t.name == "r=16 − r=4")
    assert list(line.y) == [0.001, 0.001, 0.05, 0.05, 0.05]


def test_a_verdict_says_where_the_difference_exceeds_its_interval() -> None:
    said = figures.verdicts(view(rows()), "v_proj")
    where = "above zero at layers 2 to 4 of 5 (largest +0.0500 [+0.0400, +0.0600] at layer 2)"
    assert said[0] == f"**silhouette**: r=16 − r=4 is {where}."
    assert "does not leave its interval at any of 5 layers" in said[1]
    below = figures.verdicts(view(rows(difference=-0.05)), "v_proj")
    assert "below zero at layers 2 to 4 of 5 (largest −0.0500" in below[0]


def test_the_largest_difference_said_is_one_that_exceeds_its_interval() -> None:
    """A larger one with a wide interval would read as evidence."""
    two = [row("a", "x", 0.05, layer=0, half=0.01), row("a", "x", 0.5, layer=1, half=1)]
    assert "(largest +0.0500 [+0.0400, +0.0600] at layer 0)" in judge("x", "d", Table.of(two).curve())


def test_the_answer_names_better_metrics_and_those_that_can_not_tell() -> None:
    said = figures.answer(view(rows()), "v_proj")
    assert said.startswith("**r=16** separates emotions **better** in silhouette (3 of 5 layers) than **r=4**; ")
    assert "in kNN purity and probe UAR no difference is seen, 9 clips of 3 speakers." in said
    assert "9 of 45 differences exceed their interval; by chance it would be about 2." in said
    assert "**worse** in silhouette" in figures.answer(view(rows(difference=-0.05)), "v_proj")
    same = figures.answer(view(rows(difference=0.0)), "v_proj")
    assert same.startswith("Whether **r=16** separates emotions better than **r=4** can't be told")
    assert "every silhouette is below zero" in figures.answer(view(rows(level=-0.1)), "v_proj")
    assert "every silhouette" not in said


def test_one_rank_alone_is_described_not_compared() -> None:
    said = figures.answer(view(rows(), MODELS[:1]), "v_proj")
    assert "**r=4** separates emotions most at layer 0: silhouette 0.100 [0.0900, 0.110]" in said
    assert "nothing to compare" in said


@pytest.mark.parametrize(
    ("values", "order", "told"),
    [
        ((0.1, 0.2, 0.3, 0.4), "the same order", "in 6 of 6 pairs: 6 as the paper has it."),
        ((0.4, 0.3, 0.2, 0.1), "another order", "in 6 of 6 pairs: 6 the other way round."),
        ((0.1, 0.101, 0.102, 0.103), "the same order", "can't tell which order is true"),
        ((0.1, 0.101, 0.3, 0.2), "another order", "5 of 6 pairs"),
    ],
)
def test_the_claim_is_held_against_these_data(values, order: str, told: str) -> None:
    """The paper's order must not be confirmed where intervals overlap, nor contradicted by the order alone."""
    said = figures.claim(view(rows(dict(zip(CLAIM, values, strict=True)))))
    assert "**neutral < sadness < anger < happiness**" in said
    assert order in said and told in said, said


def test_emotions_that_the_claim_does_not_name_do_not_disturb_it() -> None:
    shown = view(rows({"neutral": 0.1, "fear": 0.9, "anger": 0.2}))
    assert "**neutral < anger**; here it is **neutral < anger**" in figures.claim(shown)
    assert list(figures.sensitivity(shown).figure.layout.yaxis.ticktext) == ["neutral", "anger", "fear"]


def lens_rows() -> list[Row]:
    where = {"analysis": "lens", "variant": "corrected", "layer": LAYERS, "n": 9}
    found = [
        Row(model=model.name, statistic=one, value=0.5 + i / 10, ci_low=0.4, ci_high=0.9, **where)
        for i, model in enumerate(MODELS)
        for one in ("uar", "accuracy")
    ]
    return [*found, Row(model="r=16", versus="r=4", statistic="uar", value=0.2, ci_low=0.1, ci_high=0.3, **where)]


def test_scores_are_read_at_the_last_point_and_cost_counts_a_and_b() -> None:
    shown = View(MODELS, MODELS[0], "corrected", "all", {"": {"lens": Table.of(lens_rows())}}, CLIPS, 9, done=True)
    assert figures.cost(MODELS[0]) == 5 * 4 * (48 + 48)
    points = [(trace.x[0], trace.y[0]) for trace in figures.scores(shown).figure.data if trace.xaxis == "x"]
    assert points == [(1920, 0.5), (3840, 0.6), (7680, 0.7)]
    assert figures.score_verdicts(shown) == ["**UAR**: r=16 − r=4 is +0.200 [+0.100, +0.300], beyond its interval."]
    assert figures.unscored(shown) == ""
    weighted = replace(shown, models=tuple(replace(model, weighted_layer_sum=True) for model in MODELS))
    assert "weighted sum of layers" in figures.unscored(weighted), "its last point is not its answer"
    assert "no labels" in figures.unscored(replace(shown, tables={}))


def test_other_analyses_are_judged_by_paired_differences_where_there_are_any() -> None:
    table = Table.of(
        Row(
            "contributions",
            "published",
            "r=16",
            "r=4",
            layer,
            component="attention",
            statistic="relative",
            value=0.2,
            ci_low=0.1,
            ci_high=0.3,
            n=9,
        )
        for layer in range(LAYERS)
    )
    shown = View(MODELS, MODELS[0], "published", "all", {"": {"contributions": table}}, CLIPS, 9)
    assert figures.contribution_verdicts(shown) == [
        "**What attention writes**: r=16 − r=4 is above zero at layers 0 to 4 of 5 "
        "(largest +0.200 [+0.100, +0.300] at layer 0)."
    ]
    sides = [("r=4", 1.0, 1.5), ("r=16", 2.0, 2.5)]
    table = Table.of(
        Row("spectra", "published", name, component="A", statistic="sv90", value=low, ci_low=low, ci_high=high, n=9)
        for name, low, high in sides
    )
    spectra = replace(shown, tables={"": {"spectra": table}})
    assert "the intervals are apart" in figures.spectrum_verdicts(spectra)[0]
    for judge_all in (figures.contribution_verdicts, figures.lens_verdicts, figures.spectrum_verdicts):
        assert judge_all(replace(shown, tables={})) == []
        assert judge_all(replace(shown, models=MODELS[:1])) == []
