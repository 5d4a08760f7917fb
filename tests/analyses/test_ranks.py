"""Maps and separation against scikit-learn on the stacked features, and against cases worked out by hand."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.manifold import TSNE
from sklearn.metrics import recall_score, silhouette_samples
from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from core.analyses import ranks
from core.analyses.ranks_maps import depths, plane
from core.analyses.ranks_result import Sensitivity
from core.analyses.request import DEFAULT_FRAMES, AnalysisRequest
from core.analyses.separation import probe, purity, shuffled, silhouettes
from core.analyses.statistics import Band, mean_interval
from core.engine.interface import Pass
from core.models.info import LoraModule
from core.store.lora import Scaled
from tests.analyses.adapters import make_adapter, make_adapters
from tests.analyses.fabricate import make_clips, make_model
from tests.analyses.textbook import pick

LABELS = ["anger", "neutral", "sadness"] * 8
CLIPS = make_clips(LABELS, [f"S{i // 6}" for i in range(24)])
SPEAKERS = [clip.speaker for clip in CLIPS]
LOW = (LoraModule(0, "v_proj", 2, 48, 48), LoraModule(1, "fc1", 2, 48, 60))
HIGH = (LoraModule(0, "v_proj", 5, 48, 48), LoraModule(1, "fc1", 5, 48, 60))
VARIANTS = ("published", "released", "corrected")


@pytest.fixture(autouse=True)
def one_thread_each():
    """For what scikit-learn is asked here: on a busy machine others only wait for each other."""
    with threadpool_limits(1):
        yield


@pytest.fixture
def models(tmp_path):
    """Asked for with the higher rank first."""
    return make_model(), make_adapter(tmp_path, "high", HIGH), make_adapter(tmp_path, "low", LOW)


def requested(models, variant="published", clips=CLIPS, **more):
    return AnalysisRequest(models, clips, "frozen", variant=variant, frames=DEFAULT_FRAMES[variant], **more)


def told_apart(request, seed=0):
    """Records whose activations depend on the label, the higher rank's more."""
    shelf = make_adapters(request, seed, untrained=False)
    for (model, clip_id), modules in shelf.x.items():
        label = next(clip.label for clip in request.clips if clip.clip_id == clip_id)
        for x in modules.values():
            x[:, 0] += {"anger": 0, "neutral": 1, "sadness": 2}.get(label, 0) * (1.5 if model == "high" else 0.7)
    return shelf


def features(shelf, model, module, variant, clips=CLIPS):
    """Standardised, from the plain activations."""
    rows = []
    for clip in clips:
        key = model, clip.clip_id
        x = shelf.x[key][module]
        mean = x[: shelf.records[key].audio_frames].mean(axis=0).astype(np.float32)
        # rounded as records hold them: t-SNE makes much of the last digits
        rows.append(mean.astype(np.float64) if variant == "corrected" else Scaled.of(x).values.ravel())
    return StandardScaler().fit_transform(np.stack(rows))


def numbers(band):
    return [float(band.value), float(band.low), float(band.high)]


def nearest_share(x, labels, speakers, k):
    found = []
    for i, row in enumerate(x):
        others = [j for j in range(len(x)) if speakers[j] != speakers[i]]
        close = sorted(others, key=lambda j, row=row: np.linalg.norm(x[j] - row))[:k]
        found.append(np.mean([labels[j] == labels[i] for j in close]))
    return np.array(found)


