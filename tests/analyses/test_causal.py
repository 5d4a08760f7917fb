"""Interventions by hand: shares, what has none, pairs of clips, layers without records, models without LoRA."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from core.analyses import causal
from core.analyses.causal_measures import coincidence
from core.analyses.causal_pairs import candidates, nearest
from core.analyses.lens import kl_curve
from core.analyses.request import AnalysisRequest
from core.corpora.source import Listed
from core.engine.interface import Pass
from core.engine.interventions import DialPass, LayerPass, PatchPass
from core.interventions import Dial
from core.models.info import LoraModule, Role
from core.store.intervention import ABLATIONS, ERASURES, AblationRecord, PatchRecord
from tests.analyses.fabricate import Shelf, make_clips, make_model, make_record, with_logits

LAYERS = 4
FROZEN = make_model(layers=LAYERS)
LORA = replace(make_model("lora", layers=LAYERS, role=Role.LORA), lora=(LoraModule(1, "v_proj", 5, 48, 48),))
OFF = Dial.even(0.0, LAYERS)
SPEAKERS = ["a", "a", "b", "b", "c", "c"]
CLIPS = make_clips(["ang", "sad", "neu", "ang", "sad", "neu"], SPEAKERS)
WINDOW = 12 * 320


@dataclass
class Causes(Shelf):
    """Records by the task they are of; remembers which were read."""

    others: dict = field(default_factory=dict)
    asked: list = field(default_factory=list)

    def forward(self, model, clip):
        self.asked.append(Pass.over(model, clip))
        return super().forward(model, clip)

    def dialled(self, model, clip, dial):
        return self._of(DialPass.over(model, clip, 0, dial))

    def ablation(self, model, clip, layer):
        return self._of(LayerPass.over(model, clip, 0, layer))

    def patch(self, task):
        return self._of(task)

    def _of(self, task):
        self.asked.append(task)
        return self.others.get(task)


def fill(shelf, request, seed=0):
    """Random records for everything that the request needs."""
    rng = np.random.default_rng(seed)
    for task in causal.needs(request):
        model = task.model
        classes = len(model.labels)
        if isinstance(task, Pass):
            shelf.records[model.name, task.clip.clip_id] = make_record(model, rng)
        elif isinstance(task, DialPass):
            shelf.others[task] = make_record(model, rng)
        elif isinstance(task, LayerPass):
            names = ABLATIONS if model.lora else ERASURES
            shelf.others[task] = AblationRecord({name: rng.normal(size=classes) for name in names})
        else:
            names = ["attention", "mlp", *["lora"] * bool(model.lora), *["residual"] * (not task.patch.whole)]
            both = rng.normal(size=(2, classes)) if task.layer == 0 else (first.clean, first.corrupt)
            first = PatchRecord(
                *both, {name: rng.normal(size=(2, classes)) for name in names}, {name: rng.random(2) for name in names}
            )
            shelf.others[task] = first
    return shelf


def request_of(*models, clips=CLIPS, **options):
    return AnalysisRequest(models, clips, models[0].name, **options)


def run(shelf, request):
    result = causal.compute(shelf, request)
    return list(result.rows()), [f"{note.about}: {note.reason}" for note in result.notes]


def pick(rows, **wanted):
    return [r for r in rows if all(getattr(r, k) == v for k, v in wanted.items())]


def one(rows, **wanted):
    (found,) = pick(rows, **wanted)
    return found


def logits_of(record, logits):
    return with_logits(record, np.tile(np.array(logits, dtype=float), (LAYERS + 1, 1)))


def test_needs_are_all_passes_of_a_clip_together_and_nothing_else_is_read():
    """Curves of all models grow at once, and no record is read that nobody made."""
    twice = (*CLIPS, CLIPS[0])
    request = request_of(FROZEN, LORA, clips=twice)
    needed = causal.needs(request)
    assert len(set(needed)) == len(needed)
    assert [task.clip for task in needed] == sorted((task.clip for task in needed), key=CLIPS.index)
    first = [task for task in needed if task.clip == CLIPS[0] and task.model == LORA]
    dials = [OFF, *(Dial.even(1.0, LAYERS, rank) for rank in (1, 2, 4))]
    assert first == [
        Pass.over(LORA, CLIPS[0]),
        *(DialPass.over(LORA, CLIPS[0], 0, dial) for dial in dials),
        *(LayerPass.over(LORA, CLIPS[0], 0, layer) for layer in range(LAYERS)),
        *(PatchPass(LORA, CLIPS[0], 0, layer, "dial") for layer in range(LAYERS)),
    ]
    of_frozen = [task for task in needed if task.clip == CLIPS[0] and task.model == FROZEN]
    assert {type(task) for task in of_frozen} == {Pass, LayerPass}
    shelf = fill(Causes(), request)
    rows, notes = run(shelf, request)
    assert set(shelf.asked) == set(needed)
    identity = [(r.model, r.versus, r.layer, r.component, r.statistic) for r in rows]
    assert len(set(identity)) == len(identity)
    assert {(r.analysis, r.variant, r.module, r.clip_id) for r in rows} == {("causal", "published", None, None)}
    assert any("same audio" in note for note in notes)
    only = causal.needs(request_of(FROZEN, LORA, parts=("patching",)))
    assert {type(task) for task in only} == {PatchPass}
    assert {type(task) for task in causal.needs(request_of(LORA, parts=("layers",)))} == {Pass, DialPass, LayerPass}


def test_shares_by_hand_and_how_many_clips_have_none():
    """The contrast is with the off run's best other class; a clip whose runs hardly differ has no share."""
    clips = CLIPS[:3]
    request = request_of(LORA, clips=clips, parts=("layers",))
    shelf = fill(Causes(), request)
    runs = [  # anger, neutral, sadness; labels are anger, sadness, neutral
        {"intact": [3, 0, 1], "off": [1, 2, 0], "without": [2, 1, 9], "only": [1, 1, 9]},
        {"intact": [1, 9, 2], "off": [1, 0, 2], "without": [9, 9, 9], "only": [9, 9, 9]},  # 1 and 1: no share
        {"intact": [0, 2, 0], "off": [0, 0, 1], "without": [0, -1, 0], "only": [7, 3, 0]},
    ]
    for clip, run_ in zip(clips, runs, strict=True):
        key = LORA.name, clip.clip_id
        shelf.records[key] = logits_of(shelf.records[key], run_["intact"])
        task = DialPass.over(LORA, clip, 0, OFF)
        shelf.others[task] = logits_of(shelf.others[task], run_["off"])
        for layer in range(LAYERS):
            task = LayerPass.over(LORA, clip, 0, layer)
            both = {name: np.array(run_[name], dtype=float) for name in ("without", "only")}
            shelf.others[task] = replace(shelf.others[task], logits={**shelf.others[task].logits, **both})
    rows, notes = run(shelf, request)
    # clip 0: 3 and -1 of anger over neutral; clip 2: 2 and -1 of neutral over sadness
    lost = one(rows, layer=2, component="without", statistic="lost_share")
    assert (lost.value, lost.n) == (pytest.approx(np.mean([(3 - 1) / 4, (2 + 1) / 3])), 2)
    restored = one(rows, layer=2, component="only", statistic="restored_share")
    assert (restored.value, restored.n) == (pytest.approx(np.mean([(0 + 1) / 4, (3 + 1) / 3])), 2)
    none = one(rows, component="intact", statistic="undefined")
    assert (none.layer, none.value, none.n) == (None, 1, 3)
    assert any("1 of 3 clips have no share" in note for note in notes)
    for component, values in (("intact", [3, 1, 2]), ("off", [-1, 1, -1])):
        row = one(rows, component=component, statistic="contrast")
        assert (row.value, row.n) == (pytest.approx(np.mean(values)), 3)
    assert one(rows, component="intact", statistic="accuracy").value == pytest.approx(2 / 3)
    assert one(rows, component="off", statistic="accuracy").value == pytest.approx(1 / 3)
    lost_names = {r.component for r in pick(rows, statistic="lost_share")}
    restored_names = {r.component for r in pick(rows, statistic="restored_share")}
    assert lost_names == {"without", "without_a", "without_b"}
    assert restored_names == {"only", "only_a", "only_b", "first", "last"}


