"""CKA against textbook HSIC of the stacked features, in every variant."""

from dataclasses import replace

import numpy as np
import pytest

from core.analyses import cka, spectra
from core.analyses.request import DEFAULT_FRAMES, AnalysisRequest
from core.engine.interface import Pass, SetPass
from tests.analyses.adapters import MODULES, make_adapter, make_adapters
from tests.analyses.fabricate import make_clips, make_model
from tests.analyses.textbook import biased, close, pick, unbiased
from tests.analyses.textbook import cka as textbook

CLIPS = make_clips(["anger", "neutral", "sadness", "anger", "neutral", "sadness", "anger"], [*"aabbbcc"])
NAMES = [module.name for module in MODULES]
VARIANTS = ("published", "released", "corrected")


def features(shelf, model, module, component, gradient, variant, frames, clips=CLIPS):
    rows = []
    for clip in clips:
        key = model, clip.clip_id
        if gradient:
            whole = shelf.g_b[key][module] if component == "B" else shelf.g_a(*key)[module]
        else:
            x = shelf.x[key][module]
            whole = x if component == "A" else x @ shelf.b[model][module].T
        audio = shelf.records[key].audio_frames if frames == "audio" else None
        rows.append(whole[:audio].mean(axis=0) if variant == "corrected" else whole.ravel())
    if len(clips) == 1:
        return whole[: shelf.records[key].audio_frames]
    return np.stack(rows)


@pytest.fixture
def models(tmp_path):
    return make_model(), make_adapter(tmp_path)


def requested(models, variant, clips=CLIPS, **more):
    return AnalysisRequest(models, clips, "frozen", variant=variant, frames=DEFAULT_FRAMES[variant], **more)


@pytest.mark.parametrize("gradient", [False, True])
@pytest.mark.parametrize("kernel", ["linear", "rbf"])
@pytest.mark.parametrize("variant", ["published", "corrected"])
def test_a_against_b(models, variant, kernel, gradient):
    request = requested(models, variant)
    shelf = make_adapters(request)
    rows = list(cka.compute(shelf, request).rows())
    statistic = ("grad_" if gradient else "") + ("cka" if kernel == "linear" else "cka_rbf")
    for model in ("lora", "lora (untrained)"):
        for module in NAMES:
            a, b = (features(shelf, model, module, c, gradient, variant, request.frames) for c in "AB")
            (row,) = pick(rows, model=model, module=module, statistic=statistic)
            assert (row.component, row.versus, row.n) == ("A-B", None, 7)
            assert close(row.value, textbook(a, b, kernel, variant))


def test_corrected_over_all_frames_averages_over_all(models):
    request = replace(requested(models, "corrected"), frames="all")
    shelf = make_adapters(request)
    rows = list(cka.compute(shelf, request).rows())
    for gradient, statistic in ((False, "cka"), (True, "grad_cka")):
        a, b = (features(shelf, "lora", "1.fc1", c, gradient, "corrected", "all") for c in "AB")
        (row,) = pick(rows, model="lora", module="1.fc1", statistic=statistic)
        assert close(row.value, textbook(a, b, "linear", "corrected"))


