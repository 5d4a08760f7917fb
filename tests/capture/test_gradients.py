"""Gradients, sums over sets and weights against plain autograd, numpy and PEFT in float64."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from peft import PeftModel
from transformers import WhisperFeatureExtractor, WhisperForAudioClassification

import core.engine.sets
from core.capture.gradients import CapturedGradient, capture_gradients
from core.capture.weights import left_svd
from core.corpora.clip import Clip
from core.engine.interface import GradientPass, ModelPass, Pass, SetPass, Task
from core.engine.local import LocalEngine
from core.errors import Refusal
from core.models.describe import describe_registry
from core.models.info import ModelInfo
from core.store.forward import ForwardRecord
from core.store.gradient import GradientRecord
from core.store.key import Key
from core.store.lora import LoraRecord
from core.store.model import ModelRecord
from core.store.sets import SetRecord
from core.store.store import Store
from tests.capture.conftest import Zoo
from tests.capture.gradient_oracle import Gradients, run_gradients
from tests.capture.oracle import close, near
from tests.checkpoints import LABELS, classifier_over, save_adapter, save_extractor, write_registry

Make = Callable[..., tuple[LocalEngine, Store]]
TARGETS = (0, 3, 1, 2, 2, 0)  # not the clips' own labels: a class is what is asked for
NAMES = ("qv", "all", "mixed", "weighted-lora")

pytestmark = pytest.mark.usefixtures("one_thread")


@dataclass(frozen=True)
class Adapters:
    """Adapted models of every kind with PEFT's own loading of them, and the oracle's answers for every clip."""

    models: dict[str, ModelInfo]
    references: dict[str, Callable[[], PeftModel]]
    wanted: dict[str, list[Gradients]]


@pytest.fixture(scope="session")
def adapters(zoo: Zoo, tmp_path_factory: pytest.TempPathFactory) -> Adapters:
    """Two targets; six with rsLoRA; odd ranks and alphas on some layers; under a head that weighs all layers."""
    root = tmp_path_factory.mktemp("adapters")
    mixed = {"r": 7, "rank_pattern": {"layers.1.self_attn.q_proj": 9}, "alpha_pattern": {"fc1": 20}}
    mixed |= {"layers_to_transform": [1, 3], "target_modules": ["q_proj", "k_proj", "fc1"]}
    save_adapter(root / "mixed", zoo.base, seed=8, **mixed)
    weighted = classifier_over(zoo.base, 6, use_weighted_layer_sum=True)
    with torch.no_grad():
        weighted.layer_weights.copy_(torch.linspace(-1, 2, weighted.layer_weights.numel()))
    weighted.save_pretrained(root / "weighted")
    save_extractor(root / "weighted", weighted.config)
    save_adapter(root / "weighted-lora", root / "weighted", seed=9, r=4, target_modules=["out_proj", "fc2"])
    registry = write_registry(
        root / "models.toml",
        [
            {"name": "mixed", "base": str(zoo.base), "adapter": "mixed", "labels": LABELS},
            {"name": "weighted-lora", "base": "weighted", "adapter": "weighted-lora", "labels": LABELS},
        ],
    )
    described = describe_registry(registry, Store(root / "cache", 1.0).index)
    assert not described.refused
    models = {name: zoo.models.named(name) for name in ("qv", "all")}
    models |= {model.name: model for model in described.models}

    def over_weighted() -> PeftModel:
        whole = WhisperForAudioClassification.from_pretrained(root / "weighted")
        return PeftModel.from_pretrained(whole, str(root / "weighted-lora"))

    references = {
        "qv": zoo.references["qv"],
        "all": zoo.references["all"],
        "mixed": lambda: PeftModel.from_pretrained(classifier_over(zoo.base, 99), str(root / "mixed")),
        "weighted-lora": over_weighted,
    }
    extractor = WhisperFeatureExtractor.from_pretrained(zoo.base)
    wanted = {}
    for name in NAMES:
        wanted[name] = []
        for clip, target in zip(zoo.clips, TARGETS, strict=True):
            sound = zoo.samples[clip.clip_id]
            features = extractor(sound, sampling_rate=16_000, return_tensors="pt").input_features[0]
            wanted[name].append(run_gradients(references[name](), features, target))
    return Adapters(models, references, wanted)


def _all(model: ModelInfo, zoo: Zoo) -> tuple[GradientPass, ...]:
    return tuple(GradientPass.over(model, clip, 0, target) for clip, target in zip(zoo.clips, TARGETS, strict=True))


def _whole(model: ModelInfo, zoo: Zoo, **more: object) -> SetPass:
    return SetPass(model, zoo.clips, TARGETS, **more)


def _done(engine: LocalEngine, *tasks: Task) -> None:
    job = engine.submit(tasks, title="test")
    assert job.wait(120)
    assert not job.failures
    assert job.done == job.total


def _arrays(store: Store, key: Key) -> dict[str, np.ndarray]:
    arrays = store.read(key)
    assert arrays is not None
    return arrays


def _set_record(engine: LocalEngine, store: Store, task: SetPass) -> SetRecord:
    return SetRecord.from_arrays(_arrays(store, task.keys(engine.precision)[0]))


def _audio(clip: Clip) -> int:
    return -(-clip.n_samples // 320)


@pytest.mark.parametrize("batch_size", [1, 5])
@pytest.mark.parametrize("name", NAMES)
def test_every_array_of_a_gradient_record(
    zoo: Zoo, adapters: Adapters, make_engine: Make, name: str, batch_size: int
) -> None:
    engine, store = make_engine(batch_size=batch_size)
    model = adapters.models[name]
    tasks = _all(model, zoo)
    _done(engine, *tasks)
    for task, wanted in zip(tasks, adapters.wanted[name], strict=True):
        record = GradientRecord.from_arrays(_arrays(store, task.keys(engine.precision)[0]))
        count = _audio(task.clip)
        assert close(record.loss, wanted.loss)
        assert record.audio_frames == count
        assert set(record.g_a) == set(wanted.g_a) == {module.name for module in model.lora}
        for module, g_a in wanted.g_a.items():
            g_b = wanted.g_b[module]
            assert near(record.g_a[module].values, g_a, 1e-3)
            assert near(record.norm_a[module], np.array([np.linalg.norm(g) for g in (g_a, g_a[:count])]), 1e-5)
            assert near(record.norm_b[module], np.array([np.linalg.norm(g) for g in (g_b, g_b[:count])]), 1e-5)
            for got, part in zip(record.mean_b[module], (g_b, g_b[:count]), strict=True):
                assert np.abs(got - part.mean(0)).max() <= 2e-5 * np.linalg.norm(part) / np.sqrt(len(part))
                if "k_proj" in module and len(part) == len(g_b):
                    assert not got.any()  # it is 0 but for rounding, which no CKA may be made of
                else:
                    assert got.any()


def test_the_same_pass_leaves_the_forward_and_lora_records(zoo: Zoo, adapters: Adapters, make_engine: Make) -> None:
    """So that contributions, lens and activations need no pass of their own."""
    beside, beside_store = make_engine("beside", batch_size=5)
    plain, plain_store = make_engine("plain", batch_size=5)
    for name in NAMES:
        model = adapters.models[name]
        passes = [Pass(model, clip, lora=True) for clip in zoo.clips]
        _done(beside, *_all(model, zoo))
        assert beside.submit(passes, title="found").hits == len(passes)
        _done(plain, *passes)
        for task in passes:
            keys = task.keys(plain.precision)
            one, other = (ForwardRecord.from_arrays(_arrays(s, keys[0])) for s in (beside_store, plain_store))
            assert near(one.lens_raw, other.lens_raw) and near(one.mean_normed, other.mean_normed)
            assert close(one.logits, other.logits) and close(one.relative, other.relative)
            mine, theirs = (LoraRecord.from_arrays(_arrays(s, keys[1])) for s in (beside_store, plain_store))
            for module in mine.x:
                assert near(mine.x[module].values, theirs.x[module].values, 1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_sums_over_a_set_are_those_of_the_stacked_gradients(
    zoo: Zoo, adapters: Adapters, make_engine: Make, name: str
) -> None:
    """Streamed, in batches that do not divide the set, and with clips given in another order."""
    engine, store = make_engine(batch_size=4)
    model, wanted = adapters.models[name], adapters.wanted[name]
    order = [3, 0, 5, 1, 4, 2]
    task = SetPass(model, tuple(zoo.clips[i] for i in order), tuple(TARGETS[i] for i in order))
    assert task.keys(engine.precision) == _whole(model, zoo).keys(engine.precision)
    _done(engine, task)
    record = _set_record(engine, store, task)
    weights = ModelRecord.from_arrays(_model_arrays(engine, store, model)).modules
    assert record.n == len(zoo.clips)
    for module in (one.name for one in model.lora):
        g_b = np.concatenate([one.g_b[module] for one in wanted])
        assert near(record.gram_b(module, 0), g_b.T @ g_b, 1e-5)
        spectrum = np.linalg.svd(g_b, compute_uv=False)
        got = np.sqrt(np.linalg.eigvalsh(record.gram_b(module, 0))[::-1].clip(0))
        assert np.abs(got - spectrum).max() <= 1e-5 * spectrum[0]
        audio = np.concatenate([one.g_b[module][: _audio(c)] for one, c in zip(wanted, zoo.clips, strict=True)])
        assert near(record.gram_b(module, 1), audio.T @ audio, 1e-5)
        flat = np.stack([one.g_b[module].ravel() for one in wanted])
        assert near(record.kernel_b[module], flat @ flat.T, 1e-5)
        g_a = np.concatenate([one.g_a[module] for one in wanted])
        b = weights[module].b.astype(np.float64)
        assert near(b.T @ record.gram_b(module, 0) @ b, g_a.T @ g_a, 1e-5)  # G_A = G_B B
        for one in wanted:
            assert near(one.x[module] @ b.T, one.y[module], 1e-6)  # X_B = X_A B^T


def _model_arrays(engine: LocalEngine, store: Store, model: ModelInfo) -> dict[str, np.ndarray]:
    _done(engine, ModelPass(model))
    return _arrays(store, ModelPass(model).keys(engine.precision)[0])


def test_a_set_does_not_depend_on_the_batch(zoo: Zoo, adapters: Adapters, make_engine: Make) -> None:
    model = adapters.models["all"]
    records = []
    for size in (1, 5):
        engine, store = make_engine(str(size), batch_size=size)
        _done(engine, _whole(model, zoo))
        records.append(_set_record(engine, store, _whole(model, zoo)))
    for module in records[0].packed:
        assert near(records[1].packed[module], records[0].packed[module], 1e-5)
        assert near(records[1].kernel_b[module], records[0].kernel_b[module], 1e-5)


def test_a_set_goes_before_the_passes_that_it_makes_needless(zoo: Zoo, adapters: Adapters, make_engine: Make) -> None:
    """One forward and backward pass a clip feeds everything, in whatever order it was asked for."""
    engine, store = make_engine(batch_size=5)
    model = adapters.models["qv"]
    passes = [Pass(model, clip, lora=True) for clip in zoo.clips]
    written: list[str] = []
    write = store.write
    runner_store = engine._backend._store
    write = runner_store.write
    runner_store.write = lambda key, arrays: (written.append(f"{key.kind} {key.of}"), write(key, arrays))[1]
    _done(engine, *passes, *_all(model, zoo), _whole(model, zoo))
    assert len(written) == len(set(written)) == 3 * len(zoo.clips) + 1


def test_a_clip_alone_keeps_its_frames(zoo: Zoo, adapters: Adapters, make_engine: Make) -> None:
    """Its audio frames are then the rows that are compared."""
    engine, store = make_engine()
    model = adapters.models["qv"]
    task = SetPass(model, zoo.clips[1:2], TARGETS[1:2])
    _done(engine, task)
    record = _set_record(engine, store, task)
    for module, g_b in adapters.wanted["qv"][1].g_b.items():
        assert near(record.g_b[module].values, g_b[: _audio(zoo.clips[1])], 2e-3)
    _done(engine, _whole(model, zoo))
    assert not _set_record(engine, store, _whole(model, zoo)).g_b


def test_without_kernels_nothing_goes_to_disk(zoo: Zoo, adapters: Adapters, make_engine: Make) -> None:
    engine, store = make_engine(spill_max_gb=0)
    task = _whole(adapters.models["qv"], zoo, kernels=False)
    _done(engine, task)
    record = _set_record(engine, store, task)
    assert not record.kernel_b and set(record.packed) == set(adapters.wanted["qv"][0].g_b)


def test_a_set_that_is_done_leaves_nothing_behind(zoo: Zoo, adapters: Adapters, make_engine: Make) -> None:
    engine, store = make_engine()
    _done(engine, _whole(adapters.models["qv"], zoo))
    assert list((store.directory / "partial").iterdir()) == []


def test_gradients_that_need_too_much_disk_are_refused(zoo: Zoo, adapters: Adapters, make_engine: Make) -> None:
    engine, _ = make_engine(spill_max_gb=1e-6)
    task = _whole(adapters.models["qv"], zoo)
    assert task.spill_bytes == 6 * 100 * 10 * 48 * 2  # clips, frames, modules, width, 16 bit
    job = engine.submit([task], title="test")
    assert job.wait(60)
    assert "LORASCOPE_SPILL_MAX_GB" in job.failures[0].reason
    assert (job.failed, job.done) == (6, job.total)


def test_a_model_without_lora_is_refused(zoo: Zoo, make_engine: Make) -> None:
    engine, _ = make_engine()
    model = zoo.models.named("frozen")
    job = engine.submit([GradientPass(model, zoo.clips[0], 0, 0), _whole(model, zoo)], title="test")
    assert job.wait(60)
    assert ["has no LoRA modules" in failure.reason for failure in job.failures] == [True, True]


def test_a_clip_that_fails_leaves_the_set_of_the_others(
    zoo: Zoo, adapters: Adapters, make_engine: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One can't be read, one overflows; the rest is a set of its own, and asking again computes none of it again."""
    engine, store = make_engine(batch_size=2)
    gone, loud = zoo.clips[2], zoo.clips[4]

    def samples_of(clip: Clip) -> np.ndarray:
        if clip == gone:
            raise Refusal("it is gone")
        return zoo.samples[clip.clip_id] * (np.float32(np.nan) if clip == loud else np.float32(1))

    engine._samples_of = samples_of
    task = _whole(adapters.models["qv"], zoo)
    made: list[int] = []

    def counting(model: object, clips: list, *rest: object) -> list[CapturedGradient]:
        made.append(len(clips))
        return capture_gradients(model, clips, *rest)

    monkeypatch.setattr(core.engine.sets, "capture_gradients", counting)
    for _ in range(2):
        job = engine.submit([task], title="test")
        assert job.wait(60)
        assert {failure.clip: failure.reason for failure in job.failures} == {
            gone: "it is gone",
            loud: "qv overflows on this clip in float32: use --dtype float32.",
        }
        assert (job.failed, job.done) == (2, 6)
        rest = task.without([gone, loud])
        assert rest is not None
        record = _set_record(engine, store, rest)
        flat = np.stack([adapters.wanted["qv"][i].g_b["2.v_proj"].ravel() for i in (0, 1, 3, 5)])
        assert near(record.kernel_b["2.v_proj"], flat @ flat.T, 1e-5)
        stacked = np.concatenate([adapters.wanted["qv"][i].g_b["2.v_proj"] for i in (0, 1, 3, 5)])
        assert near(record.gram_b("2.v_proj", 0), stacked.T @ stacked, 1e-5)
        once, made = made, []
    assert sum(once) == 1  # the second time only the loud clip is tried again


