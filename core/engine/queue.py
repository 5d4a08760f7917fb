"""Which tasks wait, for whom, and which batch comes next. Pure bookkeeping; the engine holds the lock."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from core.engine.interface import Failure, Job, ModelPass, Pass, Priority, SetPass, Task, clips_of, size_of
from core.engine.interventions import DialPass, LayerPass, PatchPass
from core.store.key import Key

MAX_DEATHS = 3  # of the worker on one pass, before the pass is given up


@dataclass
class Waiting:
    """A task that is queued or running, and every job that wants it (so two people asking make it once).

    Of a set: positions still to do as far as known, and how much of it already counts for its jobs.
    """

    task: Task
    order: int
    priority: Priority
    jobs: list[Job] = field(default_factory=list)
    deaths: int = 0
    todo: tuple[int, ...] | None = None
    counted: int = 0

    @property
    def urgency(self) -> tuple[Priority, bool]:
        """Smaller goes first."""
        return self.priority, not any(job.watched for job in self.jobs)


class PassQueue:
    """Tasks by the keys they write. `next_batch` moves some to running, `finish` and `retry` end that."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[Key, ...], Waiting] = {}
        self._running: dict[tuple[Key, ...], Waiting] = {}
        self._count = itertools.count()

    @property
    def busy(self) -> bool:
        """Is any task waiting?"""
        return bool(self._waiting)

    def add(self, keys: tuple[Key, ...], task: Task, job: Job, priority: Priority) -> None:
        """Want a task for a job; one that is already waiting or running is shared, at the more urgent priority."""
        entry = self._running.get(keys) or self._waiting.get(keys)
        if entry is None:
            entry = self._waiting[keys] = Waiting(task, next(self._count), priority)
        entry.priority = min(entry.priority, priority)
        entry.jobs.append(job)
        job.computed += entry.counted

    def next_batch(self, size: int) -> list[tuple[Key, ...]]:
        """Keys of up to `size` tasks of one kind and model, the most urgent first, then those somebody looks at, then
        the oldest; now running.
        """
        if not self._waiting:
            return []
        urgency = {keys: entry.urgency for keys, entry in self._waiting.items()}
        most = min(self._waiting, key=lambda keys: (urgency[keys], self._waiting[keys].order))
        first = self._waiting[most]
        # a pass that killed a worker runs alone, so that it can't take others along again
        if first.deaths or isinstance(first.task, SetPass | ModelPass):
            size = 1
        alike = [
            (entry.order, keys)
            for keys, entry in self._waiting.items()
            if urgency[keys] == urgency[most]
            and entry.deaths == first.deaths
            and _kind(entry.task) == _kind(first.task)
        ]
        chosen = [keys for _, keys in sorted(alike, key=lambda pair: pair[0])[:size]]
        for keys in chosen:
            self._running[keys] = self._waiting.pop(keys)
        for job in {job.id: job for keys in chosen for job in self._running[keys].jobs}.values():
            job.begin()
        return chosen

    def task(self, keys: tuple[Key, ...]) -> Task:
        return self._running[keys].task

    def positions(self, keys: tuple[Key, ...], size: int) -> tuple[int, ...]:
        """Of a running set, up to `size` clips to do next; none before it is known how it stands."""
        entry = self._running[keys]
        return (entry.todo or ())[: 1 if entry.deaths else size]

    def advance(self, keys: tuple[Key, ...], todo: tuple[int, ...], failed: int) -> Sequence[Job]:
        """A step of a running set is over; it waits for its next one. Returns the jobs that want it."""
        entry = self._running.pop(keys)
        done = size_of(entry.task) - len(todo) - failed
        for job in entry.jobs:
            if entry.todo is None and not entry.counted:  # an earlier process had done that much
                job.hits += done
            else:
                job.computed += done - entry.counted
        if entry.todo and len(todo) < len(entry.todo):
            entry.deaths = 0
        entry.todo, entry.counted = todo, done
        if entry.jobs:
            self._waiting[keys] = entry
        return entry.jobs

    def finish(self, keys: tuple[Key, ...], reason: str | None, failed: Mapping[int, str] | None = None) -> list[Job]:
        """A running task is over (`reason` where it failed; of a set, `failed` clips). Returns who wanted it."""
        entry = self._running.pop(keys)
        clips = clips_of(entry.task)
        bad = failed or {}
        left = size_of(entry.task) - entry.counted
        for job in entry.jobs:
            if reason is None:
                job.computed += left - len(bad)
                job.failed += len(bad)
                job.failures += [Failure(entry.task, why, clips[position]) for position, why in sorted(bad.items())]
            else:
                job.failed += left
                job.failures.append(Failure(entry.task, reason, clips[0] if len(clips) == 1 else None))
        return entry.jobs

    def retry(self, keys: tuple[Key, ...]) -> bool:
        """Put a running task back after its worker died; False where it died too often and must be failed."""
        entry = self._running[keys]
        entry.deaths += 1
        entry.todo = None  # of a set, what was not yet on disk is lost
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


def _kind(task: Task) -> tuple[object, ...]:
    """What tasks of one batch have in common; layers of a sweep share its runs."""
    if isinstance(task, DialPass):
        return DialPass, task.model, task.dial
    if isinstance(task, LayerPass | PatchPass):
        return type(task), replace(task, layer=0)
    return type(task), task.model, isinstance(task, Pass) and (task.lora, task.states)
