"""What the rest of LoRAscope knows of the engine. No torch here: the web process imports this."""

import hashlib
import threading
import time
import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum, StrEnum
from typing import Protocol, runtime_checkable

from core.corpora.clip import Clip
from core.engine.interventions import DialPass, LayerPass, PatchPass
from core.models.info import ModelInfo
from core.models.memory import Memory
from core.store.key import Key, Kind, Precision, clip_key


class Priority(IntEnum):
    """What a person waits for goes before corpus jobs, which yield after every batch. Among equals, what somebody looks
    at goes before what was left, then the oldest."""

    PERSON = 0
    CORPUS = 1


@dataclass(frozen=True)
class Pass:
    """One forward pass to make: a model over one clip's window.

    `lora` also keeps the LoRA-A activations, `states` the residual stream of every audio frame.
    """

    model: ModelInfo
    clip: Clip
    window_start: int = 0
    lora: bool = False
    states: bool = False

    @classmethod
    def over(
        cls, model: ModelInfo, clip: Clip, window_start: int = 0, *, lora: bool = False, states: bool = False
    ) -> "Pass":
        """The pass over a clip's window from `window_start` (samples); a clip that fits the window is taken whole."""
        return cls(model, clip, model.shape.start_of(clip.n_samples, window_start), lora, states)

    def keys(self, precision: Precision) -> tuple[Key, ...]:
        """The records this pass writes."""
        kinds = [Kind.FORWARD]
        if self.lora and self.model.lora:
            kinds.append(Kind.LORA)
        if self.states:
            kinds.append(Kind.STATES)
        return tuple(
            clip_key(kind, self.model.fingerprint, self.clip.clip_id, precision, self.window_start) for kind in kinds
        )


@dataclass(frozen=True)
class GradientPass:
    """A forward and a backward pass over one clip's window, of the loss against class `target` (an index of the model's
    labels). Leaves the clip's forward and lora records too where they are missing.
    """

    model: ModelInfo
    clip: Clip
    window_start: int
    target: int

    @classmethod
    def over(cls, model: ModelInfo, clip: Clip, window_start: int, target: int) -> "GradientPass":
        """As `Pass.over`."""
        return cls(model, clip, model.shape.start_of(clip.n_samples, window_start), target)

    def keys(self, precision: Precision) -> tuple[Key, ...]:
        """The record this pass is for."""
        spec = {"window_start": self.window_start, "target": self.target}
        return (Key(Kind.GRADIENT, self.model.fingerprint, self.clip.clip_id, precision, spec),)


@dataclass(frozen=True)
class SetPass:
    """What needs all gradients of a set of clips at once; leaves each clip's gradient, lora and forward record too.

    `targets` has a class index for each clip. Clips are kept in the order of their ids, whatever order they come in.
    `kernels` asks for the n x n kernels, which take `spill_bytes` on disk until the set is done.
    A clip that fails is left out: then the record is that of the set without it, and the job names the clip.
    """

    model: ModelInfo
    clips: tuple[Clip, ...]
    targets: tuple[int, ...]
    window_start: int = 0
    kernels: bool = True

    def __post_init__(self) -> None:
        if not self.clips or len({clip.clip_id for clip in self.clips}) < len(self.clips):
            raise ValueError("a set needs at least one clip, and no clip twice")
        pairs = sorted(zip(self.clips, self.targets, strict=True), key=lambda pair: pair[0].clip_id)
        object.__setattr__(self, "clips", tuple(clip for clip, _ in pairs))
        object.__setattr__(self, "targets", tuple(target for _, target in pairs))

    @property
    def parts(self) -> tuple[GradientPass, ...]:
        """The pass over each clip, in the order of the set's record."""
        return tuple(
            GradientPass.over(self.model, clip, self.window_start, target)
            for clip, target in zip(self.clips, self.targets, strict=True)
        )

    @property
    def spill_bytes(self) -> int:
        """Disk that the gradients take until the kernels are made of them: all frames of every module."""
        width = sum(module.outputs for module in self.model.lora)
        return len(self.clips) * self.model.shape.frames * width * SPILL_BYTES

    def without(self, clips: Collection[Clip]) -> "SetPass | None":
        """The set without these clips; None where nothing is left."""
        gone = {clip.clip_id for clip in clips}
        kept = [pair for pair in zip(self.clips, self.targets, strict=True) if pair[0].clip_id not in gone]
        if not kept:
            return None
        return replace(self, clips=tuple(clip for clip, _ in kept), targets=tuple(target for _, target in kept))

    def keys(self, precision: Precision) -> tuple[Key, ...]:
        """The record this pass is for."""
        ids = hashlib.sha256("\n".join(clip.clip_id for clip in self.clips).encode()).hexdigest()
        starts = [part.window_start for part in self.parts]
        spec = {"window_starts": starts, "targets": list(self.targets), "kernels": self.kernels}
        return (Key(Kind.SET, self.model.fingerprint, ids, precision, spec),)