def test_released_is_the_notebooks_four_series(models):
    """Linear CKA of trained with random A, RBF of trained with random B, RBF of B's with A's gradients twice."""
    request = requested(models, "released")
    shelf = make_adapters(request)
    rows = [row for row in cka.compute(shelf, request).rows() if not row.statistic.startswith("cka_layers")]
    plain = [row for row in rows if not row.statistic.endswith("_null")]
    kinds = {(row.model, row.versus, row.component, row.statistic) for row in plain}
    other = "lora (untrained)"
    assert kinds == {
        ("lora", other, "A-A", "cka"),
        ("lora", other, "B-B", "cka"),
        ("lora", None, "A-B", "grad_cka"),
        (other, None, "A-B", "grad_cka"),
    }
    for row in plain:
        sides, kernel = (
            {
                "A-A": (("lora", "A"), (other, "A"), "linear"),
                "B-B": (("lora", "B"), (other, "B"), "rbf"),
                "A-B": ((row.model, "A"), (row.model, "B"), "rbf"),
            }[row.component][:2],
            "linear" if row.component == "A-A" else "rbf",
        )
        gradient = row.statistic == "grad_cka"
        x, y = (features(shelf, *side[:1], row.module, side[1], gradient, "released", "all") for side in sides)
        assert close(row.value, textbook(x, y, kernel, "released"))


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_seed_of_the_untrained_counterpart_is_a_model_of_its_own(models, variant):
    """The notebook's series stay those of the first: trained A is compared with its A alone, and B with its B."""
    request = requested(models, variant, untrained_seeds=3)
    shelf = make_adapters(request)
    single = list(cka.compute(shelf, replace(request, untrained_seeds=1)).rows())
    rows = list(cka.compute(shelf, request).rows())
    others = ["lora (untrained, seed 1)", "lora (untrained, seed 2)"]
    assert [row for row in rows if row.model not in others] == single
    first = [(row.module, row.statistic) for row in pick(rows, model="lora (untrained)")]
    assert first and not set(others) & {row.versus for row in rows}
    kernel = "rbf" if variant == "released" else "linear"
    for name in others:
        assert [(row.module, row.statistic) for row in pick(rows, model=name)] == first
        a, b = (features(shelf, name, "1.fc1", c, True, variant, request.frames) for c in "AB")
        (row,) = pick(rows, model=name, module="1.fc1", statistic="grad_cka")
        assert close(row.value, textbook(a, b, kernel, variant))
    assert {*others, "lora (untrained)", "lora"} == {t.model.name for t in cka.needs(request) if isinstance(t, SetPass)}


@pytest.mark.parametrize("variant", VARIANTS)
def test_points_against_points(models, variant):
    """Every pair of models once, in the request's order, and each with itself; the deeper model's points are rows."""
    models = (*models, replace(make_model("other", layers=3), fingerprint="third"))
    request = requested(models, variant)
    shelf = make_adapters(request)
    rows = [row for row in cka.compute(shelf, request).rows() if row.statistic.startswith("cka_layers")]
    pairs = [("frozen", "frozen"), ("frozen", "lora"), ("frozen", "other"), ("lora", "lora"), ("lora", "other")]
    pairs.append(("other", "other"))
    assert list(dict.fromkeys((row.model, row.versus) for row in rows)) == pairs
    chosen = 1 if variant == "corrected" else 0

    def means(model, point):
        return np.stack([shelf.records[model, clip.clip_id].mean_raw[chosen, point] for clip in CLIPS]).astype(float)

    other, hsic = ("biased", biased) if variant == "corrected" else ("unbiased", unbiased)
    series = {"cka_layers": ("linear", None), f"cka_layers_{other}": ("linear", hsic), "cka_layers_rbf": ("rbf", None)}
    assert {row.statistic for row in rows} == {name + null for name in series for null in ("", "_null")}
    for statistic, (kernel, estimator) in series.items():
        table = pick(rows, model="lora", versus="other", statistic=statistic)
        assert {(row.layer, row.module) for row in table} == {(p, str(q)) for p in range(6) for q in range(4)}
        for row in table:
            x, y = means("lora", row.layer), means("other", int(row.module))
            assert close(row.value, textbook(x, y, kernel, variant, estimator))
    for row in pick(rows, model="lora", versus="lora", statistic="cka_layers"):
        if row.layer == int(row.module):
            assert row.value == pytest.approx(1)


