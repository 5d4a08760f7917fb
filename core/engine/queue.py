"""Which passes wait, for whom, and which batch comes next. Pure bookkeeping; the engine holds the lock."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

from core.engine.interface import Failure, Job, JobState, Pass, Priority
from core.store.key import Key

MAX_DEATHS = 3  # of the worker on one pass, before the pass is given up


@dataclass
class Waiting:
    """A pass that is queued or running, and every job that wants it (so two people asking make it once)."""

    task: Pass
    order: int
    priority: Priority
    jobs: list[Job] = field(default_factory=list)
    deaths: int = 0


class PassQueue:
    """Passes by the keys they write. `next_batch` moves some to running, `finish` and `retry` end that."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[Key, ...], Waiting] = {}
        self._running: dict[tuple[Key, ...], Waiting] = {}
        self._count = itertools.count()

    @property
    def busy(self) -> bool:
        """Is any pass waiting?"""
        return bool(self._waiting)

    def add(self, keys: tuple[Key, ...], task: Pass, job: Job, priority: Priority) -> None:
        """Want a pass for a job; one that is already waiting or running is shared, at the more urgent priority."""
        entry = self._running.get(keys) or self._waiting.get(keys)
        if entry is None:
            entry = self._waiting[keys] = Waiting(task, next(self._count), priority)
        entry.priority = min(entry.priority, priority)
        entry.jobs.append(job)

    def next_batch(self, size: int) -> list[tuple[Key, ...]]:
        """Keys of up to `size` passes of one model: the most urgent first, then the oldest. Marks them running."""
        if not self._waiting:
            return []
        first = min(self._waiting.values(), key=lambda entry: (entry.priority, entry.order))
        if first.deaths:  # a pass that killed a worker runs alone, so that it can't take others along again
            size = 1
        alike = [
            (entry.order, keys)
            for keys, entry in self._waiting.items()
            if entry.priority == first.priority
            and entry.deaths == first.deaths
            and entry.task.model == first.task.model
            and entry.task.lora == first.task.lora
        ]
        chosen = [keys for _, keys in sorted(alike, key=lambda pair: pair[0])[:size]]
        for keys in chosen:
            self._running[keys] = self._waiting.pop(keys)
            for job in self._running[keys].jobs:
                job.state = JobState.RUNNING
        return chosen

    def task(self, keys: tuple[Key, ...]) -> Pass:
        return self._running[keys].task

    def finish(self, keys: tuple[Key, ...], reason: str | None) -> Sequence[Job]:
        """A running pass is over (`reason` where it failed). Returns the jobs that wanted it."""
        entry = self._running.pop(keys)
        for job in entry.jobs:
            if reason is None:
                job.computed += 1
            else:
                job.failed += 1
                job.failures.append(Failure(entry.task, reason, entry.task.clip))
        return entry.jobs

    def retry(self, keys: tuple[Key, ...]) -> bool:
        """Put a running pass back after its worker died; False where it died too often and must be failed."""
        entry = self._running[keys]
        entry.deaths += 1
        if not entry.jobs:  # cancelled meanwhile
            del self._running[keys]
            return True
        if entry.deaths >= MAX_DEATHS:
            return False
        self._waiting[keys] = self._running.pop(keys)
        return True

    def drop(self, job: Job) -> None:
        """Forget what only `job` was waiting for; a running batch is let finish, but no longer counts for it."""
        for keys, entry in list(self._waiting.items()):
            entry.jobs = [other for other in entry.jobs if other is not job]
            if not entry.jobs:
                del self._waiting[keys]
        for entry in self._running.values():
            entry.jobs = [other for other in entry.jobs if other is not job]
