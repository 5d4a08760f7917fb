"""Contribution curves: what is averaged, what is paired, and what has no difference."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from core.analyses import contributions
from core.analyses.request import AnalysisRequest
from tests.analyses.fabricate import Shelf, make_clips, make_model, make_shelf

MODELS = (make_model(), make_model("lora"))
SPEAKERS = ["a", "a", "b", "b", "c", "c", "d"]
CLIPS = make_clips(["ang", "neu", "sad", "ang", "sad", "neu", "ang"], SPEAKERS)


def by_speaker(values):
    """Mean, and scipy's t interval over the means of speakers."""
    means = [np.mean([v for v, s in zip(values, SPEAKERS, strict=True) if s == name]) for name in "abcd"]
    return (np.mean(values), *stats.t.interval(0.95, 3, np.mean(means), stats.sem(means)))


def pick(rows, **wanted):
    return [r for r in rows if all(getattr(r, k) == v for k, v in wanted.items())]


@pytest.mark.parametrize(("frames", "chosen"), [("all", 0), ("audio", 1)])
def test_means_over_clips_and_paired_differences(frames, chosen):
    shelf = make_shelf(MODELS, CLIPS)
    rows = list(contributions.compute(shelf, AnalysisRequest(MODELS, CLIPS, "frozen", frames=frames)).rows())
    for statistic in ("relative", "cosine"):
        for i, component in enumerate(("attention", "mlp", "sum")):
            per_model = []
            for model in MODELS:
                records = [shelf.records[model.name, c.clip_id] for c in CLIPS]
                per_model.append(np.array([getattr(r, statistic)[chosen, i] for r in records]))
                found = pick(rows, model=model.name, versus=None, component=component, statistic=statistic)
                assert [r.layer for r in found] == list(range(5))
                for r in found:
                    assert (r.value, r.ci_low, r.ci_high) == pytest.approx(by_speaker(per_model[-1][:, r.layer]))
                    assert r.n == 7
            for r in pick(rows, model="lora", versus="frozen", component=component, statistic=statistic):
                delta = (per_model[1] - per_model[0])[:, r.layer]
                assert (r.value, r.ci_low, r.ci_high) == pytest.approx(by_speaker(delta))
    assert len(pick(rows, versus="frozen", statistic="relative")) == 15
    norms = pick(rows, model="lora", versus=None, statistic="residual_norm")
    assert [r.layer for r in norms] == list(range(6))
    expected = np.mean([shelf.records["lora", c.clip_id].residual_norm[chosen] for c in CLIPS], axis=0)
    np.testing.assert_allclose([r.value for r in norms], expected)
    assert {r.component for r in norms} == {None}


@pytest.mark.parametrize("frames", ["all", "audio"])
def test_padding_is_all_frames_minus_those_that_hold_audio(frames):
    """Paired clip by clip, for each model, whichever frames the other rows are over."""
    shelf = make_shelf(MODELS, CLIPS)
    rows = list(contributions.compute(shelf, AnalysisRequest(MODELS, CLIPS, "frozen", frames=frames)).rows())
    for model in MODELS:
        records = [shelf.records[model.name, c.clip_id] for c in CLIPS]
        for statistic in ("relative", "cosine"):
            for i, component in enumerate(("attention", "mlp", "sum")):
                found = pick(rows, model=model.name, component=component, statistic=f"padding_{statistic}")
                assert [(r.layer, r.versus) for r in found] == [(layer, None) for layer in range(5)]
                for r in found:
                    both = [getattr(record, statistic)[:, i, r.layer] for record in records]
                    expected = by_speaker([every - audio for every, audio in both])
                    assert (r.value, r.ci_low, r.ci_high) == pytest.approx(expected) and r.n == 7


def test_the_strongest_layer_by_hand():
    """Of the sum, on the chosen frames; of a difference where it is largest whatever its sign."""
    shelf = make_shelf(MODELS, CLIPS)
    sums = {"frozen": [0.1, 0.2, 0.9, 0.3, 0.1], "lora": [0.1, 0.9, 0.3, 0.4, 0.1]}
    for (model, clip_id), record in shelf.records.items():
        relative = record.relative.copy()
        relative[0, 2] = sums[model]
        shelf.records[model, clip_id] = replace(record, relative=relative)
    result = contributions.compute(shelf, AnalysisRequest(MODELS, CLIPS, "frozen"))
    found = pick(result.rows(), component="landmark")
    assert [(r.model, r.versus, r.statistic, r.value) for r in found] == [
        ("frozen", None, "strongest", 2),
        ("lora", None, "strongest", 1),
        ("lora", "frozen", "strongest", 1),
    ]
    assert {(r.layer, r.ci_low, r.ci_high, r.n) for r in found} == {(None, None, None, 7)}