def test_a_batch_that_does_not_fit_is_halved_and_counts_once(
    zoo: Zoo, adapters: Adapters, make_engine: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory runs out after the sums took the batch: they must forget it."""

    def small(model: object, clips: list, *rest: object) -> list[CapturedGradient]:
        made = capture_gradients(model, clips, *rest)
        if len(clips) > 2:
            raise torch.OutOfMemoryError("too much")
        return made

    monkeypatch.setattr(core.engine.sets, "capture_gradients", small)
    engine, store = make_engine(batch_size=4)
    task = _whole(adapters.models["qv"], zoo)
    _done(engine, task)
    record = _set_record(engine, store, task)
    for module in record.packed:
        stacked = np.concatenate([one.g_b[module] for one in adapters.wanted["qv"]])
        assert near(record.gram_b(module, 0), stacked.T @ stacked, 1e-5)


def test_gradients_survive_half_precision(zoo: Zoo, adapters: Adapters, make_engine: Make) -> None:
    """A frame's gradient is far below what float16 holds; it must not vanish."""
    engine, store = make_engine(dtype="float16")
    tasks = _all(adapters.models["all"], zoo)
    _done(engine, *tasks)
    for task, wanted in zip(tasks, adapters.wanted["all"], strict=True):
        record = GradientRecord.from_arrays(_arrays(store, task.keys(engine.precision)[0]))
        for module, g_b in wanted.g_b.items():
            assert abs(record.norm_b[module][0] / np.linalg.norm(g_b) - 1) < 0.05


@pytest.fixture
def merged(adapters: Adapters) -> Iterator[Callable[[str, str], tuple[np.ndarray, np.ndarray]]]:
    """W and W + dW of a module as PEFT merges them, in float64."""

    def of(name: str, module: str) -> tuple[np.ndarray, np.ndarray]:
        model = adapters.references[name]().double()
        layer, target = module.split(".")
        path = {"fc1": "fc1", "fc2": "fc2"}.get(target, f"self_attn.{target}")
        where = f"encoder.layers.{layer}.{path}"
        before = model.get_base_model().get_submodule(where).base_layer.weight.detach().numpy().copy()
        return before, model.merge_and_unload().get_submodule(where).weight.detach().numpy()

    yield of


@pytest.mark.parametrize(
    ("name", "module"),
    [("qv", "0.q_proj"), ("all", "3.fc1"), ("all", "2.fc2"), ("mixed", "1.q_proj"), ("mixed", "3.fc1")],
)
def test_weights_are_those_that_peft_merges(
    adapters: Adapters, make_engine: Make, merged: Callable, name: str, module: str
) -> None:
    """Full SVDs of W and of what PEFT merges: scaling, rsLoRA and alpha patterns are PEFT's own."""
    engine, store = make_engine()
    model = adapters.models[name]
    record = ModelRecord.from_arrays(_model_arrays(engine, store, model))
    assert set(record.modules) == {one.name for one in model.lora}
    got = record.modules[module]
    w, total = merged(name, module)
    rank = next(one.rank for one in model.lora if one.name == module)
    u, s, vt = np.linalg.svd(w, full_matrices=False)
    u_sum, s_sum, _ = np.linalg.svd(total, full_matrices=False)
    u_dw, s_dw, vt_dw = np.linalg.svd(total - w, full_matrices=False)
    assert near(got.scaling * got.b.astype(np.float64) @ got.a, total - w, 1e-5)
    assert near(got.s_w, s, 1e-6) and near(got.s_wdw, s_sum, 1e-6) and near(got.s_dw, s_dw[:rank], 1e-6)
    assert near(got.v_dw.T @ got.v_dw, vt_dw[:rank].T @ vt_dw[:rank], 1e-5)
    assert near(got.cos_intruder, np.abs(u.T @ u_sum[:, :10]).max(axis=0), 1e-4)
    shares = [(np.linalg.norm(u[:, :k].T @ u_dw[:, :k]) ** 2 / k) for k in range(1, rank + 1)]
    assert near(got.overlap_u, np.array(shares), 1e-4)
    shares = [(np.linalg.norm(vt[:k] @ vt_dw[:k].T) ** 2 / k) for k in range(1, rank + 1)]
    assert near(got.overlap_v, np.array(shares), 1e-4)


@pytest.mark.parametrize("shape", [(40, 12), (12, 40)], ids=["tall", "wide"])
def test_weights_with_a_dead_input_have_a_spectrum(shape: tuple[int, int]) -> None:
    """Through Grams a value that is 0 may come out as rounding, and nothing may be divided by it."""
    w = np.random.default_rng(0).standard_normal(shape)
    w[:, 3] = 0
    u, s, _ = np.linalg.svd(w, full_matrices=False)
    vectors, values = (part.numpy() for part in left_svd(torch.from_numpy(w)))
    alive = s > 1e-9
    assert np.isfinite(vectors).all() and np.abs(values - s).max() <= 1e-7 * s[0]
    assert near(np.abs((u * vectors).sum(axis=0))[alive], np.ones(alive.sum()), 1e-9)


def test_a_model_without_lora_has_a_head_all_the_same(zoo: Zoo, make_engine: Make) -> None:
    engine, store = make_engine()
    record = ModelRecord.from_arrays(_model_arrays(engine, store, zoo.models.named("frozen")))
    reference = zoo.references["frozen"]().double()
    outer, inner = reference.classifier, reference.projector
    assert not record.modules
    assert near(record.head_weight, (outer.weight @ inner.weight).detach().numpy())
    assert near(record.head_bias, (outer.weight @ inner.bias + outer.bias).detach().numpy())


def test_the_stream_itself_is_kept_where_it_is_asked_for(zoo: Zoo, make_engine: Make) -> None:
    """Audio frames only, and as the forward record has their mean."""
    from core.store.states import StatesRecord

    engine, store = make_engine()
    clip, model = zoo.clips[2], zoo.models.named("qv")
    task = Pass(model, clip, states=True)
    _done(engine, task)
    forward, states = task.keys(engine.precision)
    record = ForwardRecord.from_arrays(_arrays(store, forward))
    kept = StatesRecord.from_arrays(_arrays(store, states))
    assert len(kept.points) == model.shape.layers + 1
    for point in range(len(kept.points)):
        assert kept.at(point).shape == (_audio(clip), model.shape.width)
        assert near(kept.at(point).mean(axis=0), record.mean_raw[1, point], 1e-3)
