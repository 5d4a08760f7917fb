"""Every number of predict, contributions and lens against the float64 oracle, on odd shapes, in every variant."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from scipy.special import log_softmax, softmax

from core.analyses.request import AnalysisRequest
from core.engine.interface import Pass
from core.engine.local import LocalEngine
from core.store.forward import ForwardRecord, unpack_gram
from core.store.store import Store
from core.studies.answers import answer
from core.studies.compute import results
from core.studies.slices import WHOLE
from tests.analyses import textbook
from tests.capture.conftest import Zoo
from tests.capture.oracle import Oracle, close, near

Make = Callable[..., tuple[LocalEngine, Store]]
NAMES = ("frozen", "qv", "all", "full", "weighted")


@pytest.fixture(scope="session")
def oracles(zoo: Zoo) -> dict[tuple[str, str], Oracle]:
    return {(name, clip.clip_id): zoo.oracle(name, clip) for name in NAMES for clip in zoo.clips}


def _records(zoo: Zoo, engine: LocalEngine, store: Store, lora: bool = False) -> dict[tuple[str, str], ForwardRecord]:
    passes = [Pass(model, clip, lora=lora) for model in zoo.models.models for clip in zoo.clips]
    job = engine.submit(passes, title="records")
    assert job.wait(120)
    assert not job.failures
    found = {}
    for task in passes:
        arrays = store.read(task.keys(engine.precision)[0])
        assert arrays is not None
        found[task.model.name, task.clip.clip_id] = ForwardRecord.from_arrays(arrays)
    return found


@pytest.mark.parametrize("batch_size", [1, 5])
def test_every_array_of_the_record(zoo: Zoo, make_engine: Make, oracles: dict, batch_size: int) -> None:
    engine, store = make_engine(batch_size=batch_size)
    for where, record in _records(zoo, engine, store).items():
        wanted = oracles[where]
        for field in ("relative", "cosine", "residual_norm"):
            assert close(getattr(record, field), getattr(wanted, field)), (where, field)
        for field in ("mean_raw", "mean_normed", "lens_raw", "lens_normed"):
            assert near(getattr(record, field), getattr(wanted, field)), (where, field)
        assert close(record.logits, wanted.logits), where
        for module, activations in wanted.x_a.items():
            grams = record.gram_a[module]
            for packed, count in ((grams[0], None), (grams[1], record.audio_frames)):
                assert near(unpack_gram(packed), activations[:count].T @ activations[:count]), (where, module)
        assert set(record.gram_a) == set(wanted.x_a)


def test_lora_activations(zoo: Zoo, make_engine: Make, oracles: dict) -> None:
    engine, store = make_engine()
    _records(zoo, engine, store, lora=True)
    for name, modules in (("qv", 10), ("all", 30)):
        for clip in zoo.clips:
            keys = Pass(zoo.models.named(name), clip, lora=True).keys(engine.precision)
            arrays = store.read(keys[1])
            assert arrays is not None
            assert sum(key.startswith("x.") for key in arrays) == modules
            for module, wanted in oracles[name, clip.clip_id].x_a.items():
                got = arrays[f"x.{module}"].astype(np.float64) * arrays[f"scale.{module}"]
                assert np.abs(got - wanted).max() <= 1e-3 * np.abs(wanted).max()


def test_batches_of_one_and_of_five_agree(zoo: Zoo, make_engine: Make) -> None:
    one = _records(zoo, *make_engine("one", batch_size=1))
    five = _records(zoo, *make_engine("five", batch_size=5))
    for where, record in one.items():
        assert near(five[where].lens_raw, record.lens_raw)
        assert close(five[where].relative, record.relative, 1e-5)


VARIANTS = list(itertools.product(("published", "released", "corrected"), ("all", "audio")))


@pytest.mark.parametrize("batch_size", [1, 5])
@pytest.mark.parametrize(("variant", "frames"), VARIANTS)
def test_rows(zoo: Zoo, make_engine: Make, oracles: dict, variant: str, frames: str, batch_size: int) -> None:
    """Every row there is, and no other: which numbers there are is as fixed as what they are."""
    engine, store = make_engine(batch_size=batch_size)
    request = AnalysisRequest(zoo.models.models, zoo.clips, "frozen", variant, frames)
    names = ["predict", "contributions", "lens"]
    answers = answer(names, request, engine, store, lambda *what: results(*what, store, engine.precision))
    assert not answers.failures
    by_model = {name: [oracles[name, clip.clip_id] for clip in zoo.clips] for name in NAMES}
    lenses = {name: make_lens(zoo, name, by_model[name], variant, frames) for name in NAMES}
    wanted: dict[str, Expected] = {name: {} for name in names}
    for name, mine in by_model.items():
        wanted["predict"] |= expect_predictions(zoo, name, mine)
        wanted["contributions"] |= expect_contributions(name, mine, by_model["frozen"], frames)
        wanted["lens"] |= expect_lens(zoo, name, lenses[name], lenses["frozen"])
    for analysis, result in answers.results[WHOLE].items():
        rows = {(r.model, r.versus, r.layer, r.component, r.statistic, r.clip_id): r for r in result.rows()}
        assert rows.keys() == wanted[analysis].keys()
        for place, value in wanted[analysis].items():
            got = rows[place].value
            tolerance = 2e-3 if "cka" in place[4] else 1e-4
            assert (got is None) == (value is None) and (value is None or close(got, value, tolerance)), (place, value)


Place = tuple[str, str | None, int | None, str | None, str, str | None]  # model, versus, layer, component, …
Expected = dict[Place, float | None]


def expect_predictions(zoo: Zoo, name: str, mine: list[Oracle]) -> Expected:
    labels = zoo.models.named(name).labels
    return {
        (name, None, None, label, "prob", clip.clip_id): value
        for clip, oracle in zip(zoo.clips, mine, strict=True)
        for label, value in zip(labels, softmax(oracle.logits), strict=True)
    }


def expect_contributions(name: str, mine: list[Oracle], reference: list[Oracle], frames: str) -> Expected:
    f = ("all", "audio").index(frames)
    found: Expected = {}
    for statistic in ("relative", "cosine", "residual_norm"):
        own, other = (np.array([getattr(oracle, statistic) for oracle in side]) for side in (mine, reference))
        for prefix, versus, each in (
            ("", None, own[:, f]),
            ("padding_", None, own[:, 0] - own[:, 1]),
            ("", "frozen", own[:, f] - other[:, f]),
        ):
            if versus == name:
                continue
            curves = dict(zip(("attention", "mlp", "sum"), each.mean(axis=0), strict=True)) if each.ndim == 3 else {}
            for component, curve in (curves or {None: each.mean(axis=0)}).items():
                found |= {(name, versus, i, component, prefix + statistic, None): v for i, v in enumerate(curve)}
            if statistic == "relative" and not prefix:
                size = np.abs(curves["sum"])  # where the encoders are one and the same nothing differs
                layer = float(size.argmax()) if size.max() > 1e-9 else None
                found[name, versus, None, "landmark", "strongest", None] = layer
    return found


@dataclass
class LensTruth:
    """One model's lens in float64; arrays are clips x points unless said."""

    classes: tuple[str, ...]
    truth: np.ndarray  # clips
    probabilities: np.ndarray  # clips x points x classes
    final: np.ndarray  # clips, the class that the model predicts
    kl: np.ndarray
    cka: np.ndarray  # points

    @property
    def said(self) -> np.ndarray:
        return self.probabilities.argmax(axis=2)

    def curves(self) -> dict[str, np.ndarray]:
        right = self.said == self.truth[:, None]
        each = np.arange(len(self.truth))
        return {
            "kl": self.kl.mean(axis=0),
            "overlap": (self.said == self.final[:, None]).mean(axis=0),
            "accuracy": right.mean(axis=0),
            "uar": np.mean([right[self.truth == label].mean(axis=0) for label in np.unique(self.truth)], axis=0),
            "label_prob": self.probabilities[each, :, self.truth].mean(axis=0),
        }