@pytest.mark.parametrize("variant", VARIANTS)
def test_separation_is_scikit_learns_on_the_stacked_features(models, variant):
    """Streamed, turned and never stacked here; whole there."""
    request = requested(models, variant)
    shelf = told_apart(request)
    rows = list(ranks.compute(shelf, request).rows())
    for model in ("low", "high"):
        x = features(shelf, model, "1.fc1", variant)
        apart = silhouette_samples(x, LABELS)
        pure = nearest_share(x, LABELS, SPEAKERS, 10)
        guess = cross_val_predict(
            LogisticRegression(max_iter=10_000, tol=1e-8), x, LABELS, groups=SPEAKERS, cv=LeaveOneGroupOut()
        )

        def row(statistic, emotion=None, model=model):
            wanted = {"model": model, "versus": None, "module": "1.fc1", "component": emotion}
            (found,) = pick(rows, statistic=statistic, **wanted)
            return found

        assert row("probe_uar").value == pytest.approx(recall_score(LABELS, guess, average="macro"))
        for name, values in (("silhouette", apart), ("knn_purity", pure)):
            band = mean_interval(values, SPEAKERS)
            got = row(name)
            assert (got.n, got.layer) == (24, 1)
            assert [got.value, got.ci_low, got.ci_high] == pytest.approx(numbers(band), abs=2e-3)
        for emotion in set(LABELS):
            own = np.array(LABELS) == emotion
            assert row("silhouette", emotion).value == pytest.approx(apart[own].mean(), abs=2e-3)
            assert row("knn_purity", emotion).value == pytest.approx(pure[own].mean(), abs=2e-3)
            assert row("probe_recall", emotion).value == pytest.approx((guess[own] == emotion).mean())
            assert row("probe_recall", emotion).n == own.sum()


@pytest.mark.parametrize("variant", ["published", "corrected"])
def test_maps_are_scikit_learns_on_the_stacked_features(models, variant):
    request = requested(models, variant)
    shelf = told_apart(request)
    rows = list(ranks.compute(shelf, request).rows())
    x = features(shelf, "high", "0.v_proj", variant)

    def column(name):
        found = pick(rows, model="high", module="0.v_proj", statistic=name)
        assert [row.clip_id for row in found] == [clip.clip_id for clip in CLIPS]
        return np.array([row.value for row in found])

    wanted = PCA(2).fit_transform(x)
    for i, name in enumerate(("pca_1", "pca_2")):
        got = column(name)
        assert got[np.abs(got).argmax()] > 0
        assert np.abs(got) == pytest.approx(np.abs(wanted[:, i]), abs=2e-2)
    init = "pca" if variant == "corrected" else "random"
    fit = TSNE(perplexity=23 / 3, max_iter=1000, init=init, random_state=42).fit(x)
    ours = np.stack([column("tsne_1"), column("tsne_2")], axis=1)
    found, expected = (np.linalg.norm(m[:, None] - m, axis=2).ravel() for m in (ours, fit.embedding_))
    assert np.corrcoef(found, expected)[0, 1] > 0.99


def test_only_the_papers_depths_have_maps(tmp_path):
    assert depths(32) == (0, 7, 15, 23, 31)
    assert depths(8) == (0, 2, 3, 5, 7)
    assert depths(2) == (0, 1)
    modules = [LoraModule(layer, "v_proj", 3, 48, 48) for layer in range(9)]
    models = make_model(layers=9), make_adapter(tmp_path, "lora", modules, layers=9)
    request = requested(models, "corrected")
    rows = list(ranks.compute(make_adapters(request, untrained=False), request).rows())
    assert {row.layer for row in rows if row.clip_id} == set(depths(9)) == {0, 2, 4, 6, 8}
    assert {row.layer for row in rows if row.statistic == "silhouette"} == set(range(9))


@pytest.mark.parametrize("variant", ["published", "corrected"])
def test_the_order_of_clips_does_not_matter(models, variant):
    request = requested(models, variant)
    shelf = told_apart(request)
    backwards = replace(request, clips=CLIPS[::-1])
    assert list(ranks.compute(shelf, backwards).rows()) == list(ranks.compute(shelf, request).rows())


def test_differences_are_paired_and_of_the_higher_rank(models):
    request = requested(models)
    shelf = told_apart(request)
    result = ranks.compute(shelf, request)
    rows = list(result.rows())
    by_module = {}
    for module in ("0.v_proj", "1.fc1"):
        high, low = (features(shelf, model, module, "published") for model in ("high", "low"))
        apart = by_module[module] = silhouette_samples(high, LABELS) - silhouette_samples(low, LABELS)
        (row,) = pick(rows, versus="low", module=module, statistic="silhouette", component=None)
        band = mean_interval(apart, SPEAKERS)
        assert row.model == "high"
        assert [row.value, row.ci_low, row.ci_high] == pytest.approx(numbers(band), abs=2e-3)
        alone = [
            pick(rows, model=name, versus=None, module=module, statistic="probe_uar")[0] for name in ("high", "low")
        ]
        (both,) = pick(rows, versus="low", module=module, statistic="probe_uar")
        assert both.value == pytest.approx(alone[0].value - alone[1].value)
    mean = np.mean(list(by_module.values()), axis=0)
    for emotion in set(LABELS):
        (row,) = pick(rows, statistic="rank_sensitivity", component=emotion)
        assert (row.model, row.versus, row.layer, row.module, row.n) == ("high", "low", None, None, 8)
        assert row.value == pytest.approx(mean[np.array(LABELS) == emotion].mean(), abs=2e-3)
    (note,) = (note for note in result.notes if note.about == "rank_sensitivity")
    assert note.reason.endswith("cannot be checked: no value for happiness.")