@dataclass(frozen=True)
class ModelPass:
    """What can be said of a model's weights alone; no clip needed."""

    model: ModelInfo

    def keys(self, precision: Precision) -> tuple[Key, ...]:
        """The record this pass is for."""
        return (Key(Kind.MODEL, self.model.fingerprint, "", precision),)


Task = Pass | GradientPass | SetPass | ModelPass | DialPass | LayerPass | PatchPass
SPILL_BYTES = 2  # of a gradient's entry on disk
WATCHED_S = 5.0  # after somebody looked at a job; pages look twice a second


def clips_of(task: Task) -> tuple[Clip, ...]:
    """The clips a task reads."""
    if isinstance(task, ModelPass):
        return ()
    if isinstance(task, PatchPass) and task.source is not None:
        return task.clip, task.source
    return task.clips if isinstance(task, SetPass) else (task.clip,)


def size_of(task: Task) -> int:
    """How much of a job a task is: a pass over one clip counts once, a set as often as it has clips."""
    return len(task.clips) if isinstance(task, SetPass) else 1


class JobState(StrEnum):
    """A job's life."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"


@dataclass(frozen=True)
class Failure:
    """A task that could not be done (of a set, one clip may be what could not), and why, in one sentence."""

    task: Task
    reason: str
    clip: Clip | None = None

    @property
    def model(self) -> str:
        return self.task.model.name


@dataclass
class Job:
    """Tasks asked for together. Read it from any thread; only the engine writes to it.

    All counts are in passes over one clip, so that a set counts as often as it has clips. `hits` were in the store
    already, `computed` were made for this job or another one meanwhile, `failed` could not be.
    """

    title: str
    total: int
    id: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    state: JobState = JobState.QUEUED
    hits: int = 0
    computed: int = 0
    failed: int = 0
    failures: list[Failure] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)
    looked: float = field(default_factory=time.monotonic)
    paced: tuple[float, int] | None = None  # since when its pace is measured, and how much was worked before
    seconds: float | None = None
    finished: threading.Event = field(default_factory=threading.Event)

    @property
    def done(self) -> int:
        """Passes that are over: found, computed or failed."""
        return self.hits + self._worked

    @property
    def _worked(self) -> int:
        return self.computed + self.failed

    @property
    def active(self) -> bool:
        return not self.finished.is_set()

    @property
    def watched(self) -> bool:
        """Whether somebody waits for it right now."""
        return time.monotonic() - self.looked < WATCHED_S

    def look(self) -> None:
        """Say that somebody waits for it right now: among equals it goes first."""
        self.looked = time.monotonic()

    @property
    def seconds_left(self) -> float | None:
        """Estimate from this job's own pace after its first batch, for which the worker may have to start and to load a
        model; None before there is one.
        """
        if self.paced is None or not self.active:
            return None
        since, before = self.paced
        worked = self._worked - before
        return (time.monotonic() - since) / worked * (self.total - self.done) if worked else None

    def begin(self) -> None:
        """Note that a batch of it begins; for the engine."""
        self.state = JobState.RUNNING
        if self.paced is None and self._worked:
            self.paced = time.monotonic(), self._worked

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
    memory: Memory = field(default_factory=Memory)
    restarts: int = 0

    @property
    def loaded(self) -> tuple[str, ...]:
        """Names of the models in memory."""
        return tuple(model.name for model in self.memory.loaded)


@runtime_checkable  # the tests check argument types
class Engine(Protocol):
    """Submit tasks, watch jobs. Never blocks the caller on a model."""

    precision: Precision

    def submit(self, passes: Sequence[Task], *, title: str, priority: Priority = Priority.CORPUS) -> Job:
        """Queue tasks; those in the store already count as hits at once. The same task asked twice is done once."""
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
