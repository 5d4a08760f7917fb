"""The lens against scipy and scikit-learn, its landmarks by hand, and what labels and class names do to it."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import balanced_accuracy_score

from core.analyses import lens
from core.analyses.request import AnalysisRequest
from tests.analyses.fabricate import LABELS, Shelf, make_clips, make_model, make_record, make_shelf, with_logits

SPEAKERS = [f"s{i % 4}" for i in range(16)]
WORDS = ["angry", "neutral", "sad", "sadness"] * 4
CLIPS = make_clips([WORDS[(i + i // 4) % 4] for i in range(16)], SPEAKERS)
MODELS = (make_model(), make_model("lora", labels=("sadness", "anger", "neutral")))
VARIANTS = ("published", "released", "corrected")


def pick(rows, **wanted):
    return [r for r in rows if all(getattr(r, k) == v for k, v in wanted.items())]


def run(shelf, models=MODELS, clips=CLIPS, **options):
    return lens.compute(shelf, AnalysisRequest(models, clips, "frozen", **options))


def probabilities(record, variant, frames):
    """Softmax of frame-averaged logits, written out."""
    logits = record.lens_normed if variant == "corrected" else record.lens_raw
    until = record.audio_frames if frames == "audio" else logits.shape[1]
    mean = sum(logits[:, t].astype(float) for t in range(until)) / until
    return np.exp(mean) / np.exp(mean).sum(axis=1, keepdims=True)


@pytest.mark.parametrize("frames", ["all", "audio"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_curves_against_scipy_and_sklearn(variant, frames):
    shelf = make_shelf(MODELS, CLIPS)
    result = run(shelf, variant=variant, frames=frames)
    for model, one in zip(MODELS, result.models, strict=True):
        records = [shelf.records[model.name, c.clip_id] for c in CLIPS]
        truth = np.array([{"a": "anger", "n": "neutral", "s": "sadness"}[c.label[0]] for c in CLIPS])
        for point in range(6):
            at = [probabilities(r, variant, frames)[point] for r in records]
            own = [np.exp(r.logits) / np.exp(r.logits).sum() for r in records]
            pairs = [(q, p) if variant == "released" else (p, q) for p, q in zip(at, own, strict=True)]
            kl = [stats.entropy(*pair) for pair in pairs]
            said = np.array([model.labels[p.argmax()] for p in at])
            finally_said = np.array([model.labels[p.argmax()] for p in own])
            curves = one.curves
            assert curves.kl.value[point] == pytest.approx(np.mean(kl))
            means = [np.mean(np.array(kl)[np.array(SPEAKERS) == s]) for s in sorted(set(SPEAKERS))]
            half = stats.t.ppf(0.975, 3) * stats.sem(means)
            assert (curves.kl.low[point], curves.kl.high[point]) == pytest.approx(
                (np.mean(means) - half, np.mean(means) + half)
            )
            assert curves.overlap.value[point] == pytest.approx(np.mean(said == finally_said))
            assert curves.accuracy.value[point] == pytest.approx(np.mean(said == truth))
            assert curves.uar.value[point] == pytest.approx(balanced_accuracy_score(truth, said))
            of_label = [p[model.labels.index(word)] for p, word in zip(at, truth, strict=True)]
            assert curves.label_prob.value[point] == pytest.approx(np.mean(of_label))
            np.testing.assert_allclose(one.mean_prob.value[:, point], np.mean(at, axis=0))
        assert (one.curves.uar.low <= one.curves.uar.value).all()


def test_uar_interval_is_the_delete_one_speaker_jackknife():
    shelf = make_shelf(MODELS[:1], CLIPS)
    one = run(shelf, MODELS[:1]).models[0]
    said = one.by_clip.probabilities.argmax(axis=2)
    replicates = []
    for out in sorted(set(SPEAKERS)):
        kept = np.array(SPEAKERS) != out
        scores = [balanced_accuracy_score(one.by_clip.truth[kept], said[kept, p]) for p in range(6)]
        replicates.append(scores)
    half = stats.t.ppf(0.975, 3) * np.sqrt(3 / 4 * 4 * np.var(replicates, axis=0))
    np.testing.assert_allclose(one.curves.uar.high - one.curves.uar.value, half)


def test_corrected_over_all_frames_ends_in_the_models_own_prediction():
    one = run(make_shelf(MODELS, CLIPS), variant="corrected", frames="all").models[0]
    np.testing.assert_allclose(one.by_clip.probabilities[:, -1], one.by_clip.final, rtol=1e-12)
    np.testing.assert_allclose(one.by_clip.kl[:, -1], 0, atol=1e-12)
    assert (one.curves.overlap.value[-1], one.curves.overlap.low[-1]) == (1, 1)
    assert np.isfinite(one.by_clip.saturation).all()


def test_extreme_logits_have_a_finite_kl():
    model = make_model()
    record = with_logits(make_record(model, np.random.default_rng(0)), [[0, 800.0, -800.0]] * 5 + [[900.0, 0, -900]])
    for variant, expected in (("published", 900.0), ("corrected", 900.0), ("released", 800.0)):
        kl = lens.kl_curve(record, variant, "all")  # all mass on one class: the other one's log-probability
        np.testing.assert_allclose(kl, [expected] * 5 + [0.0])


def test_single_record_helpers_agree_with_the_corpus_and_frames_are_not_averaged_first():
    model = make_model(labels=LABELS)
    record = make_record(model, np.random.default_rng(1))
    per_frame = lens.frame_probabilities(record, "published")
    assert per_frame.shape == record.lens_raw.shape
    np.testing.assert_allclose(per_frame.sum(axis=2), 1)
    np.testing.assert_allclose(per_frame[2, 5], np.exp(record.lens_raw[2, 5]) / np.exp(record.lens_raw[2, 5]).sum())
    shelf = Shelf({("frozen", CLIPS[0].clip_id): record})
    one = run(shelf, (model,), CLIPS[:1], variant="released", frames="audio").models[0]
    np.testing.assert_array_equal(one.by_clip.probabilities[0], lens.trajectory(record, "released", "audio"))
    np.testing.assert_array_equal(one.by_clip.kl[0], lens.kl_curve(record, "released", "audio"))
    np.testing.assert_array_equal(one.by_clip.final[0], lens.own_prediction(record))
    assert one.curves.kl.at(0).low is None


def test_permuting_a_models_classes_changes_no_number_but_their_order():
    base = make_model()
    shelf = make_shelf([base], CLIPS)
    order = [2, 0, 1]
    other = make_model("other", labels=tuple(LABELS[i] for i in order))
    for clip in CLIPS:
        record = shelf.records["frozen", clip.clip_id]
        shelf.records["other", clip.clip_id] = replace(
            record,
            lens_raw=record.lens_raw[:, :, order],
            lens_normed=record.lens_normed[:, :, order],
            logits=record.logits[order],
        )
    result = run(shelf, (base, other))
    rows = list(result.rows())

    def keyed(name):
        return {(r.layer, r.component, r.statistic, r.clip_id): r.value for r in pick(rows, model=name, versus=None)}

    mine, theirs = keyed("frozen"), keyed("other")
    assert mine.keys() == theirs.keys()
    for key, value in mine.items():
        assert theirs[key] == (None if value is None else pytest.approx(value, abs=1e-12))
    for row in pick(rows, versus="frozen"):
        assert (row.value, row.ci_low, row.ci_high) == pytest.approx((0, 0, 0), abs=1e-12)


def test_differences_are_paired_over_shared_clips():
    shelf = make_shelf(MODELS, CLIPS)
    del shelf.records["frozen", CLIPS[3].clip_id], shelf.records["lora", CLIPS[9].clip_id]
    result = run(shelf)
    (delta,) = result.differences
    shared = [c for i, c in enumerate(CLIPS) if i not in (3, 9)]
    both = Shelf({k: v for k, v in shelf.records.items() if k[1] in {c.clip_id for c in shared}})
    frozen, lora = run(both, clips=tuple(shared)).models
    for name in ("kl", "overlap", "accuracy", "uar", "label_prob"):
        theirs, mine = getattr(frozen.curves, name), getattr(lora.curves, name)
        np.testing.assert_allclose(getattr(delta.curves, name).value, mine.value - theirs.value, atol=1e-12)
    assert delta.curves.kl.n == 14
    statistics = {r.statistic for r in result.rows() if r.versus == "frozen"}
    assert statistics == {"kl", "overlap", "accuracy", "uar", "label_prob"}


def test_a_difference_of_the_labels_probability_is_paired_over_clips_and_speakers():
    """Two models that differ by one number at every clip differ by it for certain, however clips vary."""
    shelf = make_shelf(MODELS[:1], CLIPS)
    other = make_model("other")
    for clip in CLIPS:
        record = shelf.records["frozen", clip.clip_id]
        shelf.records["other", clip.clip_id] = replace(record, lens_raw=np.zeros_like(record.lens_raw))
    rows = list(run(shelf, (MODELS[0], other)).rows())
    for r in pick(rows, versus="frozen", statistic="label_prob"):
        (own,) = pick(rows, model="frozen", versus=None, statistic="label_prob", layer=r.layer)
        bounds = (1 / 3 - own.ci_high, 1 / 3 - own.ci_low)
        assert (r.value, r.ci_low, r.ci_high) == pytest.approx((1 / 3 - own.value, *bounds))


def test_different_classes_or_depth_have_no_difference_rows():
    others = (make_model("deep", layers=7), make_model("four", labels=(*LABELS, "happiness")))
    models = (MODELS[0], *others)
    result = run(make_shelf(models, CLIPS), models)
    assert result.differences == ()
    assert {n.about for n in result.notes} >= {"deep - frozen", "four - frozen"}
    assert any(n.about == "four uar" and "happiness" in n.reason for n in result.notes)


def test_order_of_clips_does_not_matter():
    shelf = make_shelf(MODELS, CLIPS)
    one = [r for r in run(shelf).rows() if r.clip_id is None]
    two = [r for r in run(shelf, clips=CLIPS[::-1]).rows() if r.clip_id is None]
    for a, b in zip(one, two, strict=True):
        assert a.statistic == b.statistic
        assert (a.value, a.ci_low, a.ci_high) == pytest.approx((b.value, b.ci_low, b.ci_high), abs=1e-9)


def test_rows_of_the_contract():
    result = run(make_shelf(MODELS, CLIPS))
    rows = pick(result.rows(), model="lora", versus=None)
    for label in MODELS[1].labels:
        found = pick(rows, statistic="mean_prob", component=label)
        assert [(r.layer, r.clip_id, r.n) for r in found] == [(point, None, 16) for point in range(6)]
        assert all(r.ci_low < r.value < r.ci_high for r in found)
    for statistic in ("kl", "overlap", "accuracy", "uar", "label_prob"):
        found = pick(rows, statistic=statistic, component=None, clip_id=None)
        assert [r.layer for r in found] == list(range(6))
        assert {r.n for r in found} == {16}
        assert all(r.ci_low is not None for r in found)
    for clip in CLIPS:
        prob = pick(rows, statistic="prob", clip_id=clip.clip_id)
        assert [(r.layer, r.component) for r in prob] == [(p, c) for p in range(6) for c in MODELS[1].labels]
        assert len(pick(rows, statistic="kl_clip", clip_id=clip.clip_id)) == 6
        assert len(pick(rows, component="landmark", clip_id=clip.clip_id)) == 2
    over_clips = pick(rows, component="landmark", clip_id=None)
    assert {r.statistic for r in over_clips} >= {"saturation", "critical", "kl_min", "commitment", "cka_jump"}


def hand_made():
    """Four points, two classes, three clips whose lens settles at points 2, 1 and never."""
    model = make_model("frozen", layers=3, labels=("anger", "neutral"))
    a, n = [3.0, 0.0], [0.0, 3.0]
    logits = [[a, n, a, a], [a, n, n, n], [a, a, a, n]]
    clips = make_clips(["ang", "neu", "ang"], ["x", "y", "z"])
    rng = np.random.default_rng(0)
    records = [with_logits(make_record(model, rng), one) for one in logits]
    records[2] = replace(records[2], logits=np.array([3.0, 0.0]))  # the last point disagrees with the model
    return model, clips, Shelf({("frozen", c.clip_id): r for c, r in zip(clips, records, strict=True)})


def test_landmarks_by_hand():
    model, clips, shelf = hand_made()
    result = run(shelf, (model,), clips)
    one = result.models[0]
    np.testing.assert_array_equal(one.by_clip.saturation, [2, 1, np.nan])
    sure = 1 / (1 + np.exp(-3))  # of the label where it is on top; elsewhere it is under 1/2
    assert sure > 0.5
    np.testing.assert_allclose(one.by_clip.critical, [(0 + 2 + 3) / 3, 2, 1])
    np.testing.assert_allclose(one.curves.accuracy.value, [2 / 3, 2 / 3, 1, 2 / 3])
    assert one.landmarks["saturation"].value == 1.5
    assert one.landmarks["saturation"].n == 2
    assert one.landmarks["critical"].value == pytest.approx((2 / 3 + 2 * 1 + 3 * 2 / 3) / 3)
    assert one.landmarks["critical_mean"].value == pytest.approx(np.mean([5 / 3, 2, 1]))
    assert one.landmarks["kl_min"].value == 2  # there all three agree with the model
    assert one.landmarks["kl_rebound"].value == pytest.approx(one.curves.kl.value[3])
    assert one.landmarks["commitment"] is None
    notes = {note.about: note.reason for note in result.notes}
    assert "1 of 3" in notes["frozen saturation by clip"]
    assert "10 %" in notes["frozen commitment"]
    rows = pick(result.rows(), component="landmark")
    assert pick(rows, statistic="commitment")[0].value is None
    assert [r.value for r in pick(rows, statistic="saturation") if r.clip_id] == [2, 1, None]


@pytest.mark.parametrize(("variant", "enough"), [("published", 3), ("released", 3), ("corrected", 4)])
def test_cka_jump_over_clips(variant, enough):
    rng = np.random.default_rng(3)
    model = make_model()
    shelf = make_shelf([model], CLIPS)
    final = rng.normal(size=(16, 2, 48)).astype(np.float32)
    for i, clip in enumerate(CLIPS):
        record = shelf.records["frozen", clip.clip_id]
        mean_raw = record.mean_raw.copy()
        mean_raw[:, 3:] = final[i][:, None]  # from point 3 on nothing changes
        shelf.records["frozen", clip.clip_id] = replace(record, mean_raw=mean_raw)
    one = run(shelf, (model,), variant=variant, frames="audio").models[0]
    assert one.landmarks["cka_jump"].value == 3
    np.testing.assert_allclose(one.cka_to_last[3:], 1)
    assert np.isfinite(run(shelf, (model,), CLIPS[:enough], variant=variant).models[0].cka_to_last).all()
    few = run(shelf, (model,), CLIPS[: enough - 1], variant=variant)
    assert few.models[0].landmarks["cka_jump"] is None
    assert any(f"at least {enough} clips" in n.reason for n in few.notes if n.about == "frozen cka_jump")


def test_clips_without_labels_have_no_accuracy():
    clips = tuple(replace(c, label=None) for c in CLIPS)
    result = run(make_shelf(MODELS, clips), clips=clips)
    statistics = {r.statistic for r in result.rows()}
    assert not statistics & {"accuracy", "uar", "critical", "critical_mean", "label_prob"}
    assert {"mean_prob", "kl", "overlap", "saturation"} <= statistics
    assert {n.about for n in result.notes} >= {"frozen accuracy", "lora accuracy"}


def test_a_label_that_is_no_class_of_the_model_counts_as_unlabelled():
    clips = (replace(CLIPS[0], label="fear"), *CLIPS[1:])
    result = run(make_shelf(MODELS, clips), clips=clips)
    one = result.models[0]
    assert one.by_clip.truth[0] == -1
    assert (one.curves.accuracy.n, one.curves.label_prob.n, one.curves.kl.n, one.mean_prob.n) == (15, 15, 16, 16)
    assert any("fear" in n.reason and n.about == "frozen" for n in result.notes)
    assert not pick(result.rows(), statistic="critical", clip_id=clips[0].clip_id)


def test_a_class_with_one_speaker_leaves_uar_without_interval():
    clips = make_clips(["ang", "ang", "neu", "sad"], ["a", "b", "a", "b"])
    result = run(make_shelf(MODELS[:1], clips), MODELS[:1], clips)
    uar = result.models[0].curves.uar
    assert np.isfinite(uar.value).all()
    assert np.isnan(uar.low).all()
    assert any(n.about == "frozen uar" for n in result.notes)


def test_nan_logits_are_undefined_everywhere_never_agreement():
    shelf = make_shelf(MODELS[:1], CLIPS)
    key = ("frozen", CLIPS[5].clip_id)
    bad = np.full_like(shelf.records[key].lens_raw, np.nan)
    shelf.records[key] = replace(shelf.records[key], lens_raw=bad, logits=np.full(3, np.nan))
    result = run(shelf, MODELS[:1])
    one = result.models[0]
    curves = one.curves
    for band in (curves.kl, curves.overlap, curves.accuracy, curves.uar, curves.label_prob, one.mean_prob):
        assert np.isnan(band.value).all()
    assert one.landmarks["critical"] is None
    assert one.landmarks["kl_min"] is None
    assert np.isnan(one.by_clip.saturation[5])
    assert any("clip 5" in n.reason for n in result.notes)


def test_a_weighted_layer_sum_is_said():
    model = make_model(weighted_layer_sum=True)
    assert any("weighted sum" in n.reason for n in run(make_shelf([model], CLIPS), (model,)).notes)