def test_no_layer_is_strongest_where_nothing_differs():
    """The largest of zeros would be layer 0, and that of rounding any."""
    shelf = make_shelf(MODELS, CLIPS)
    for clip in CLIPS:
        record = shelf.records["frozen", clip.clip_id]
        near = record.relative * (1 + 1e-6 * np.random.default_rng(0).normal(size=record.relative.shape))
        shelf.records["lora", clip.clip_id] = replace(record, relative=near)
    result = contributions.compute(shelf, AnalysisRequest(MODELS, CLIPS, "frozen"))
    (row,) = pick(result.rows(), versus="frozen", statistic="strongest")
    assert row.value is None
    assert [note.about for note in result.notes] == ["lora - frozen strongest"]


def test_the_order_of_clips_does_not_matter():
    shelf = make_shelf(MODELS, CLIPS)
    one = contributions.compute(shelf, AnalysisRequest(MODELS, CLIPS, "frozen"))
    two = contributions.compute(shelf, AnalysisRequest(MODELS, CLIPS[::-1], "frozen"))
    for a, b in zip(one.rows(), two.rows(), strict=True):
        assert (a.value, a.ci_low, a.ci_high) == pytest.approx((b.value, b.ci_low, b.ci_high))


def test_differences_are_over_the_clips_that_both_have():
    shelf = make_shelf(MODELS, CLIPS)
    del shelf.records["frozen", CLIPS[0].clip_id], shelf.records["lora", CLIPS[1].clip_id]
    result = contributions.compute(shelf, AnalysisRequest(MODELS, CLIPS, "frozen"))
    assert [len(one.clips) for one in result.models] == [6, 6]
    (delta,) = result.differences
    records = [[shelf.records[m.name, c.clip_id].relative[0] for c in CLIPS[2:]] for m in MODELS]
    np.testing.assert_allclose(delta.mean.relative.value, np.mean(records[1], axis=0) - np.mean(records[0], axis=0))
    assert delta.mean.relative.n == 5
    assert len(result.notes) == 2


def test_no_clip_in_common_means_no_difference():
    shelf = make_shelf(MODELS, CLIPS[:2])
    del shelf.records["frozen", CLIPS[0].clip_id], shelf.records["lora", CLIPS[1].clip_id]
    result = contributions.compute(shelf, AnalysisRequest(MODELS, CLIPS[:2], "frozen"))
    assert result.differences == ()
    assert any(note.about == "lora - frozen" for note in result.notes)
    assert {r.ci_low for r in result.rows()} == {None}  # one clip each


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (make_model("other", layers=3), "different depth"),
        (make_model("other", labels=("anger", "neutral", "fear")), "fear, sadness"),
    ],
)
def test_models_that_cannot_be_subtracted(other, reason):
    models = (MODELS[0], other)
    result = contributions.compute(make_shelf(models, CLIPS), AnalysisRequest(models, CLIPS, "frozen"))
    assert result.differences == ()
    assert len(result.models) == 2
    assert any(note.about == "other - frozen" and reason in note.reason for note in result.notes)


def test_the_same_classes_in_another_order_and_spelling_can_be_subtracted():
    models = (MODELS[0], make_model("other", labels=("sad", "Angry", "neu")))
    result = contributions.compute(make_shelf(models, CLIPS), AnalysisRequest(models, CLIPS, "frozen"))
    assert len(result.differences) == 1


def test_speakers_unknown_or_single_are_said():
    clips = tuple(replace(c, speaker=None) for c in CLIPS)
    result = contributions.compute(make_shelf(MODELS, clips), AnalysisRequest(MODELS, clips, "frozen"))
    assert [note.about for note in result.notes] == ["intervals"]


@pytest.mark.parametrize("component", [0, 2])
def test_nan_is_empty_with_a_reason_and_nothing_else_changes(component):
    shelf = make_shelf(MODELS, CLIPS)
    key = ("lora", CLIPS[2].clip_id)
    relative = shelf.records[key].relative.copy()
    relative[:, component, 3] = np.nan
    whole = list(contributions.compute(shelf, AnalysisRequest(MODELS, CLIPS, "frozen")).rows())
    broken = Shelf(shelf.records | {key: replace(shelf.records[key], relative=relative)})
    result = contributions.compute(broken, AnalysisRequest(MODELS, CLIPS, "frozen"))
    changed = [(a, b) for a, b in zip(whole, result.rows(), strict=True) if a != b]
    name = ("attention", "mlp", "sum")[component]
    own, padding = (("lora", 3, name, statistic, None, None) for statistic in ("relative", "padding_relative"))
    landmark = [("lora", None, "landmark", "strongest", None, None)] * (name == "sum")
    assert [(b.model, b.layer, b.component, b.statistic, b.value, b.ci_low) for _, b in changed] == [
        *(own, padding, *landmark, own, *landmark),
    ]
    assert any("clip 2" in note.reason for note in result.notes)
    assert {"lora strongest", "lora - frozen strongest"} <= {note.about for note in result.notes} or not landmark
