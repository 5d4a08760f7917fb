"""Spectra against a full singular value decomposition of everything stacked."""

from dataclasses import replace

import numpy as np
import pytest

from core.analyses import spectra
from core.analyses.request import AnalysisRequest
from core.engine.interface import ModelPass, Pass, SetPass
from core.models.info import LoraModule, Role
from core.models.untrained import untrained_of
from tests.analyses.adapters import MODULES, make_adapter, make_adapters
from tests.analyses.fabricate import make_clips, make_model
from tests.analyses.textbook import pick, value
from tests.analyses.textbook import spectrum as textbook

CLIPS = make_clips(["anger", "neutral", "sadness", "anger", "neutral", "sadness"], ["a", "a", "b", "b", "b", "c"])
NAMES = [module.name for module in MODULES]


@pytest.fixture
def models(tmp_path):
    return make_model(), make_adapter(tmp_path)


def stacked(shelf, model, module, component, gradient, frames, clips=CLIPS):
    parts = []
    for clip in clips:
        key = model, clip.clip_id
        kept = slice(shelf.records[key].audio_frames) if frames == "audio" else slice(None)
        b = shelf.b[model][module]
        if gradient:
            whole = shelf.g_b[key][module] if component == "B" else shelf.g_a(*key)[module]
        else:
            whole = shelf.x[key][module] if component == "A" else shelf.x[key][module] @ b.T
        parts.append(whole[kept])
    return np.concatenate(parts)


@pytest.mark.parametrize("frames", ["all", "audio"])
@pytest.mark.parametrize("gradient", [False, True])
@pytest.mark.parametrize("component", ["A", "B"])
def test_against_the_stacked_matrices(models, component, gradient, frames):
    request = AnalysisRequest(models, CLIPS, "frozen", frames=frames)
    shelf = make_adapters(request)
    rows = list(spectra.compute(shelf, request).rows())
    for model in ("lora", "lora (untrained)"):
        expected = [textbook(stacked(shelf, model, m, component, gradient, frames)) for m in NAMES]
        for name in expected[0]:
            if (component, gradient) == ("B", False) and name.startswith("energy:") and int(name[7:]) > 5:
                continue  # its rank is A's: the curve ends where it reaches 1
            wanted = {"model": model, "component": component, "versus": None}
            statistic = f"grad_{name}" if gradient else name
            if name in expected[1]:
                mean = np.mean([one[name] for one in expected])
                assert value(rows, module=None, statistic=statistic, **wanted) == pytest.approx(mean, rel=1e-3)
            for module, one in zip(NAMES, expected, strict=True):
                if name in one:
                    assert value(rows, module=module, statistic=statistic, **wanted) == pytest.approx(
                        one[name], rel=1e-3
                    )


def test_names_and_places_of_rows(models):
    request = AnalysisRequest(models, CLIPS, "frozen")
    rows = list(spectra.compute(make_adapters(request), request).rows())
    assert {row.model for row in rows} == {"lora", "lora (untrained)"}  # a model without LoRA has no rows
    assert {row.module for row in rows} == {"0.v_proj", "1.fc1", None}
    assert {(row.layer, row.module) for row in rows if row.module} == {(0, "0.v_proj"), (1, "1.fc1")}
    assert {row.component for row in rows} == {"A", "B", "dW", "W", "W+dW"}
    plain = {row.statistic.split(":")[0] for row in rows if row.component == "A"}
    assert plain == {
        *("sv90", "top10", "effective_rank", "stable_rank", "norm", "energy", "efficiency"),
        *("grad_sv90", "grad_top10", "grad_effective_rank", "grad_stable_rank", "grad_norm", "grad_energy"),
        "grad_efficiency",
    }


def test_intervals_leave_out_a_speaker_at_a_time(models):
    request = AnalysisRequest(models, CLIPS, "frozen")
    shelf = make_adapters(request)
    result = spectra.compute(shelf, request)
    rows = list(result.rows())
    replicates = []
    for speaker in "abc":
        kept = [clip for clip in CLIPS if clip.speaker != speaker]
        replicates.append(textbook(stacked(shelf, "lora", "1.fc1", "B", False, "all", kept))["effective_rank"])
    half = 4.302652729911275 * np.sqrt(2 / 3 * ((replicates - np.mean(replicates)) ** 2).sum())  # t of 2 degrees
    (row,) = pick(rows, model="lora", module="1.fc1", component="B", statistic="effective_rank")
    assert row.ci_high - row.value == pytest.approx(half) and row.value - row.ci_low == pytest.approx(half)
    assert row.n == 6
    backward = pick(rows, component="B", statistic="grad_sv90")
    assert {(r.ci_low, r.ci_high, r.n) for r in backward} == {(None, None, 6)}
    assert any(note.about == "gradients of B" for note in result.notes)