def make_lens(zoo: Zoo, name: str, mine: list[Oracle], variant: str, frames: str) -> LensTruth:
    model = zoo.models.named(name)
    logits = []
    for clip, oracle in zip(zoo.clips, mine, strict=True):
        per_frame = oracle.lens_normed if variant == "corrected" else oracle.lens_raw
        count = None if frames == "all" else -(-clip.n_samples // 320)
        logits.append(per_frame[:, :count].mean(axis=1))
    lens = log_softmax(np.array(logits), axis=-1)
    own = log_softmax(np.array([oracle.logits for oracle in mine]), axis=-1)[:, None]
    p, q = (own, lens) if variant == "released" else (lens, own)
    means = np.array([oracle.mean_raw[("all", "audio").index(frames)] for oracle in mine])
    return LensTruth(
        classes=model.labels,
        truth=np.array([model.labels.index(clip.label) for clip in zoo.clips]),
        probabilities=np.exp(lens),
        final=own[:, 0].argmax(axis=-1),
        kl=(np.exp(p) * (p - q)).sum(-1),
        cka=np.array([textbook.cka(means[:, i], means[:, -1], "linear", variant) for i in range(means.shape[1])]),
    )


def expect_lens(zoo: Zoo, name: str, mine: LensTruth, reference: LensTruth) -> Expected:
    found: Expected = {}
    own, other = mine.curves(), reference.curves()
    for statistic, curve in own.items():
        for i, value in enumerate(curve):
            found[name, None, i, None, statistic, None] = value
            if name != "frozen":
                found[name, "frozen", i, None, statistic, None] = value - other[statistic][i]
    saturation = [settled(said == final) for said, final in zip(mine.said, mine.final, strict=True)]
    critical = []
    for c, clip in enumerate(zoo.clips):
        critical.append(centre(mine.probabilities[c, :, mine.truth[c]], len(mine.classes)))
        for i, values in enumerate(mine.probabilities[c]):
            found[name, None, i, None, "kl_clip", clip.clip_id] = mine.kl[c, i]
            found |= {(name, None, i, mine.classes[k], "prob", clip.clip_id): v for k, v in enumerate(values)}
        found[name, None, None, "landmark", "saturation", clip.clip_id] = saturation[c]
        found[name, None, None, "landmark", "critical", clip.clip_id] = critical[c]
    for i, values in enumerate(mine.probabilities.mean(axis=0)):
        found[name, None, i, None, "cka_to_last", None] = mine.cka[i]
        found |= {(name, None, i, mine.classes[k], "mean_prob", None): v for k, v in enumerate(values)}
    kl, rises = own["kl"], np.diff(mine.cka)
    landmarks = {
        "saturation": mean_of_some(saturation),
        "critical": centre(own["accuracy"], len(mine.classes)),
        "critical_mean": mean_of_some(critical),
        "kl_min": kl.argmin(),
        "kl_rebound": kl[-1] - kl.min(),
        "commitment": settled(kl < 0.1 * kl.max()),
        "cka_jump": rises.argmax() + 1 if rises.max() > 0 else None,
    }
    return found | {(name, None, None, "landmark", key, None): value for key, value in landmarks.items()}


def settled(holds: np.ndarray) -> float | None:
    """The first point from which it holds to the end."""
    return next((float(i) for i in range(len(holds)) if holds[i:].all()), None)


def centre(scores: np.ndarray, classes: int) -> float | None:
    kept = [(i, score) for i, score in enumerate(scores) if score >= 1 / classes]
    return sum(i * score for i, score in kept) / sum(score for _, score in kept) if kept else None


def mean_of_some(values: list[float | None]) -> float | None:
    some = [value for value in values if value is not None]
    return float(np.mean(some)) if some else None


def test_the_last_corrected_point_is_the_model_itself(zoo: Zoo, make_engine: Make) -> None:
    for (name, _), record in _records(zoo, *make_engine()).items():
        if name != "weighted":  # its head sees all layers, so there is no single last one
            assert np.abs(record.lens_normed[-1].mean(axis=0) - record.logits).max() <= 1e-5


def test_clips_of_any_length_up_to_the_window(zoo: Zoo, make_engine: Make) -> None:
    engine, store = make_engine()
    for (_, clip_id), record in _records(zoo, engine, store).items():
        n = next(clip.n_samples for clip in zoo.clips if clip.clip_id == clip_id)
        assert record.n_samples == n
        assert record.audio_frames == -(-n // 320)
