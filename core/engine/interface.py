"""What the rest of LoRAscope knows of the engine. No torch here: the web process imports this."""

import threading
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Protocol, runtime_checkable

from core.corpora.clip import Clip
from core.models.info import ModelInfo
from core.store.key import Key, Kind, Precision, clip_key


class Priority(IntEnum):
    """What a person waits for goes before corpus jobs, which yield after every batch."""

    PERSON = 0
    CORPUS = 1


@dataclass(frozen=True)
class Pass:
    """One forward pass to make: a model over one clip's window. `lora` also keeps the LoRA-A activations."""

    model: ModelInfo
    clip: Clip
    window_start: int = 0
    lora: bool = False

    @classmethod
    def over(cls, model: ModelInfo, clip: Clip, window_start: int = 0, *, lora: bool = False) -> "Pass":
        """The pass over a clip's window from `window_start` (samples); a clip that fits the window is taken whole."""
        fits = clip.n_samples <= model.shape.window_samples
        return cls(model, clip, 0 if fits else window_start, lora)

    def keys(self, precision: Precision) -> tuple[Key, ...]:
        """The records this pass writes."""
        kinds = (Kind.FORWARD, Kind.LORA) if self.lora and self.model.lora else (Kind.FORWARD,)
        return tuple(
            clip_key(kind, self.model.fingerprint, self.clip.clip_id, precision, self.window_start) for kind in kinds
        )


class JobState(StrEnum):
    """A job's life."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"


@dataclass(frozen=True)
class Failure:
    """A pass that could not be made, and why, in one sentence."""

    model: str
    clip: Clip
    reason: str


@dataclass
class Job:
    """Passes asked for together. Read it from any thread; only the engine writes to it.

    `hits` were in the store already, `computed` were made for this job or another one meanwhile.
    """

    title: str
    total: int
    id: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    state: JobState = JobState.QUEUED
    hits: int = 0
    computed: int = 0
    failures: list[Failure] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)
    seconds: float | None = None
    finished: threading.Event = field(default_factory=threading.Event)

    @property
    def done(self) -> int:
        """Passes that are over: found, computed or failed."""
        return self.hits + self.computed + len(self.failures)

    @property
    def active(self) -> bool:
        return not self.finished.is_set()

    @property
    def seconds_left(self) -> float | None:
        """Estimate from this job's own pace; None before its first computed pass."""
        worked = self.computed + len(self.failures)
        if not worked or not self.active:
            return None
        return (time.monotonic() - self.started) / worked * (self.total - self.done)

    def end(self) -> None:
        """Note the time it took and wake whoever waits; for the engine."""
        self.seconds = time.monotonic() - self.started
        self.finished.set()

    def wait(self, timeout: float | None = None) -> bool:
        """True when the job ended (done or cancelled) within `timeout` seconds."""
        return self.finished.wait(timeout)


@dataclass(frozen=True)
class EngineStatus:
    """What the sidebar's status line says. `worker` is a plain word (`starting`, `ready`, `busy`, `restarting`)."""

    worker: str
    device: str
    precision: Precision
    loaded: tuple[str, ...] = ()
    restarts: int = 0


@runtime_checkable  # the tests check argument types
class Engine(Protocol):
    """Submit passes, watch jobs. Never blocks the caller on a model."""

    precision: Precision

    def submit(self, passes: Sequence[Pass], *, title: str, priority: Priority = Priority.CORPUS) -> Job:
        """Queue passes; those in the store already count as hits at once. The same pass asked twice is made once."""
        ...

    def cancel(self, job: Job) -> None:
        """Drop what is not yet done of a job (unless another job wants it too). What is done stays in the store."""
        ...

    def check(self, model: ModelInfo) -> str | None:
        """Load a model: None if it can be used, else the sentence why not. Waits for the worker."""
        ...

    def jobs(self) -> tuple[Job, ...]:
        """Running and recent jobs, newest first."""
        ...

    def status(self) -> EngineStatus: ...

    def close(self) -> None:
        """Stop the worker; queued passes are dropped, finished records stay."""
        ...
