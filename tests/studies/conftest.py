"""Studies over tiny models: a real engine in this process that waits for each clip, and a real computing process."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from core.analyses.request import AnalysisRequest
from core.audio.decoder import decoder
from core.corpora.clip import Clip
from core.corpora.samples import samples_reader
from core.corpora.source import list_source
from core.corpora.uploads import Uploads
from core.engine.backend import Backend, Batch, Outcome
from core.engine.build import local_engine, worker_config
from core.engine.local import LocalEngine
from core.engine.runner import Runner
from core.models.describe import describe_registry
from core.settings import Settings, read_settings
from core.store.store import Store
from core.studies.board import Board
from core.studies.process import Computer
from core.studies.study import Question, Study, Tools

TIMEOUT_S = 120


class Counting(Runner):
    """The real thing, and which passes it made."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(worker_config(settings))
        self.made: list[str] = []

    def run(self, batch: Batch) -> Sequence[Outcome]:
        self.made += [f"{task.model.name}/{task.clip.name}" for task in batch.passes if hasattr(task, "clip")]
        return super().run(batch)


@dataclass
class World:
    """A server's tools over one cache. Clips wait for `allow`, so that a study can be looked at in its middle."""

    settings: Settings
    registry: Path
    source: str
    backend: Backend
    store: Store = field(init=False)
    engine: LocalEngine = field(init=False)
    computer: Computer = field(init=False)
    board: Board = field(init=False)

    def __post_init__(self) -> None:
        self._gate = threading.Semaphore(0)
        self._allowed: set[str] = set()
        self.store = Store(self.settings.cache_dir, self.settings.cache_max_gb)
        uploads = Uploads(4, self.settings.cache_dir / "uploads")
        self._read = samples_reader(decoder(), uploads)
        self.engine = local_engine(self.settings, self.store, self._samples, self.backend)
        self.computer = Computer(self.store, self.settings.cache_max_gb)
        self.board = Board(Tools(self.engine, self.store, self.computer, decoder()))

    def _samples(self, clip: Clip) -> np.ndarray:
        if clip.clip_id not in self._allowed:
            assert self._gate.acquire(timeout=TIMEOUT_S)
            self._allowed.add(clip.clip_id)
        return self._read(clip)

    def allow(self, clips: int = 1000) -> "World":
        """Let the engine have so many more clips."""
        self._gate.release(clips)
        return self

    def question(
        self, *names: str, models: Sequence[str] = ("Frozen", "LoRA"), by: str | None = None, seed: int = 0
    ) -> Question:
        """About all clips of the source, which are only listed so far."""
        known = describe_registry(self.registry, self.store.index)
        chosen = tuple(known.named(name) for name in models)
        request = AnalysisRequest(chosen, (), models[0], seed=seed)
        return Question(names or ("contributions",), request, list_source(self.source).clips, "", by)

    def ask(self, question: Question) -> Study:
        return self.board.ask(question, "a study")

    def close(self) -> None:
        self.allow()
        self.engine.close()
        self.computer.close()


def until(what: Callable[[], object], why: Callable[[], object] = lambda: "") -> None:
    """Wait until it holds."""
    deadline = time.monotonic() + TIMEOUT_S
    while not what():
        assert time.monotonic() < deadline, why()
        time.sleep(0.01)


def ended(study: Study) -> Study:
    """The study once nothing more will come, looked at meanwhile as a page does."""
    until(lambda: not study.look().active, lambda: study.now)
    return study


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return read_settings(cache_dir=tmp_path / "cache", device="cpu", batch_size=1, threads=1)


@pytest.fixture
def opened(settings: Settings, registry: Path, voices: Path, one_thread: None) -> Iterator[Callable[..., World]]:
    """Makes worlds over the test's cache, and closes them."""
    worlds: list[World] = []

    def open_(source: str = f"folder:{voices}", registry: Path = registry, backend: Backend | None = None) -> World:
        worlds.append(World(settings, registry, source, backend or Counting(settings)))
        return worlds[-1]

    yield open_
    for world in worlds:
        world.close()


@pytest.fixture
def world(opened: Callable[..., World]) -> World:
    return opened()
