"""The engine under a budget of memory: what is under way keeps its model, the worker says what it holds."""

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from core.corpora.clip import Clip
from core.engine.backend import Batch, SetProgress
from core.engine.build import local_engine, worker_config
from core.engine.device import host_memory
from core.engine.interface import Pass, SetPass
from core.engine.local import LocalEngine
from core.engine.process import WorkerProcess
from core.engine.runner import Runner
from core.models.describe import Models, describe_registry
from core.settings import Settings, read_settings
from core.store.index import Index
from core.store.key import Precision
from core.store.store import Store

NOTHING_GB = 1e-6  # less than any model


@pytest.fixture
def models(registry: Path, tmp_path: Path) -> Models:
    return describe_registry(registry, Index(tmp_path / "index.sqlite"))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return read_settings(cache_dir=tmp_path / "cache", device="cpu", threads=1, device_memory_gb=NOTHING_GB)


@pytest.fixture
def worker(settings: Settings) -> WorkerProcess:
    return WorkerProcess(worker_config(settings))


@pytest.fixture
def engine(settings: Settings, worker: WorkerProcess) -> Iterator[LocalEngine]:
    made = local_engine(settings, Store(settings.cache_dir, 1.0), _sound, worker)
    yield made
    made.close()


def _sound(clip: Clip) -> np.ndarray:
    return np.random.default_rng(int(clip.name)).standard_normal(clip.n_samples).astype(np.float32) * 0.1


def _clips(count: int) -> tuple[Clip, ...]:
    return tuple(Clip(f"{i:064d}", str(i), 16_000) for i in range(count))


def _same_records(one: Settings, other: Settings) -> int:
    """How many records two caches hold, the same to the bit."""
    caches = [settings.cache_dir / "records" for settings in (one, other)]
    files = [sorted(file.relative_to(cache) for file in cache.glob("*/*.safetensors")) for cache in caches]
    assert files[0] == files[1]
    for file in files[0]:
        found, expected = (load_file(cache / file) for cache in caches)
        assert found.keys() == expected.keys()
        for name, array in expected.items():
            np.testing.assert_array_equal(found[name], array, err_msg=name)
    return len(files[0])


def test_the_real_worker_lets_models_go_and_loads_them_again(
    engine: LocalEngine, worker: WorkerProcess, settings: Settings, models: Models
) -> None:
    """Its status says so, its records are those of a worker that keeps everything, and a new worker begins empty."""
    assert engine.status().memory.models == ()
    order = [models.named(name) for name in ("LoRA", "Full", "LoRA", "Frozen")]
    clips = _clips(len(order))
    for model, clip in zip(order, clips, strict=True):
        job = engine.submit([Pass(model, clip, lora=True)], title="one")
        assert job.wait(120) and not job.failures
        memory = engine.status().memory
        assert engine.status().loaded == (model.name,)
        assert memory.limit_bytes == int(NOTHING_GB * 1e9) < memory.used_bytes
        assert memory.warning is not None and memory.warning.startswith(f"{model.name} alone")
    assert {known.name for known in memory.models} == {"LoRA", "Full", "Frozen"}

    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGKILL)
    deadline = time.monotonic() + 60
    while worker.pid is not None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert engine.check(models.named("Full")) is None
    assert engine.status().loaded == ("Full",) and engine.status().restarts == 1

    roomy = settings.model_copy(update={"cache_dir": settings.cache_dir.with_name("roomy"), "device_memory_gb": 0.0})
    other = local_engine(roomy, Store(roomy.cache_dir, 1.0), _sound)
    for model, clip in zip(order, clips, strict=True):
        assert other.submit([Pass(model, clip, lora=True)], title="one").wait(120)
    assert set(other.status().loaded) == {"LoRA", "Full", "Frozen"}
    other.close()
    assert _same_records(settings, roomy) == 6  # four forward, two lora


def test_a_set_under_way_keeps_its_model(settings: Settings, models: Models) -> None:
    """Others run between its steps; its record is as if they had not."""
    task = SetPass(models.named("LoRA"), _clips(3), (0, 1, 2))
    records = []
    for disturbed in (True, False):
        config = settings if disturbed else settings.model_copy(update={"cache_dir": settings.cache_dir / "calm"})
        runner = Runner(worker_config(config))
        todo: tuple[int, ...] = ()
        finished, turn = False, 0
        while not finished:
            chosen = todo[:1]
            samples = tuple(_sound(task.clips[i]) for i in chosen)
            (progress,) = runner.run(Batch((task,), samples, chosen))
            assert isinstance(progress, SetProgress) and not progress.failed
            todo, finished, turn = progress.todo, progress.finished, turn + 1
            if disturbed and not finished:
                for name in ("Full", "Wide"):
                    clip = replace(task.clips[0], clip_id=f"{turn:064d}")
                    assert runner.run(Batch((Pass(models.named(name), clip),), (_sound(clip),))) == [None]
                    assert {model.name for model in runner.memory.loaded} == {"LoRA", name}
        runner.check(models.named("Full"))
        assert [model.name for model in runner.memory.loaded] == ["Full"]
        runner.close()
        records.append(Store(config.cache_dir, 1.0).read(task.keys(Precision())[0]))
    disturbed_record, calm = records
    assert disturbed_record is not None and calm is not None and disturbed_record.keys() == calm.keys()
    for name, array in calm.items():
        np.testing.assert_array_equal(disturbed_record[name], array, err_msg=name)


def test_half_of_the_devices_memory_unless_told(settings: Settings) -> None:
    config = worker_config(settings.model_copy(update={"device_memory_gb": 0.0}))
    assert Runner(config).memory.limit_bytes == host_memory() // 2
    assert 1e8 < host_memory() < 1e15
