"""Where batches run: in this process (tests, notebooks) or in a worker process that may die."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from core.engine.interface import Pass
from core.models.info import ModelInfo


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


@dataclass(frozen=True)
class Batch:
    """Passes of one model and their windows' samples (16 kHz mono float32)."""

    passes: tuple[Pass, ...]
    samples: tuple[np.ndarray, ...]


@runtime_checkable  # the tests check argument types
class Backend(Protocol):
    """Runs batches one after the other and writes their records to the store."""

    @property
    def restarts(self) -> int:
        """How often the worker had to be replaced."""
        ...

    def run(self, batch: Batch) -> Sequence[str | None]:
        """For each pass None, or the sentence why it failed. Raises WorkerDied or WorkerUnusable."""
        ...

    def check(self, model: ModelInfo) -> str | None:
        """Load a model: None if it can be used, else the sentence why not."""
        ...

    def start(self) -> None:
        """Start early, so that the first request need not wait for it."""
        ...

    def close(self) -> None: ...