def test_outcomes_of_every_switch_are_paired_with_the_intact_model():
    request = request_of(LORA, parts=("layers",))
    shelf = fill(Causes(), request)
    rows, _ = run(shelf, request)
    label = [{"a": 0, "n": 1, "s": 2}[clip.label[0]] for clip in CLIPS]

    def measured(logits):
        p = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
        return lambda i: {
            "accuracy": float(p.argmax() == label[i]),
            "loss": -np.log(p[label[i]]),
            "confidence": p[label[i]],
        }

    intact = [measured(shelf.records[LORA.name, c.clip_id].logits)(i) for i, c in enumerate(CLIPS)]
    for component in ABLATIONS:
        for layer in range(LAYERS):
            records = [shelf.others[LayerPass.over(LORA, clip, 0, layer)] for clip in CLIPS]
            here = [measured(record.logits[component])(i) for i, record in enumerate(records)]
            for name in ("accuracy", "loss", "confidence"):
                place = {"layer": layer, "component": component}
                assert one(rows, **place, statistic=name).value == pytest.approx(np.mean([h[name] for h in here]))
                row = one(rows, **place, statistic=f"{name}_change")
                change = np.array([h[name] - i[name] for h, i in zip(here, intact, strict=True)])
                means = change.reshape(3, 2).mean(axis=1)  # two clips of each speaker
                half = stats.t.ppf(0.975, 2) * stats.sem(means)
                expected = (change.mean(), change.mean() - half, change.mean() + half)
                assert (row.value, row.ci_low, row.ci_high) == pytest.approx(expected, abs=1e-12)
                assert row.n == 6
    # rank truncation: 5 is the model as it is
    assert {r.component for r in rows if r.component.startswith("rank:")} == {"rank:1", "rank:2", "rank:4", "rank:5"}
    for rank in (1, 2, 4, 5):
        task = [shelf.others.get(DialPass.over(LORA, clip, 0, Dial.even(1.0, LAYERS, rank))) for clip in CLIPS]
        cut = [measured(t.logits)(i) for i, t in enumerate(task)] if rank < 5 else intact
        for name in ("accuracy", "loss", "confidence"):
            row = one(rows, component=f"rank:{rank}", statistic=name)
            assert (row.layer, row.value) == (None, pytest.approx(np.mean([c[name] for c in cut])))
            change = [c[name] - i[name] for c, i in zip(cut, intact, strict=True)]
            row = one(rows, component=f"rank:{rank}", statistic=f"{name}_change")
            assert row.value == pytest.approx(np.mean(change), abs=1e-12)


