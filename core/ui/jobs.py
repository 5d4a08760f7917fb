"""Passes that somebody waits for: asked once, whoever looks, and the reason of those that failed."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass

from core.corpora.clip import Clip
from core.engine.interface import Engine, Job, JobState, Pass, Priority
from core.engine.interventions import DialPass
from core.store.key import Key
from core.store.store import Store

Asked = Pass | DialPass
CANCELLED = "it was cancelled before its turn came."


@dataclass(frozen=True)
class Answer:
    """One pass as it stands: ready, failed with a reason, or neither yet."""

    ready: bool
    reason: str | None = None

    @property
    def waiting(self) -> bool:
        return not self.ready and self.reason is None


class Desk:
    """Asks the engine for what is missing, and for nothing twice. Thread-safe, shared by all sessions."""

    def __init__(self, engine: Engine, store: Store) -> None:
        self._engine = engine
        self._store = store
        self._lock = threading.Lock()
        self._asked: dict[tuple[Key, ...], tuple[Job, Asked]] = {}

    def ask(self, passes: Sequence[Asked], title: str) -> list[Answer]:
        """How each pass stands; those that nobody asked for yet are submitted together as one job."""
        keys = [task.keys(self._engine.precision) for task in passes]
        with self._lock:
            answers = [self._stands(key) for key in keys]
            missing = [i for i, answer in enumerate(answers) if answer is None]
            if missing:
                job = self._engine.submit([passes[i] for i in missing], title=title, priority=Priority.PERSON)
                self._asked.update((keys[i], (job, passes[i])) for i in missing)
        return [answer or Answer(ready=False) for answer in answers]

    def look(self, passes: Sequence[Asked]) -> list[Answer]:
        """How each pass stands, without asking for any."""
        with self._lock:
            return [self._stands(task.keys(self._engine.precision)) or Answer(ready=False) for task in passes]

    def forget(self, clip: Clip) -> None:
        """Let failed passes over a clip be tried again."""
        with self._lock:
            for keys, (job, task) in list(self._asked.items()):
                if task.clip.clip_id == clip.clip_id and not job.active:
                    del self._asked[keys]

    def withdraw(self, task: Asked) -> None:
        """Nobody waits for it any more; what was asked for together with it goes too."""
        with self._lock:
            job, _ = self._asked.pop(task.keys(self._engine.precision), (None, task))
            if job is not None and job.active:
                self._engine.cancel(job)

    def _stands(self, keys: tuple[Key, ...]) -> Answer | None:
        """None for a pass that is to be submitted."""
        if all(map(self._store.has, keys)):
            self._asked.pop(keys, None)
            return Answer(ready=True)
        if keys not in self._asked:
            return None
        job, task = self._asked[keys]
        for failure in job.failures:
            if failure.task == task:
                return Answer(ready=False, reason=failure.reason)
        if job.active:
            return Answer(ready=False)
        if job.state is JobState.CANCELLED:
            return Answer(ready=False, reason=CANCELLED)
        return None  # made, and evicted since
