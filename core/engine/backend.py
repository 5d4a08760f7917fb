"""Where batches run: in this process (tests, notebooks) or in a worker process that may die."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from core.engine.interface import Task
from core.models.info import ModelInfo
from core.models.memory import Memory


class WorkerDied(Exception):
    """The worker process ended in the middle of something."""


class WorkerUnusable(Exception):
    """The worker process can't be started; the text says why."""


@dataclass(frozen=True)
class WorkerConfig:
    """What a worker is told when it starts."""

    device: str
    dtype: str
    threads: int
    cache_dir: Path
    cache_max_gb: float
    spill_max_gb: float
    device_memory_gb: float  # for models' weights; 0: half of the device's


@dataclass(frozen=True)
class Batch:
    """Tasks of one kind and model, and their windows' samples (16 kHz mono float32); `sources` of the second clip of
    those that read two.

    A set is a task of its own and is done in steps: `samples` are then of the clips at `positions`, none to begin
    with, and `unreadable` are clips that have no samples, with the reason.
    """

    passes: tuple[Task, ...]
    samples: tuple[np.ndarray, ...]
    positions: tuple[int, ...] = ()
    unreadable: Mapping[int, str] = field(default_factory=dict)
    sources: tuple[np.ndarray | None, ...] = ()


@dataclass(frozen=True)
class SetProgress:
    """How a set stands after a step: positions still to do (none of them left, a step may still be needed to finish),
    and those that failed, with the reason."""

    todo: tuple[int, ...]
    failed: Mapping[int, str]
    finished: bool = False


Outcome = str | SetProgress | None


@runtime_checkable  # the tests check argument types
class Backend(Protocol):
    """Runs batches one after the other and writes their records to the store."""

    @property
    def restarts(self) -> int:
        """How often the worker had to be replaced."""
        ...

    @property
    def memory(self) -> Memory:
        """Models in the device's memory, as of the last answer."""
        ...

    def run(self, batch: Batch) -> Sequence[Outcome]:
        """For each task None, or the sentence why it failed; of a set how it stands. Raises WorkerDied or
        WorkerUnusable."""
        ...

    def check(self, model: ModelInfo) -> str | None:
        """Load a model: None if it can be used, else the sentence why not."""
        ...

    def start(self) -> None:
        """Start early, so that the first request need not wait for it."""
        ...

    def close(self) -> None: ...
