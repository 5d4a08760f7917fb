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

from core.corpora.clip import Clip
from core.engine.build import local_engine, worker_config
from core.engine.interface import Job, Pass
from core.engine.local import LocalEngine
from core.engine.process import WorkerProcess
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

    def slowly(clip: Clip) -> np.ndarray:
        time.sleep(0.05)  # so that there is a middle to be killed in
        return np.random.default_rng(int(clip.name)).standard_normal(clip.n_samples).astype(np.float32) * 0.1

    made = local_engine(settings, store, slowly, worker)
    yield made
    made.close()


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
