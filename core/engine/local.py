"""The engine of one machine: a queue, a thread that feeds one worker, and jobs that anyone may watch."""

import contextlib
import sys
import threading
import traceback
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from core.corpora.clip import Clip
from core.engine.backend import Backend, Batch, Outcome, SetProgress, WorkerDied, WorkerUnusable
from core.engine.interface import (
    EngineStatus,
    GradientPass,
    Job,
    JobState,
    ModelPass,
    Pass,
    Priority,
    SetPass,
    Task,
    size_of,
)
from core.engine.interventions import DialPass, Intervention, LayerPass, PatchPass
from core.engine.queue import MAX_DEATHS, PassQueue
from core.errors import Refusal
from core.models.info import ModelInfo
from core.models.memory import Memory
from core.store.key import Key, Precision
from core.store.store import Store

_JOBS_KEPT = 50
_CLOSE_TIMEOUT_S = 5.0
_WAVEFORMS_KEPT = 16  # a clip's models run one after the other: decode it once
_SAMPLES_OF = Callable[[Clip], np.ndarray]


class LocalEngine:
    """See `interface.Engine`. `samples_of` gives a clip's 16 kHz mono samples, or raises Refusal.

    `eager` starts the worker at once, so that the first person to ask need not wait for it.
    """

    def __init__(
        self,
        backend: Backend,
        store: Store,
        samples_of: _SAMPLES_OF,
        precision: Precision,
        *,
        device: str,
        batch_size: int,
        eager: bool = False,
    ) -> None:
        self.precision = precision
        self._backend = backend
        self._store = store
        self._samples_of = samples_of
        self._device = device
        self._batch_size = batch_size
        self._queue = PassQueue()
        self._jobs: deque[Job] = deque(maxlen=_JOBS_KEPT)
        self._checks: deque[tuple[ModelInfo, Callable[[str | None], None]]] = deque()
        self._waveforms: OrderedDict[str, np.ndarray] = OrderedDict()
        self._changed = threading.Condition()
        self._state, self._closing = "starting" if eager else "ready", False
        self._eager = eager
        self._memory = Memory()
        self._thread = threading.Thread(target=self._work, name="lorascope-engine", daemon=True)
        self._thread.start()

    def submit(self, passes: Sequence[Task], *, title: str, priority: Priority = Priority.CORPUS) -> Job:
        job = Job(title, sum(map(size_of, passes)))
        missing = []
        for task in sorted(passes, key=_turn):
            keys = task.keys(self.precision)
            if all(map(self._store.has, keys)):
                job.hits += size_of(task)
            else:
                missing.append((keys, task))
        with self._changed:
            self._jobs.appendleft(job)
            if self._closing:  # nobody would ever do them
                self._end(job, JobState.CANCELLED)
                return job
            for keys, task in missing:
                self._queue.add(keys, task, job, priority)
            self._settle(job)
            self._changed.notify_all()
        return job

    def cancel(self, job: Job) -> None:
        with self._changed:
            if job.active:
                self._queue.drop(job)
                self._end(job, JobState.CANCELLED)

    def check(self, model: ModelInfo) -> str | None:
        """Load a model in the worker: None if it can be used, else the sentence why not. Waits for its turn."""
        answer: list[str | None] = []
        done = threading.Event()

        def answered(reason: str | None) -> None:
            answer.append(reason)
            done.set()

        with self._changed:
            self._checks.append((model, answered))
            self._changed.notify_all()
        done.wait()
        return answer[0]

    def jobs(self) -> tuple[Job, ...]:
        with self._changed:
            return tuple(self._jobs)

    def status(self) -> EngineStatus:
        with self._changed:
            return EngineStatus(self._state, self._device, self.precision, self._memory, self._backend.restarts)

    def close(self) -> None:
        with self._changed:
            if self._closing:
                return
            self._closing = True
            for job in self._jobs:
                if job.active:
                    self._queue.drop(job)
                    self._end(job, JobState.CANCELLED)
            self._changed.notify_all()
        self._thread.join(_CLOSE_TIMEOUT_S)
        # A worker still in a batch writes its records and ends when this process does.
        if not self._thread.is_alive():
            self._backend.close()

    def _work(self) -> None:
        if self._eager:
            # Where it can't start, the first request says so to somebody who can read it.
            with contextlib.suppress(WorkerUnusable):
                self._backend.start()
                self._note_memory()
        while True:
            with self._changed:
                if not self._queue.busy:
                    self._state = "ready"
                self._changed.wait_for(lambda: self._closing or self._checks or self._queue.busy)
                if self._closing:
                    return
                check = self._checks.popleft() if self._checks else None
                keys = [] if check else self._queue.next_batch(self._batch_size)
                self._state = "busy"
            if check:
                check[1](self._checked(check[0]))
            else:
                self._run([(key, self._queue.task(key)) for key in keys])

    def _checked(self, model: ModelInfo) -> str | None:
        try:
            reason = self._backend.check(model)
            self._note_memory()
            return reason
        except WorkerDied:
            with self._changed:
                self._memory = self._memory.emptied()
            return f"the worker process died while loading {model.name}: is there enough memory for it?"
        except WorkerUnusable as error:
            return str(error)

    def _note_memory(self) -> None:
        """For `status`, which other threads ask for while the backend is at work."""
        with self._changed:
            self._memory = self._backend.memory

    def _run(self, batch: list[tuple[tuple[Key, ...], Task]]) -> None:
        ready: list[tuple[tuple[Key, ...], Task]] = []
        samples: list[np.ndarray] = []
        sources: list[np.ndarray | None] = []
        for keys, task in batch:
            if isinstance(task, SetPass):
                self._step(keys, task)
            elif all(map(self._store.has, keys)):  # left by another task meanwhile
                self._finish(keys, None)
            elif isinstance(task, ModelPass):
                ready.append((keys, task))
            else:
                window = self._window(task.clip, task)
                source = self._window(task.source, task) if isinstance(task, PatchPass) and task.source else None
                if isinstance(window, str):
                    self._finish(keys, window)
                elif isinstance(source, str):
                    self._finish(keys, source)
                else:
                    samples.append(window)
                    sources.append(source)
                    ready.append((keys, task))
        if not ready:
            return
        answers = self._answers(ready, tuple(samples), sources=tuple(sources))
        for (keys, _), reason in zip(ready, answers, strict=False):
            self._finish(keys, reason if isinstance(reason, str) else None)

    def _step(self, keys: tuple[Key, ...], task: SetPass) -> None:
        """The next clips of a set; other tasks have their turn before the ones after."""
        parts = task.parts
        with self._changed:
            positions = self._queue.positions(keys, self._batch_size)
        windows = {i: self._window(parts[i].clip, parts[i]) for i in positions}
        good = {i: window for i, window in windows.items() if not isinstance(window, str)}
        unreadable = {i: window for i, window in windows.items() if isinstance(window, str)}
        for outcome in self._answers([(keys, task)], tuple(good.values()), tuple(good), unreadable):
            if not isinstance(outcome, SetProgress):
                self._finish(keys, outcome)
                return
            with self._changed:
                if outcome.finished:
                    jobs: Sequence[Job] = self._queue.finish(keys, None, outcome.failed)
                else:
                    jobs = self._queue.advance(keys, outcome.todo, len(outcome.failed))
                for job in jobs if outcome.finished else ():
                    self._settle(job)

    def _answers(
        self,
        ready: list[tuple[tuple[Key, ...], Task]],
        samples: tuple[np.ndarray, ...],
        positions: tuple[int, ...] = (),
        unreadable: Mapping[int, str] | None = None,
        sources: tuple[np.ndarray | None, ...] = (),
    ) -> Sequence[Outcome]:
        """What the worker says to a batch; nothing where it died over it."""
        tasks = tuple(task for _, task in ready)
        try:
            found = self._backend.run(Batch(tasks, samples, positions, unreadable or {}, sources))
        except WorkerDied:
            self._after_death([keys for keys, _ in ready])
            return []
        except WorkerUnusable as error:
            self._give_up(str(error))
            return [str(error)] * len(ready)
        self._note_memory()
        return found

    def _give_up(self, reason: str) -> None:
        """Fail what waits: each batch would wait for another worker that can't start."""
        with self._changed:
            while batch := self._queue.next_batch(sys.maxsize):
                for keys in batch:
                    self._finish(keys, reason)

    def _after_death(self, batch: list[tuple[Key, ...]]) -> None:
        """What the dead worker had written counts; the rest goes back into the queue."""
        with self._changed:
            self._memory = self._memory.emptied()
            self._state = "restarting"
            for keys in batch:
                if all(map(self._store.has, keys)):
                    self._finish(keys, None)
                elif not self._queue.retry(keys):
                    self._finish(keys, f"the worker process died {MAX_DEATHS} times on it: is there enough memory?")

    def _window(self, clip: Clip, task: Pass | GradientPass | Intervention) -> np.ndarray | str:
        """The samples of a clip's window in a task, or the sentence why there are none."""
        samples = self._waveforms.pop(clip.clip_id, None)
        try:
            samples = self._samples_of(clip) if samples is None else samples
        except Refusal as error:
            return str(error)
        except Exception as error:  # this thread must outlive whatever a clip's source does
            traceback.print_exc(file=sys.stderr)
            return f"{clip.name} can't be read ({type(error).__name__}: {error})."
        self._waveforms[clip.clip_id] = samples
        if len(self._waveforms) > _WAVEFORMS_KEPT:
            self._waveforms.popitem(last=False)
        shape, start = task.model.shape, task.window_start
        start = start if clip == task.clip else shape.start_of(clip.n_samples, start)
        window = samples[start : start + shape.window_samples]
        return window if window.size else f"{clip.name} ends before the chosen window begins: move the window."

    def _finish(self, keys: tuple[Key, ...], reason: str | None) -> None:
        with self._changed:
            for job in self._queue.finish(keys, reason):
                self._settle(job)

    def _settle(self, job: Job) -> None:
        if job.active and job.done >= job.total:
            self._end(job, JobState.DONE)

    def _end(self, job: Job, state: JobState) -> None:
        job.state = state
        job.end()


def _turn(task: Task) -> int:
    """Where a task belongs in its job: first those that leave what others ask for."""
    return (ModelPass, SetPass, GradientPass, Pass, DialPass, LayerPass, PatchPass).index(type(task))