@pytest.mark.parametrize("variant", VARIANTS)
def test_one_clip_alone_has_its_audio_frames_as_rows(models, variant):
    clips = make_clips(["anger"], ["a"])
    request = requested(models, variant, clips)
    shelf = make_adapters(request)
    audio = shelf.records["lora", clips[0].clip_id].audio_frames
    result = cka.compute(shelf, request)
    rows = list(result.rows())
    assert {row.n for row in rows} == {audio} and audio > 4
    assert {row.ci_low for row in rows} == {None} and not [r for r in rows if r.statistic.endswith("_null")]
    assert any("frames of one clip" in note.reason for note in result.notes)
    for row in pick(rows, model="frozen", versus="lora", statistic="cka_layers"):
        places = (("frozen", row.layer), ("lora", int(row.module)))
        x, y = (shelf.states(request.models[m == "lora"], clips[0]).at(p) for m, p in places)  # as kept, in float16
        assert close(row.value, textbook(x, y, "linear", variant))
    gradients = pick(rows, model="lora", statistic="grad_cka")
    assert [row.module for row in gradients] == NAMES
    for row in gradients if variant != "released" else ():
        x, y = (features(shelf, "lora", row.module, c, True, variant, "audio", clips) for c in "AB")
        assert close(row.value, textbook(x, y, "linear", variant))
    for row in pick(rows, model="lora", statistic="cka", component="A-B"):
        x, y = (features(shelf, "lora", row.module, c, False, variant, "audio", clips) for c in "AB")
        assert close(row.value, textbook(x, y, "linear", variant))


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("analysis", [cka, spectra])
def test_no_number_has_two_rows(models, analysis, variant):
    """Over repeated clips too, which count once."""
    request = requested(models, variant, (*CLIPS, CLIPS[0]))
    result = analysis.compute(make_adapters(request), request)
    rows = list(result.rows())
    identity = [(r.model, r.versus, r.layer, r.module, r.component, r.statistic, r.clip_id) for r in rows]
    assert len(set(identity)) == len(rows) > 100
    assert {row.variant for row in rows} == {variant} and {row.n for row in rows} <= {None, 7}
    assert any("same audio" in note.reason for note in result.notes)


def test_the_null_band_stands_beside_every_value(models):
    request = requested(models, "corrected")
    rows = list(cka.compute(make_adapters(request), request).rows())
    for row in rows:
        if not row.statistic.endswith("_null"):
            place = {"model": row.model, "versus": row.versus, "layer": row.layer, "module": row.module}
            (null,) = pick(rows, statistic=f"{row.statistic}_null", **place)
            assert null.ci_low < null.value < null.ci_high and null.n == row.n
            if "_biased" not in row.statistic:
                assert abs(null.value) < 0.15  # nothing there, and the estimator is unbiased
    again = list(cka.compute(make_adapters(request), request).rows())
    assert rows == again  # seeded


def test_intervals_leave_out_a_speaker_at_a_time(models):
    request = requested(models, "published")
    shelf = make_adapters(request)
    rows = list(cka.compute(shelf, request).rows())
    replicates = []
    for speaker in "abc":
        kept = [clip for clip in CLIPS if clip.speaker != speaker]
        a, b = (features(shelf, "lora", "0.v_proj", c, False, "published", "all", kept) for c in "AB")
        replicates.append(textbook(a, b, "linear", "published"))
    half = 4.302652729911275 * np.sqrt(2 / 3 * ((replicates - np.mean(replicates)) ** 2).sum())  # t of 2 degrees
    (row,) = pick(rows, model="lora", module="0.v_proj", statistic="cka", component="A-B")
    assert row.ci_high - row.value == pytest.approx(half, rel=1e-2)


@pytest.mark.parametrize("variant, needed", [("published", 3), ("corrected", 4)])
def test_too_few_clips_are_undefined_with_the_reason(models, variant, needed):
    request = requested(models, variant, CLIPS[: needed - 1])
    result = cka.compute(make_adapters(request), request)
    rows = list(result.rows())
    own = [row for row in rows if "biased" not in row.statistic]
    assert {row.value for row in own} == {None}
    assert any(f"needs at least {needed}" in note.reason for note in result.notes)
    other = [row for row in rows if "biased" in row.statistic and not row.statistic.endswith("_null")]
    assert {row.value is None for row in other} == {variant == "published"}  # three clips are enough for the biased one