def test_the_papers_order_is_judged():
    def judged(*values):
        names = ("neutral", "sadness", "anger", "happiness")
        bands = {
            name: Band(np.array(v), np.array(np.nan), np.array(np.nan), 3)
            for name, v in zip(names, values, strict=False)
        }
        return Sensitivity("high", "low", bands).verdict

    assert judged(0.1, 0.2, 0.3, 0.4).endswith(" holds.")
    assert judged(0.1, 0.3, 0.2, 0.4).endswith("does not hold: here it is neutral < anger < sadness < happiness.")
    assert "does not hold" in judged(0.1, 0.1, 0.2, 0.3)
    assert "cannot be checked: no value for happiness" in judged(0.1, 0.2, 0.3)


def test_needs_only_what_adapters_give(models):
    tasks = ranks.needs(requested(models, clips=(*CLIPS[:2], CLIPS[0])))
    assert tasks == tuple(Pass(model, clip, 0, lora=True) for clip in CLIPS[:2] for model in (models[2], models[1]))


def test_unlabelled_clips_are_in_maps_only(models):
    more = [replace(CLIPS[i], clip_id=f"f{i}", label=label) for i, label in enumerate((None, "joy"))]
    clips = (*CLIPS, *more)
    request = requested(models, clips=clips)
    result = ranks.compute(told_apart(request), request)
    rows = list(result.rows())
    assert len(pick(rows, model="low", module="0.v_proj", statistic="tsne_1")) == 26
    assert {row.n for row in rows if not row.clip_id and row.component is None} == {24}
    assert {row.component for row in rows} == {None, *LABELS}
    assert any("2 clips have no label" in note.reason for note in result.notes)


@pytest.mark.parametrize(
    ("labels", "speakers", "missing", "about"),
    [
        ([None] * 12, [*"aabbccddeeff"], {"silhouette", "knn_purity", "probe_uar", "probe_uar_shuffled"}, "no label"),
        (["anger"] * 24, [*"abcdef"] * 4, {"silhouette", "probe_uar", "probe_uar_shuffled"}, "two classes"),
        (LABELS, [None] * 24, {"knn_purity", "probe_uar", "probe_uar_shuffled"}, "speakers unknown"),
        (LABELS, ["a"] * 24, {"knn_purity", "probe_uar", "probe_uar_shuffled"}, "only one"),
        (LABELS[:6], [*"aaabbb"], {"knn_purity"}, "fewer than 10 clips"),
        (["anger"], ["a"], {"silhouette", "knn_purity", "probe_uar", "probe_uar_shuffled", "tsne_1", "pca_1"}, "5"),
    ],
)
def test_what_is_undefined_is_empty_and_said(models, labels, speakers, missing, about):
    request = requested(models, clips=make_clips(labels, speakers))
    result = ranks.compute(told_apart(request), request)
    everything = {"silhouette", "knn_purity", "probe_uar", "probe_uar_shuffled", "tsne_1", "pca_1"}
    rows = [row for row in result.rows() if row.component is None and row.statistic in everything]
    assert {row.statistic for row in rows if row.value is None} == missing
    assert {row.statistic for row in rows if row.value is not None} == everything - missing
    assert any(about in note.reason for note in result.notes)


def test_a_module_that_gives_nothing_is_undefined_and_the_others_stay(models):
    request = requested(models)
    shelf = told_apart(request)
    for (model, _), modules in shelf.x.items():
        if model == "low":
            modules["0.v_proj"][:] = 0.25
    result = ranks.compute(shelf, request)
    rows = list(result.rows())
    dead = pick(rows, model="low", module="0.v_proj")
    assert dead and all(row.value is None for row in dead)
    assert pick(rows, model="low", module="1.fc1", statistic="silhouette", component=None)[0].value is not None
    assert all(row.value is not None for row in pick(rows, statistic="rank_sensitivity"))
    assert any("0.v_proj: features do not vary" in note.reason for note in result.notes)