def test_efficiency_is_untrained_over_trained(models):
    request = AnalysisRequest(models, CLIPS, "frozen")
    shelf = make_adapters(request)
    for key in [key for key in shelf.x if key[0] == "lora"]:  # a trained adapter that uses one direction
        shelf.x[key] = {m: np.outer(x[:, 0], np.ones(x.shape[1])) for m, x in shelf.x[key].items()}
        grams = {m: np.stack([(x.T @ x)[np.triu_indices(len(x.T))]] * 2) for m, x in shelf.x[key].items()}
        shelf.records[key] = replace(shelf.records[key], gram_a=grams)
    rows = list(spectra.compute(shelf, request).rows())
    random = value(rows, model="lora (untrained)", module=None, component="A", statistic="sv90")
    assert value(rows, model="lora", module=None, component="A", statistic="sv90") == 1
    assert value(rows, model="lora", versus="lora (untrained)", statistic="efficiency", component="A") == random > 2


@pytest.mark.parametrize("variant", ["published", "released", "corrected"])
def test_every_seed_of_the_untrained_counterpart_is_a_model_of_its_own(models, variant):
    """With passes and rows of its own; efficiency stays that of the first."""
    request = AnalysisRequest(models, CLIPS, "frozen", variant=variant, untrained_seeds=3)
    shelf = make_adapters(request)
    single = list(spectra.compute(shelf, replace(request, untrained_seeds=1)).rows())
    rows = list(spectra.compute(shelf, request).rows())
    others = ["lora (untrained, seed 1)", "lora (untrained, seed 2)"]
    assert [row for row in rows if row.model not in others] == single
    first = [row.statistic for row in pick(rows, model="lora (untrained)")]
    for name in others:
        assert [row.statistic for row in pick(rows, model=name)] == first
        for component, gradient in (("A", False), ("B", True)):
            expected = textbook(stacked(shelf, name, "1.fc1", component, gradient, "all"))["effective_rank"]
            statistic = "grad_effective_rank" if gradient else "effective_rank"
            found = value(rows, model=name, module="1.fc1", component=component, statistic=statistic)
            assert found == pytest.approx(expected, rel=1e-3)
    assert {row.versus for row in rows} == {None, "lora (untrained)"}
    keep_head = variant == "corrected"
    counterparts = {untrained_of(models[1], keep_head=keep_head, seed=seed) for seed in range(3)}
    assert {task.model for task in spectra.needs(request)} == {models[1], *counterparts}
    assert {task.model for task in spectra.needs(request) if isinstance(task, SetPass)} == {models[1], *counterparts}


def test_there_is_no_fewer_than_one_counterpart(models):
    with pytest.raises(ValueError, match="at least 1"):
        AnalysisRequest(models, CLIPS, "frozen", untrained_seeds=0)


def test_the_order_of_clips_does_not_matter(models):
    request = AnalysisRequest(models, CLIPS, "frozen")
    shelf = make_adapters(request)
    one, two = (list(spectra.compute(shelf, replace(request, clips=c)).rows()) for c in (CLIPS, CLIPS[::-1]))
    for a, b in zip(one, two, strict=True):
        assert replace(a, value=None, ci_low=None, ci_high=None) == replace(b, value=None, ci_low=None, ci_high=None)
        assert (a.value, a.ci_low, a.ci_high) == pytest.approx((b.value, b.ci_low, b.ci_high), abs=1e-9)


def test_weights_against_the_full_matrices(models):
    request = AnalysisRequest(models, CLIPS, "frozen")
    shelf = make_adapters(request)
    rows = pick(list(spectra.compute(shelf, request).rows()), model="lora", versus=None)
    for module in MODULES:
        full = 2.0 * shelf.b["lora"][module.name] @ shelf.a["lora"][module.name]
        expected, s = textbook(full), np.linalg.svd(full, compute_uv=False)
        wanted = {"module": module.name, "component": "dW"}
        for name in ("sv90", "effective_rank", "stable_rank", "energy:2"):
            assert value(rows, statistic=name, **wanted) == pytest.approx(expected[name], rel=1e-4)
        for k in range(1, module.rank + 1):
            assert value(rows, statistic=f"singular:{k}", **wanted) == pytest.approx(s[k - 1], rel=1e-4)
        assert 0 <= value(rows, statistic="overlap_right:2", **wanted) <= 1
        assert 0 <= value(rows, statistic="intruders", **wanted) <= 10
        assert {r.n for r in pick(rows, **wanted)} == {None}


