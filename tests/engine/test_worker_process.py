"""The real worker process: killed in the middle, it is replaced, and nothing that was finished is computed again."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from core.corpora.clip import Clip
from core.engine.build import local_engine, worker_config
from core.engine.interface import Job, Pass, SetPass
from core.engine.local import LocalEngine
from core.engine.process import WorkerProcess
from core.engine.runner import Runner
from core.models.describe import Models, describe_registry
from core.settings import Settings, read_settings
from core.store.index import Index
from core.store.store import Store

CLIPS = 20


@pytest.fixture
def models(registry: Path, tmp_path: Path) -> Models:
    return describe_registry(registry, Index(tmp_path / "index.sqlite"))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return read_settings(cache_dir=tmp_path / "cache", device="cpu", batch_size=1)


@pytest.fixture
def worker(settings: Settings) -> WorkerProcess:
    return WorkerProcess(worker_config(settings))


@pytest.fixture
def engine(settings: Settings, worker: WorkerProcess) -> Iterator[LocalEngine]:
    store = Store(settings.cache_dir, settings.cache_max_gb)

    made = local_engine(settings, store, _slowly, worker)
    yield made
    made.close()


def _sound(clip: Clip) -> np.ndarray:
    return np.random.default_rng(int(clip.name)).standard_normal(clip.n_samples).astype(np.float32) * 0.1


def _slowly(clip: Clip) -> np.ndarray:
    time.sleep(0.05)  # so that there is a middle to be killed in
    return _sound(clip)


def _clips() -> list[Clip]:
    return [Clip(f"{i:064d}", str(i), 16_000) for i in range(CLIPS)]


def _until(job: Job, done: int) -> None:
    deadline = time.monotonic() + 120
    while job.computed < done:
        assert time.monotonic() < deadline and job.active, (job.computed, job.failures)
        time.sleep(0.01)


def _written(settings: Settings) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in settings.cache_dir.glob("records/*/*.safetensors")}


def test_kill_nine_in_the_middle_of_twenty_clips(
    engine: LocalEngine,
    worker: WorkerProcess,
    settings: Settings,
    models: Models,
) -> None:
    model = models.named("LoRA")
    job = engine.submit([Pass(model, clip) for clip in _clips()], title="twenty")
    _until(job, 5)
    before, victim = _written(settings), worker.pid
    assert victim is not None
    os.kill(victim, signal.SIGKILL)
    assert job.wait(120)
    assert (job.computed, job.failures) == (CLIPS, [])
    after = _written(settings)
    assert len(after) == CLIPS
    assert {path: after[path] for path in before} == before  # not written again
    assert worker.pid not in (None, victim)
    assert engine.status().restarts == 1


def test_kill_nine_in_the_middle_of_a_set(
    engine: LocalEngine,
    worker: WorkerProcess,
    settings: Settings,
    models: Models,
) -> None:
    """What the last checkpoint holds is not computed again, and the record is as if nothing had happened."""
    task = SetPass(models.named("Wide"), tuple(_clips()), tuple(i % 4 for i in range(CLIPS)))
    state = settings.cache_dir / "partial" / task.keys(engine.precision)[0].digest / "state.safetensors"
    job = engine.submit([task], title="set")
    _until(job, 8)
    victim = worker.pid
    assert victim is not None
    os.kill(victim, signal.SIGKILL)
    saved = np.flatnonzero(load_file(state)["done"])
    assert saved.size
    before = {i: _gradient(settings, engine, task, int(i)).stat().st_mtime_ns for i in saved}
    assert job.wait(120)
    assert (job.computed, job.failures, job.done) == (CLIPS, [], CLIPS)
    assert {i: _gradient(settings, engine, task, int(i)).stat().st_mtime_ns for i in saved} == before
    assert worker.pid not in (None, victim)
    assert not list(state.parent.parent.iterdir())

    straight = settings.model_copy(update={"cache_dir": settings.cache_dir.with_name("straight")})
    records = []
    for config in (settings, straight):
        store = Store(config.cache_dir, 1.0)
        other = local_engine(config, store, _sound, Runner(worker_config(config)))
        assert other.submit([task], title="same").wait(120)
        other.close()
        arrays = store.read(task.keys(other.precision)[0])
        assert arrays is not None
        records.append(arrays)
    assert records[0].keys() == records[1].keys()
    for name, array in records[1].items():
        np.testing.assert_allclose(records[0][name], array, rtol=1e-4, atol=1e-5 * float(np.abs(array).max()))


def _gradient(settings: Settings, engine: LocalEngine, task: SetPass, position: int) -> Path:
    return Store(settings.cache_dir, 1.0).path(task.parts[position].keys(engine.precision)[0])


def test_a_set_that_is_left_goes_on_in_the_next_process(settings: Settings, models: Models) -> None:
    """Closed in the middle, as Ctrl-C does, and asked for again."""
    task = SetPass(models.named("LoRA"), tuple(_clips()), (0,) * CLIPS)
    store = Store(settings.cache_dir, 1.0)
    for first in (True, False):
        engine = local_engine(settings, store, _slowly, Runner(worker_config(settings)))
        job = engine.submit([task], title="set")
        if first:
            _until(job, 5)
        else:
            assert job.wait(120)
        engine.close()
    assert job.hits >= 5
    assert (job.hits + job.computed, job.failed) == (CLIPS, 0)


def test_a_worker_killed_while_idle_is_replaced(
    engine: LocalEngine,
    worker: WorkerProcess,
    models: Models,
) -> None:
    model = models.named("Frozen")
    clips = _clips()
    assert engine.submit([Pass(model, clips[0])], title="one").wait(120)
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGKILL)
    time.sleep(0.2)
    job = engine.submit([Pass(model, clips[1])], title="two")
    assert job.wait(120)
    assert (job.computed, job.failures) == (1, [])


def test_a_refused_model_leaves_the_others_usable(engine: LocalEngine, models: Models, tmp_path: Path) -> None:
    from dataclasses import replace

    model = models.named("LoRA")
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"\0" * 64)
    bad = replace(model, name="bad", fingerprint="f" * 64, files=replace(model.files, head=(broken,)))
    assert engine.check(bad) is not None
    assert engine.check(model) is None


def test_the_worker_goes_when_its_owner_is_killed(settings: Settings) -> None:
    script = (
        "import sys, time\n"
        "from core.engine.build import worker_config\n"
        "from core.engine.process import WorkerProcess\n"
        "from core.settings import read_settings\n"
        "worker = WorkerProcess(worker_config(read_settings(cache_dir=sys.argv[1], device='cpu')))\n"
        "worker.start()\nprint(worker.pid, flush=True)\ntime.sleep(600)\n"
    )
    owner = subprocess.Popen([sys.executable, "-c", script, str(settings.cache_dir)], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    pid = int(owner.stdout.readline())
    owner.kill()
    owner.wait()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and _alive(pid):
        time.sleep(0.1)
    assert not _alive(pid)


def _alive(pid: int) -> bool:
    """An orphan that ended may wait for init to collect it: a zombie is not alive."""
    try:
        with open(f"/proc/{pid}/stat") as file:  # noqa: PTH123
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_gpu_that_is_not_there_is_said(tmp_path: Path, models: Models) -> None:
    settings = read_settings(cache_dir=tmp_path / "cache", device="cuda:7")
    engine = local_engine(settings, Store(settings.cache_dir, 1.0), lambda clip: np.zeros(1600, dtype=np.float32))
    job = engine.submit([Pass(models.named("Frozen"), _clips()[0])], title="gpu")
    assert job.wait(120)
    assert "LORASCOPE_DEVICE=cpu" in job.failures[0].reason
    engine.close()