def test_failed_passes_drop_out_and_differences_are_over_what_both_have(models):
    request = requested(models)
    shelf = told_apart(request)
    shelf.broken.add(("low", CLIPS[3].clip_id))
    result = ranks.compute(shelf, request)
    count = {
        (row.model, row.versus): row.n for row in pick(list(result.rows()), statistic="silhouette", component=None)
    }
    assert count == {("low", None): 23, ("high", None): 24, ("high", "low"): 23}
    assert any("1 of 24 clips" in note.reason for note in result.notes)


def test_adapters_over_other_bases_have_no_differences(models):
    other = replace(models[1], base_fingerprint="another")
    request = requested((models[0], other, models[2]))
    result = ranks.compute(told_apart(request), request)
    assert not [row for row in result.rows() if row.versus]
    assert any("different bases" in note.reason for note in result.notes)


def test_models_without_lora_have_no_rows(models):
    request = requested(models[:1])
    assert ranks.needs(request) == () and list(ranks.compute(make_adapters(request), request).rows()) == []


def test_silhouettes_by_hand():
    """Rousseeuw's formula; a clip alone in its class has no value, where scikit-learn would say 0."""
    points = np.array([[0.0], [1.0], [4.0], [6.0], [50.0], [7.0]])
    got = silhouettes(points, np.array([0, 0, 1, 1, 2, -1]))
    assert got[:4] == pytest.approx([(5 - 1) / 5, (4 - 1) / 4, (3.5 - 2) / 3.5, (5.5 - 2) / 5.5])
    assert np.isnan(got[4:]).all()


def test_neighbours_are_of_other_speakers():
    """The nearest clip of all is always the same speaker's."""
    points = np.array([[0.0], [0.1], [1.0], [1.1], [3.0], [3.1]])
    got = purity(points, np.array([0, 0, 0, 1, 1, 1]), np.array([0, 0, 1, 1, 2, 2]), k=2)
    assert got == pytest.approx([0.5, 0.5, 1.0, 0.0, 0.5, 0.5])
    assert np.isnan(purity(points, np.zeros(6, dtype=np.int64), np.array([0, 0, 0, 0, 0, 1]), k=2)[:5]).all()


def test_the_probe_never_hears_the_speaker():
    """Labels that only follow from who speaks cannot be told; a class that one speaker alone has is not asked."""
    speakers = np.repeat(np.arange(4), 6)
    labels = np.tile([0, 1], 12)
    rng = np.random.default_rng(0)
    shared = np.where(labels[:, None] == 1, 3.0, -3.0) + rng.normal(size=(24, 3))
    assert probe(shared, labels, speakers).mean() == 1
    own = np.zeros((24, 8))
    own[np.arange(24), 2 * speakers + labels] = 1.0  # a feature of its own for every speaker and class
    assert probe(own, labels, speakers).mean() <= 0.5
    alone = labels.copy()
    alone[:2] = 2
    got = probe(shared, alone, speakers)
    assert np.isnan(got[:2]).all() and np.isfinite(got[2:]).all()


def test_the_control_deals_labels_among_each_speakers_clips():
    labels, speakers = np.array([0, 1, 2, -1] * 6), np.repeat(np.arange(3), 8)
    dealt = shuffled(labels, speakers, 1)
    assert (dealt == shuffled(labels, speakers, 1)).all() and (dealt != labels).any()
    assert ((dealt == -1) == (labels == -1)).all()
    for speaker in range(3):
        assert sorted(dealt[speakers == speaker]) == sorted(labels[speakers == speaker])


@pytest.mark.parametrize("n", [1, 2, 4, 5])
def test_maps_of_very_few_clips_and_of_rank_1(n):
    """One axis is enough, and nothing breaks before there is one."""
    got = plane(np.arange(n, dtype=np.float64)[:, None] - (n - 1) / 2, pca_init=True)
    assert np.isfinite(got[:, :2]).all() == (n >= 5)
    assert np.isfinite(got[:, 2:]).all() == (n > 1)