def test_adapters_over_one_base_are_compared_and_others_are_not(tmp_path):
    small = [LoraModule(0, "v_proj", 3, 48, 48)]
    one, two = make_adapter(tmp_path, "one"), make_adapter(tmp_path, "two", small)
    other = replace(make_adapter(tmp_path, "other"), base_fingerprint="another")
    request = AnalysisRequest((one, two, other), CLIPS, "one")
    shelf = make_adapters(request)
    result = spectra.compute(shelf, request)
    (pair,) = result.subspaces
    assert (pair.model, pair.versus, pair.module.name, pair.phi.shape) == ("one", "two", "0.v_proj", (5, 3))
    v = [np.linalg.svd(shelf.b[m]["0.v_proj"] @ shelf.a[m]["0.v_proj"])[2] for m in ("one", "two")]
    expected = np.linalg.norm(v[0][:4] @ v[1][:2].T) ** 2 / 2
    assert pair.phi[3, 1] == pytest.approx(expected, rel=1e-4)
    rows = pick(list(result.rows()), versus="two")
    assert [row.statistic for row in rows if row.module] == ["subspace:1", "subspace:2", "subspace:3"]
    means = [row for row in rows if not row.module]
    assert [row.statistic for row in means] == [f"subspace_mean:{i}:{j}" for i in range(1, 6) for j in range(1, 4)]
    assert [row.value for row in means] == pytest.approx(list(pair.phi.flat))  # of one module


def test_subspace_means_are_over_the_modules_that_both_adapt(tmp_path):
    """With ranks of their own: a place of the grid is over the modules that reach it; some are reached by none."""
    models = []
    for name, ranks in {"one": (5, 4, 2), "two": (3, 4)}.items():
        modules = [LoraModule(layer, "v_proj", rank, 48, 48) for layer, rank in enumerate(ranks)]
        models.append(make_adapter(tmp_path, name, modules))
    request = AnalysisRequest(tuple(models), CLIPS, "one")
    shelf = make_adapters(request)
    rows = list(spectra.compute(shelf, request).rows())
    v = {
        m.name: [np.linalg.svd(shelf.b[m.name][x.name] @ shelf.a[m.name][x.name])[2][: x.rank] for x in m.lora]
        for m in models
    }
    for i in range(1, 6):
        for j in range(1, 5):
            found = pick(rows, model="one", versus="two", module=None, statistic=f"subspace_mean:{i}:{j}")
            each = [
                np.linalg.norm(left[:i] @ right[:j].T) ** 2 / min(i, j)
                for left, right in zip(v["one"], v["two"], strict=False)
                if len(left) >= i and len(right) >= j
            ]
            assert [row.value for row in found] == pytest.approx([np.mean(each)] if each else [], rel=1e-4)
    assert not pick(rows, statistic="subspace_mean:5:4") and pick(rows, statistic="subspace_mean:5:3")


def test_an_adapter_that_was_never_trained_is_undefined_and_says_why(models):
    """PEFT starts B at 0: its outputs have no spectrum, and gradients of A vanish with it."""
    request = AnalysisRequest(models, CLIPS, "frozen")
    shelf = make_adapters(request)
    shelf.b["lora"] = {m: np.zeros_like(b) for m, b in shelf.b["lora"].items()}
    result = spectra.compute(shelf, request)
    rows = pick(list(result.rows()), model="lora", versus=None, statistic="sv90", component="B")
    assert [row.value for row in rows] == [None] * 3
    notes = {note.about: note.reason for note in result.notes}
    assert "B = 0" in notes["lora B"] and "0.v_proj, 1.fc1" in notes["lora B"]
    assert "lora grad A" in notes and "lora A" not in notes
    assert "0.v_proj, 1.fc1" in notes["lora dW"]
    assert pick(list(result.rows()), model="lora", component="A", statistic="sv90", module="1.fc1")[0].value >= 1
    assert (
        value(list(result.rows()), model="lora", component="B", versus="lora (untrained)", statistic="efficiency")
        is None
    )


