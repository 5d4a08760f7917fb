"""From questions to tables: tasks into the engine, records out of the store, numbers out of the analyses."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic

from core.analyses.catalogue import ANALYSES
from core.analyses.request import AnalysisRequest
from core.analyses.stored import StoredRecords
from core.engine.interface import Engine, Failure, Job, JobState, SetPass, Task, clips_of
from core.errors import Refusal
from core.store.key import Key, Precision
from core.store.store import Store
from core.studies.compute import Compute, R
from core.studies.slices import Groups, judgements, split

_POLL_S = 0.2


class Cancelled(Exception):
    """Somebody cancelled a job that the answer needs."""


@dataclass(frozen=True)
class Answers(Generic[R]):
    """Results by group and analysis, tasks that failed, and how many were found in the cache or computed."""

    results: Mapping[str, Mapping[str, R]]
    groups: Groups
    failures: tuple[Failure, ...]
    hits: int
    computed: int


def answer(
    names: Sequence[str],
    request: AnalysisRequest,
    engine: Engine,
    store: Store,
    compute: Compute[R],
    *,
    by: str | None = None,
    progress: Callable[[Job, Groups], None] = lambda job, groups: None,
) -> Answers[R]:
    """Do every task the analyses need, then compute them, for each group of clips that `by` makes.

    Raises Refusal where no task could be done, Cancelled where a job was cancelled.
    """
    groups: Groups = {}
    work = _Work(engine, lambda job: progress(job, groups), ", ".join(names))
    work.do(judgements(request, by))
    records = StoredRecords(store, engine.precision, request.window_start)
    groups = split(request, by, records)
    work.do(_needs(names, groups))
    if work.failures and not work.hits and not work.computed:
        raise Refusal(f"None of the {len(work.failures)} passes could be made; the first: {work.failures[0].reason}")
    work.do(_needs(names, groups, records))
    computed = compute(names, groups)
    while work.again(computed.lost):  # damaged or evicted between the job and the reading
        computed = compute(names, groups)
    return Answers(computed.results, groups, tuple(work.failures), work.hits, work.computed)


def _needs(names: Sequence[str], groups: Groups, records: StoredRecords | None = None) -> list[Task]:
    return [task for name in names for request in groups.values() for task in ANALYSES[name].needs(request, records)]


class _Work:
    """Tasks given to the engine, round after round."""

    def __init__(self, engine: Engine, progress: Callable[[Job], None], title: str) -> None:
        self._engine, self._progress, self._title = engine, progress, title
        self._asked: set[Task] = set()
        self._redone: set[Task] = set()
        self.failures: list[Failure] = []
        self.hits = self.computed = 0

    def do(self, tasks: Sequence[Task]) -> None:
        """Wait for all that were not asked for yet."""
        new = [task for task in dict.fromkeys(tasks) if task not in self._asked]
        self._asked.update(new)
        if new:
            self.hits += self._wait(new).hits

    def again(self, tasks: Sequence[Task]) -> bool:
        """Do once more what did not fail, once each. False where there is nothing to do."""
        lost = [task for task in dict.fromkeys(tasks) if task not in self._redone and not self._failed(task)]
        lost = [task for task in lost if not _part_of_another(task, lost)]
        self._redone.update(lost)
        if lost:
            job = self._wait(lost)
            self.hits -= job.computed + job.failed  # it was no hit then
        return bool(lost)

    def _wait(self, tasks: Sequence[Task]) -> Job:
        job = self._engine.submit(_least(tasks, self._engine.precision), title=self._title)
        try:
            while not job.wait(_POLL_S):
                self._progress(job)
        except BaseException:  # nobody will read what it makes
            self._engine.cancel(job)
            raise
        if job.state is JobState.CANCELLED:
            raise Cancelled
        self._progress(job)
        self.failures += job.failures
        self.computed += job.computed
        return job

    def _failed(self, task: Task) -> bool:
        """Whether it failed, or one of its clips did in another task of the model (which may be why it is missing)."""
        clips = {(failure.model, failure.clip) for failure in self.failures if failure.clip}
        return any(failure.task == task for failure in self.failures) or any(
            (task.model.name, clip) in clips for clip in clips_of(task)
        )


def _part_of_another(task: Task, tasks: Sequence[Task]) -> bool:
    """A set that only lacks clips whose gradients were lost too: once they are back, nobody wants it."""
    return isinstance(task, SetPass) and any(
        isinstance(other, SetPass) and other.model == task.model and set(task.clips) < set(other.clips)
        for other in tasks
    )


def _least(tasks: Sequence[Task], precision: Precision) -> list[Task]:
    """Without tasks whose records another one writes too; sets first, since their passes leave most other records."""
    keys = {task: frozenset(task.keys(precision)) for task in tasks}
    written: set[Key] = set()
    kept: set[Task] = set()
    for task in sorted(tasks, key=lambda task: -len(keys[task])):
        if not keys[task] <= written:
            written |= keys[task]
            kept.add(task)
    return sorted((task for task in tasks if task in kept), key=lambda task: not isinstance(task, SetPass))