@pytest.mark.parametrize(("frames", "chosen", "variant"), [("all", 0, "released"), ("audio", 1, "corrected")])
def test_what_stands_behind_and_whether_it_coincides(frames, chosen, variant):
    """Rank correlations over layers against scipy's, with the jackknife over speakers written out."""
    request = request_of(LORA, parts=("layers",), frames=frames, variant=variant)
    shelf = fill(Causes(), request)
    rows, _ = run(shelf, request)
    shares, write, drop = {"without": [], "only": []}, [], []
    for clip, label in zip(CLIPS, (0, 2, 1) * 2, strict=True):
        intact, off = shelf.records[LORA.name, clip.clip_id], shelf.others[DialPass.over(LORA, clip, 0, OFF)]
        write.append(intact.relative[chosen, 2] - off.relative[chosen, 2])
        kl = kl_curve(intact, variant, frames)
        drop.append(kl[:-1] - kl[1:])
        other = max(set(range(3)) - {label}, key=lambda c, off=off: off.logits[c])
        high, low = (r.logits[label] - r.logits[other] for r in (intact, off))
        for name in shares:
            layers = [shelf.others[LayerPass.over(LORA, clip, 0, layer)].logits[name] for layer in range(LAYERS)]
            now = np.array([each[label] - each[other] for each in layers])
            shares[name].append(((high - now) if name == "without" else (now - low)) / (high - low))
    assert all(abs(share).max() < 1e3 for each in shares.values() for share in each)
    for component, statistic, values in (("write", "relative_change", write), ("lens", "kl_drop", drop)):
        found = pick(rows, component=component, statistic=statistic)
        assert [r.layer for r in found] == list(range(LAYERS))
        assert [r.value for r in found] == pytest.approx(np.mean(values, axis=0))
    behind = {"write": np.abs(write), "kl_drop": np.array(drop)}
    for effect, share in shares.items():
        for name, values in behind.items():

            def rho(kept, share=share, values=values):
                return stats.spearmanr(np.array(share)[kept].mean(axis=0), values[kept].mean(axis=0))[0]

            row = one(rows, component=f"{effect}~{name}", statistic="spearman")
            without = [rho([i for i, s in enumerate(SPEAKERS) if s != left]) for left in "abc"]
            half = stats.t.ppf(0.975, 2) * np.sqrt(2 / 3 * ((without - np.mean(without)) ** 2).sum())
            value = rho(range(6))
            assert (row.value, row.ci_low, row.ci_high) == pytest.approx(
                (value, max(-1.0, value - half), min(1.0, value + half))
            )
            assert (row.layer, row.n) == (None, LAYERS)