def test_what_is_needed(models):
    request = AnalysisRequest(models, CLIPS, "frozen", window_start=16)
    tasks = spectra.needs(request)
    counterpart = untrained_of(models[1], keep_head=False)
    both = {models[1], counterpart}
    assert {task.model for task in tasks} == both
    assert {task.model for task in tasks if isinstance(task, ModelPass)} == both
    sets = [task for task in tasks if isinstance(task, SetPass)]
    assert {task.model for task in sets} == both
    assert [task.targets for task in sets] == [(0, 1, 2, 0, 1, 2)] * 2  # the labels, in the order of clip ids
    assert len([task for task in tasks if isinstance(task, Pass)]) == 2 * len(CLIPS)
    kept = spectra.needs(replace(request, variant="corrected"))
    assert untrained_of(models[1], keep_head=True) in {task.model for task in kept}
    assert counterpart not in {task.model for task in kept}


def test_unlabelled_clips_take_the_models_own_prediction(models):
    """Which must be known first: the set of gradients is asked for in the second round."""
    clips = make_clips(["anger", None, "surprise", None])
    request = AnalysisRequest(models, clips, "frozen")
    shelf = make_adapters(request)
    assert not [task for task in spectra.needs(request) if isinstance(task, SetPass)]
    sets = {task.model.name: task for task in spectra.needs(request, shelf) if isinstance(task, SetPass)}
    for name in ("lora", "lora (untrained)"):
        own = [int(shelf.records[name, clip.clip_id].logits.argmax()) for clip in clips]
        assert sets[name].targets == (0, *own[1:])
    notes = spectra.compute(shelf, request).notes
    assert any(note.about == "lora gradients" and note.reason.startswith("3 clips") for note in notes)
    assert shelf.targets["lora", clips[1].clip_id] == sets["lora"].targets[1]


def test_while_gradients_are_still_being_made(models):
    """A set's record comes last: until then the spectra of A's gradients grow, B's are missing, and that is said."""
    request = AnalysisRequest(models, CLIPS, "frozen")
    shelf = make_adapters(request)
    shelf.broken |= {("lora", clip.clip_id) for clip in CLIPS[4:]}
    shelf.gradients = lambda task: None
    result = spectra.compute(shelf, request)
    rows = pick(list(result.rows()), model="lora", module="1.fc1", versus=None)
    expected = textbook(stacked(shelf, "lora", "1.fc1", "A", True, "all", CLIPS[:4]))
    (row,) = pick(rows, component="A", statistic="grad_effective_rank")
    assert (row.value, row.n) == (pytest.approx(expected["effective_rank"], rel=1e-3), 4)
    assert not pick(rows, component="B", statistic="grad_sv90")
    assert any(note.about == "lora gradients" and "B's" in note.reason for note in result.notes)


def test_clips_that_failed_are_left_out(models):
    request = AnalysisRequest(models, CLIPS, "frozen")
    shelf = make_adapters(request)
    shelf.broken.add(("lora", CLIPS[2].clip_id))
    result = spectra.compute(shelf, request)
    rows = list(result.rows())
    rest = CLIPS[:2] + CLIPS[3:]
    for component, gradient in (("A", False), ("B", True)):
        expected = textbook(stacked(shelf, "lora", "0.v_proj", component, gradient, "all", rest))
        name = "grad_effective_rank" if gradient else "effective_rank"
        (row,) = pick(rows, model="lora", module="0.v_proj", component=component, statistic=name)
        assert (row.value, row.n) == (pytest.approx(expected["effective_rank"], rel=1e-3), 5)
    assert pick(rows, model="lora (untrained)", component="A", statistic="norm")[0].n == 6
    assert any("1 of 6 clips" in note.reason and note.about == "lora" for note in result.notes)


def test_models_without_lora_and_untrained_ones(tmp_path):
    frozen = make_model()
    request = AnalysisRequest((frozen,), CLIPS, "frozen")
    assert spectra.needs(request) == ()
    assert list(spectra.compute(make_adapters(request), request).rows()) == []
    random = replace(make_adapter(tmp_path, "random"), role=Role.UNTRAINED)
    request = AnalysisRequest((random,), CLIPS, "random")
    rows = list(spectra.compute(make_adapters(request), request).rows())
    assert {row.model for row in rows} == {"random"}  # it is its own baseline