def test_what_only_the_unbiased_estimator_lacks_is_said(models):
    """Three clips: published CKA is there, the other estimator's is not, and the note names which."""
    request = requested(models, "published", CLIPS[:3])
    result = cka.compute(make_adapters(request), request)
    rows = list(result.rows())
    assert {row.value is None for row in pick(rows, statistic="cka_layers")} == {False}
    assert {row.value for row in pick(rows, statistic="cka_layers_unbiased")} == {None}
    reasons = {note.about: note.reason for note in result.notes}
    assert "needs at least 4" in reasons["frozen and lora layers (linear, unbiased)"]
    assert "frozen layers (linear, biased)" not in reasons


def test_what_does_not_vary_is_undefined_with_the_reason(models):
    request = requested(models, "published")
    shelf = make_adapters(request)
    shelf.b["lora"] = {m: b * (m != "1.fc1") for m, b in shelf.b["lora"].items()}  # B = 0, as PEFT starts it
    result = cka.compute(shelf, request)
    rows = list(result.rows())
    assert [row.value for row in pick(rows, model="lora", statistic="cka", module="1.fc1")] == [None]
    assert pick(rows, model="lora", statistic="cka", module="0.v_proj")[0].value > 0
    reasons = {note.about: note.reason for note in result.notes}
    assert "do not vary" in reasons["lora A-B (linear)"] and "do not vary" in reasons["lora grad A-B (linear)"]


def test_the_order_of_clips_does_not_matter(models):
    request = requested(models, "published")
    shelf = make_adapters(request)
    one, two = (cka.compute(shelf, replace(request, clips=clips)).rows() for clips in (CLIPS, CLIPS[::-1]))
    for a, b in zip(one, two, strict=True):
        assert (a.value, a.ci_low, a.ci_high) == pytest.approx((b.value, b.ci_low, b.ci_high), abs=1e-9)


def test_clips_that_failed_are_left_out(models):
    request = requested(models, "released")
    shelf = make_adapters(request)
    shelf.broken.add(("lora", CLIPS[1].clip_id))
    result = cka.compute(shelf, request)
    rows = list(result.rows())
    rest = CLIPS[:1] + CLIPS[2:]
    x, y = (features(shelf, m, "0.v_proj", "A", False, "released", "all", rest) for m in ("lora", "lora (untrained)"))
    (row,) = pick(rows, component="A-A", statistic="cka", module="0.v_proj")
    assert row.n == 6 and close(row.value, textbook(x, y, "linear", "released"))
    x, y = (features(shelf, "lora", "0.v_proj", c, True, "released", "all", rest) for c in "AB")
    (row,) = pick(rows, model="lora", statistic="grad_cka", module="0.v_proj")
    assert row.n == 6 and close(row.value, textbook(x, y, "rbf", "released"))
    assert pick(rows, model="frozen", versus="lora", statistic="cka_layers")[0].n == 6
    assert pick(rows, model="frozen", versus="frozen", statistic="cka_layers")[0].n == 7
    assert any(note.about == "lora" and "1 of 7" in note.reason for note in result.notes)


def test_what_is_needed(models):
    request = requested(models, "published")
    tasks = cka.needs(request)
    assert [task.kernels for task in tasks if isinstance(task, SetPass)] == [True, True]
    assert [t.kernels for t in cka.needs(requested(models, "corrected")) if isinstance(t, SetPass)] == [False, False]
    passes = [task for task in tasks if isinstance(task, Pass)]
    assert sum(task.lora for task in passes) == 2 * len(CLIPS) and not any(task.states for task in passes)
    alone = cka.needs(requested(models, "published", CLIPS[:1]))
    assert {task.model.name for task in alone if isinstance(task, Pass) and task.states} == {"frozen", "lora"}
