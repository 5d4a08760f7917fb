"""Every number of predict, contributions and lens against the float64 oracle, on odd shapes, in every variant."""

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from scipy.special import log_softmax, softmax

from core.analyses.request import AnalysisRequest, Row
from core.engine.interface import Pass
from core.engine.local import LocalEngine
from core.store.forward import ForwardRecord, unpack_gram
from core.store.store import Store
from core.studies.answers import answer
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
    engine, store = make_engine(batch_size=batch_size)
    request = AnalysisRequest(zoo.models.models, zoo.clips, "frozen", variant, frames)
    answers = answer(["predict", "contributions", "lens"], request, engine, store)
    assert not answers.failures
    rows = {name: list(result.rows()) for name, result in answers.results.items()}
    for name in NAMES:
        mine = [oracles[name, clip.clip_id] for clip in zoo.clips]
        reference = [oracles["frozen", clip.clip_id] for clip in zoo.clips]
        _check_predict(rows["predict"], zoo, name, mine)
        _check_contributions(rows["contributions"], name, mine, reference, frames)
        _check_lens(rows["lens"], zoo, name, mine, variant, frames)


def _values(rows: list[Row], **columns: object) -> list[Row]:
    return [row for row in rows if all(getattr(row, key) == value for key, value in columns.items())]


def _check_predict(rows: list[Row], zoo: Zoo, name: str, mine: list[Oracle]) -> None:
    labels = zoo.models.named(name).labels
    for clip, oracle in zip(zoo.clips, mine, strict=True):
        for label, wanted in zip(labels, softmax(oracle.logits), strict=True):
            (row,) = _values(rows, model=name, clip_id=clip.clip_id, component=label, statistic="prob")
            assert close(row.value, wanted)


def _check_contributions(rows: list[Row], name: str, mine: list[Oracle], reference: list[Oracle], frames: str) -> None:
    f = ("all", "audio").index(frames)
    for statistic, (c, component) in itertools.product(("relative", "cosine"), enumerate(("attention", "mlp", "sum"))):
        curve = np.mean([getattr(oracle, statistic)[f, c] for oracle in mine], axis=0)
        other = np.mean([getattr(oracle, statistic)[f, c] for oracle in reference], axis=0)
        for layer, wanted in enumerate(curve):
            here = {"model": name, "component": component, "statistic": statistic, "layer": layer}
            (row,) = _values(rows, versus=None, **here)
            assert close(row.value, wanted)
            assert row.n == len(mine)
            assert row.ci_low < row.ci_high
            if name != "frozen":
                (row,) = _values(rows, versus="frozen", **here)
                assert close(row.value, wanted - other[layer])


def _check_lens(rows: list[Row], zoo: Zoo, name: str, mine: list[Oracle], variant: str, frames: str) -> None:
    model = zoo.models.named(name)
    points = model.shape.layers + 1
    logits = []
    for clip, oracle in zip(zoo.clips, mine, strict=True):
        per_frame = oracle.lens_normed if variant == "corrected" else oracle.lens_raw
        count = None if frames == "all" else -(-clip.n_samples // 320)
        logits.append(per_frame[:, :count].mean(axis=1))
    lens = log_softmax(np.array(logits), axis=-1)
    own = log_softmax(np.array([oracle.logits for oracle in mine]), axis=-1)[:, None]
    p, q = (own, lens) if variant == "released" else (lens, own)
    kl = (np.exp(p) * (p - q)).sum(-1).mean(0)
    agree = (lens.argmax(-1) == own.argmax(-1)).mean(0)
    truth = np.array([model.labels.index(clip.label) for clip in zoo.clips])
    right = lens.argmax(-1) == truth[:, None]
    recalls = [right[truth == label].mean(0) for label in np.unique(truth)]
    for point in range(points):
        here = {"model": name, "versus": None, "layer": point, "clip_id": None}
        for statistic, wanted in (
            ("kl", kl[point]),
            ("overlap", agree[point]),
            ("accuracy", right.mean(0)[point]),
            ("uar", np.mean(recalls, axis=0)[point]),
        ):
            (row,) = _values(rows, statistic=statistic, component=None, **here)
            assert close(row.value, wanted), (name, statistic, point)
        for i, clip in enumerate(zoo.clips):
            for c, label in enumerate(model.labels):
                (row,) = _values(rows, model=name, layer=point, clip_id=clip.clip_id, component=label, statistic="prob")
                assert close(row.value, np.exp(lens[i, point, c]))


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