def test_equal_layers_share_a_rank_and_flat_ones_have_no_correlation():
    """As a layer without LoRA in an adapter of some layers only: its shares are 0, like those of all such layers."""
    effect, behind = np.array([[0.0, 0.0, 3.0, 1.0], [0.0, 0.0, 2.0, 2.0]]), np.array([[1.0, 2.0, 2.0, 4.0]] * 2)
    found = coincidence(effect, behind, ["a", "b"])
    assert (found.value, found.n) == (pytest.approx(stats.spearmanr(effect.mean(0), behind.mean(0))[0]), 4)
    assert np.isnan(coincidence(0 * effect, behind, ["a", "b"]).value)
    assert np.isnan(coincidence(effect[:, :2], behind[:, :2], ["a", "b"]).value)


def test_the_full_rank_needs_no_pass_of_its_own():
    model = replace(LORA, lora=(LoraModule(0, "q_proj", 8, 48, 48), LoraModule(1, "v_proj", 2, 48, 48)))
    needed = causal.needs(request_of(model, clips=CLIPS[:1], parts=("layers",)))
    assert [task.dial.rank for task in needed if isinstance(task, DialPass)] == [None, 1, 2, 4]


def test_without_lora_there_is_what_needs_none():
    request = request_of(FROZEN, clips=(*CLIPS[:2], replace(CLIPS[2], label=None), replace(CLIPS[3], label="fear")))
    shelf = fill(Causes(), request)
    rows, notes = run(shelf, request)
    changes = {
        (e, f"{s}{end}") for e in ERASURES for s in ("accuracy", "loss", "confidence") for end in ("", "_change")
    }
    baselines = {("intact", s) for s in ("accuracy", "loss", "confidence", "contrast")}
    assert {(r.component, r.statistic) for r in rows} == {*changes, *baselines, ("lens", "kl_drop")}
    # an unlabelled clip's label is what the model says of it, and its contrast with the model's own next best
    logits = [shelf.records["frozen", clip.clip_id].logits for clip in request.clips]
    labels = [0, 2, *(int(one.argmax()) for one in logits[2:])]
    contrasts = [x[i] - max(v for c, v in enumerate(x) if c != i) for x, i in zip(logits, labels, strict=True)]
    assert one(rows, component="intact", statistic="contrast").value == pytest.approx(np.mean(contrasts))
    assert any("2 clips have no label among its classes" in note for note in notes)
    assert any("no LoRA to dial" in note for note in notes)


def test_each_layer_is_over_the_clips_it_has():
    """As while a job is under way: what is there counts, a layer without any has no row, and a note says so."""
    request = request_of(LORA)
    shelf = fill(Causes(), request)
    for clip in CLIPS:
        del shelf.others[LayerPass.over(LORA, clip, 0, 3)], shelf.others[PatchPass(LORA, clip, 0, 3, "dial")]
    del shelf.others[LayerPass.over(LORA, CLIPS[0], 0, 1)], shelf.others[PatchPass(LORA, CLIPS[0], 0, 1, "dial")]
    del shelf.others[DialPass.over(LORA, CLIPS[5], 0, OFF)]
    rows, notes = run(shelf, request)
    for component, statistic in (("erase", "loss"), ("without", "loss_change"), ("mlp", "noised_accuracy")):
        assert [(r.layer, r.n) for r in pick(rows, component=component, statistic=statistic)] == [
            (0, 6),
            (1, 5),
            (2, 6),
        ]
    shares = pick(rows, component="without", statistic="lost_share")
    assert [(r.layer, r.n) for r in shares] == [(0, 5), (1, 4), (2, 5)], "the last clip has no off run"
    assert one(rows, component="intact", statistic="contrast").n == one(rows, component="off", statistic="loss").n == 5
    assert one(rows, component="intact", statistic="loss").n == one(rows, component="rank:1", statistic="loss").n == 6
    assert one(rows, component="without~write", statistic="spearman").n == 3
    assert any("7 of 24 switched layers have no record" in note for note in notes)
    assert any("7 of 24 patched layers have no record" in note for note in notes)
    shelf.others.clear()
    rows, notes = run(shelf, request)
    assert {r.component for r in rows} == {
        "intact",
        "lens",
        "rank:5",
        *(r.component for r in rows if "~" in r.component),
    }
    assert one(rows, component="intact", statistic="undefined").n == 0
    assert one(rows, component="only~write", statistic="spearman").value is None
    assert any("6 of 6 pairs have no record" in note for note in notes)
    shelf.records.clear()
    rows, notes = run(shelf, request)
    assert rows == []
    assert any("6 of 6 clips have no record" in note for note in notes)


def test_a_weighted_layer_sum_is_left_alone():
    """Its head does not read the last layer, which all of this supposes."""
    request = request_of(replace(LORA, weighted_layer_sum=True))
    assert causal.needs(request) == ()
    rows, notes = run(Causes(), request)
    assert rows == [] and any("weighted sum of all layers" in note for note in notes)


def test_patching_by_hand():
    """Denoising restores, noising loses; both on the contrast with the corrupt run's best other class."""
    clips = CLIPS[:3]
    request = request_of(LORA, clips=clips, parts=("patching",), pairing="noise", span=(0.05, 0.1))
    shelf = fill(Causes(), request)
    runs = [  # clean, corrupt, denoised, noised of anger, neutral, sadness; labels are anger, sadness, neutral
        ([4.0, 0, 0], [0.0, 1, 2], [3.0, 0, 2], [4.0, 0, 3]),
        ([0.0, 0, 0.05], [0.0, 0, 0], [5.0, 5, 5], [6.0, 6, 6]),  # 0.05 apart: no share
        ([0.0, 3, 0], [1.0, 0, 0], [1.0, 0, 0], [0.0, 3, 0]),
    ]
    for clip, (clean, corrupt, denoised, noised) in zip(clips, runs, strict=True):
        for layer in range(LAYERS):
            task = PatchPass(LORA, clip, 0, layer, "noise", None, "all", (0.05, 0.1))
            record = PatchRecord(
                np.array(clean),
                np.array(corrupt),
                {**shelf.others[task].patched, "mlp": np.array([denoised, noised])},
                {**shelf.others[task].norm_ratio, "mlp": np.array([layer, 0.5])},
            )
            shelf.others[task] = record
    rows, notes = run(shelf, request)
    assert {r.versus for r in rows} == {"noise"}
    assert {r.component for r in rows} == {"clean", "corrupt", "attention", "mlp", "lora", "residual"}
    restored = one(rows, layer=1, component="mlp", statistic="restored_share")
    lost = one(rows, layer=1, component="mlp", statistic="lost_share")
    assert (restored.value, restored.n) == (pytest.approx(np.mean([(1 + 2) / 6, 0])), 2)
    assert (lost.value, lost.n) == (pytest.approx(np.mean([(4 - 1) / 6, 0])), 2)

    def label_probability(which):
        return np.mean([np.exp(x[i]) / np.exp(x).sum() for x, i in zip(which, (0, 2, 1), strict=True)])

    for name, which, accuracy in (("denoised", 2, 1 / 3), ("noised", 3, 2 / 3)):
        row = one(rows, layer=1, component="mlp", statistic=f"{name}_probability")
        assert (row.value, row.n) == (pytest.approx(label_probability([each[which] for each in runs])), 3)
        assert one(rows, layer=1, component="mlp", statistic=f"{name}_accuracy").value == pytest.approx(accuracy)
    assert one(rows, layer=3, component="mlp", statistic="denoised_norm_ratio").value == 3
    assert one(rows, layer=3, component="mlp", statistic="noised_norm_ratio").value == 0.5
    for name, which, contrasts, accuracy in (("clean", 0, [4, 0.05, 3], 1), ("corrupt", 1, [-2, 0, -1], 0)):
        assert one(rows, component=name, statistic="contrast").value == pytest.approx(np.mean(contrasts))
        assert one(rows, component=name, statistic="accuracy").value == pytest.approx(accuracy)
        found = one(rows, component=name, statistic="probability")
        assert (found.layer, found.value) == (None, pytest.approx(label_probability([each[which] for each in runs])))
    assert (one(rows, component="clean", statistic="undefined").value, 3) == (1, 3)
    assert one(rows, component="clean", statistic="pairs").value == 3
    assert any("1 of 3 pairs have no share" in note for note in notes)


def said(label, speaker, samples, words=None, i=0):
    return replace(make_clips([label], [speaker])[0], clip_id=f"{i:064x}", n_samples=samples, transcript=words)


PAIRED = (
    said("ang", "a", 1000, "It's nine o'clock.", 0),
    said("sad", "a", 3000, "its eleven", 1),
    said("neu", "a", 2000, "IT'S NINE O'CLOCK", 2),
    said("ang", "a", 2900, None, 3),
    said("sad", "b", 1000, "it's nine o'clock", 4),
    said("sad", "b", 1100, "it's nine o'clock", 5),
    said("neu", None, 1000, "it's nine o'clock", 6),
    said("fear", "a", 1000, "it's nine o'clock", 7),
)


@pytest.mark.parametrize("model", [FROZEN, LORA], ids=lambda model: model.name)
def test_minimal_pairs_are_of_one_speaker_and_where_possible_of_the_same_words(model):
    request = request_of(model, clips=PAIRED, parts=("patching",), pairing="minimal")
    needed = causal.needs(request)
    found = {int(task.clip.clip_id, 16): int(task.source.clip_id, 16) for task in needed}
    # 0 and 2 say the same; 1 and 3 are nearest in length; b has one emotion, 6 no speaker, 7 no class
    assert found == {0: 2, 2: 0, 1: 3, 3: 1}
    assert len(needed) == 4 * LAYERS
    shelf = fill(Causes(), request)
    rows, notes = run(shelf, request)
    assert {(r.model, r.versus) for r in rows} == {(model.name, "minimal")}
    assert any("4 of 8 clips have no partner" in note for note in notes)
    assert any("In 2 of 4 pairs the words differ, or are not known" in note for note in notes)
    assert any("mapped linearly" in note for note in notes)
    # the contrast is between the two labels, whatever the runs say
    label = {"ang": 0, "neu": 1, "sad": 2}
    contrasts = {"clean": [], "corrupt": []}
    for task in needed:
        if task.layer == 0:
            for name, values in contrasts.items():
                logits = getattr(shelf.others[task], name)
                values.append(logits[label[task.clip.label]] - logits[label[task.source.label]])
    for name, values in contrasts.items():
        row = one(rows, component=name, statistic="contrast")
        assert (row.value, row.n) == (pytest.approx(np.mean(values)), 4)
    assert ("lora" in {r.component for r in rows}) == bool(model.lora)


def test_a_clip_alone_takes_its_partner_from_further_clips_and_these_are_no_pairs_of_their_own():
    clip, *others = PAIRED
    alone = request_of(LORA, clips=(clip,), parts=("patching",), pairing="minimal")
    assert not causal.needs(alone)
    needed = causal.needs(replace(alone, partners=tuple(others)))
    assert {(task.clip, task.source) for task in needed} == {(clip, PAIRED[2])}
    needed = causal.needs(replace(alone, partners=(PAIRED[3], PAIRED[4], clip)))
    assert not needed, "the same class, another speaker, the same clip"


def test_candidates_are_those_with_the_same_words_alone_where_there_are_any():
    listed = [Listed(one.name, Path(one.name), one.label, one.speaker, transcript=one.transcript) for one in PAIRED]

    def numbers(i):
        return [listed.index(one) for one in candidates(PAIRED[i], listed, LORA)]

    assert [numbers(i) for i in range(len(PAIRED))] == [[2], [0, 2, 3], [0], [1, 2], [], [], [], []]
    assert nearest(PAIRED[1], (PAIRED[0], PAIRED[2], PAIRED[3])) == [PAIRED[3], PAIRED[2], PAIRED[0]]


def test_a_dial_pairs_unlabelled_clip_takes_the_clean_runs_prediction():
    clips = make_clips([None, None], ["a", "b"])
    request = request_of(LORA, FROZEN, clips=clips, parts=("patching",))
    shelf = fill(Causes(), request)
    rows, notes = run(shelf, request)
    assert {r.model for r in rows} == {"lora"}
    assert one(rows, component="clean", statistic="accuracy").value == 1
    assert any("2 clips have no label among its classes" in note for note in notes)
