"""One question under way: a thread that waits for the engine, and what everybody may look at meanwhile."""

import sys
import threading
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from core.analyses.request import AnalysisRequest
from core.analyses.stored import StoredRecords
from core.analyses.tidy import Table
from core.audio.decoder import Decoder
from core.corpora.clip import Clip
from core.corpora.select import Unusable, identify
from core.corpora.source import Listed
from core.engine.interface import Engine, Failure, Job
from core.errors import Refusal
from core.store.store import Store
from core.studies.answers import Cancelled, answer
from core.studies.compute import Computed, kept
from core.studies.process import Computer
from core.studies.slices import CORRECT, Groups, split

_GROWS_S = 0.5  # curves grow this often at most,
_COMPUTING_SHARE = 0.25  # and computing them takes this much of the time at most

Tables = Mapping[str, Mapping[str, Table]]


@dataclass(frozen=True)
class Question:
    """Analyses of clips under models. `request` still lacks its clips where they were listed, but not decoded yet;
    `stamp` then changes with the files.
    """

    names: tuple[str, ...]
    request: AnalysisRequest
    listed: tuple[Listed, ...] = ()
    stamp: str = ""
    by: str | None = None

    @property
    def size(self) -> int:
        """How many clips it is about."""
        return len(self.listed) or len(self.request.clips)


class State(StrEnum):
    """A study's life."""

    READING = "reading"  # the clips, to know which they are
    WORKING = "working"
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"


@dataclass(frozen=True)
class Snapshot:
    """A study as it stands: tables by group and analysis, over the clips done so far; `version` grows with each."""

    state: State
    clips: tuple[Clip, ...] = ()
    tables: Tables = field(default_factory=dict)
    groups: Groups = field(default_factory=dict)
    unusable: tuple[Unusable, ...] = ()
    failures: tuple[Failure, ...] = ()
    reason: str = ""
    version: int = 0

    @property
    def active(self) -> bool:
        return self.state in (State.READING, State.WORKING)

    @property
    def size(self) -> int:
        """Bytes of its tables."""
        return sum(table.nbytes for tables in self.tables.values() for table in tables.values())


@dataclass(frozen=True)
class Tools:
    """What studies work with."""

    engine: Engine
    store: Store
    computer: Computer
    decoder: Decoder


class Study:
    """Answers a question in a thread of its own. Look at `now` from any thread."""

    def __init__(self, question: Question, title: str, tools: Tools) -> None:
        self.question = question
        self.title = title
        self.job: Job | None = None
        self.read = 0  # clips whose ids are known, while reading
        self._tools = tools
        self._stop = threading.Event()
        self._due = 0.0
        self._grown = ("", 0)  # the job and how much of it was done when the curves last grew
        self.now = Snapshot(State.READING if question.listed else State.WORKING, question.request.clips)

    def start(self) -> "Study":
        """Answer at once where the store has it, else go on in the background."""
        tables = self._at_once()
        if tables is not None:
            self._change(state=State.DONE, tables=tables)
        else:
            threading.Thread(target=self._run, name="lorascope-study", daemon=True).start()
        return self

    def look(self) -> Snapshot:
        """`now`, for somebody who waits: what is looked at goes before what was left, and only its curves grow."""
        if self.job is not None:
            self.job.look()
        return self.now

    def cancel(self) -> None:
        """Stop as soon as possible; what is done stays in the store."""
        self._stop.set()
        if self.job is not None:
            self._tools.engine.cancel(self.job)

    def _at_once(self) -> Tables | None:
        """The tables, where the store has them and it is known at once whose they are."""
        question = self.question
        if question.listed or (question.by or "").startswith(CORRECT):
            return None
        try:
            return self._kept(question.request)
        except Refusal:
            return None  # the thread says so

    def _kept(self, request: AnalysisRequest) -> Tables | None:
        tools, by = self._tools, self.question.by
        records = StoredRecords(tools.store, tools.engine.precision, request.window_start)
        groups = split(request, by, records)
        self._change(groups=groups)
        try:
            return kept(self.question.names, groups, tools.store, tools.engine.precision)
        except Exception:  # whatever is wrong with what was kept: it can be made anew
            traceback.print_exc(file=sys.stderr)
            return None

    def _run(self) -> None:
        try:
            self._work()
        except Cancelled:
            self._change(state=State.CANCELLED)
        except Refusal as error:
            self._change(state=State.FAILED, reason=str(error))
        except Exception as error:  # whoever looks must learn that nothing more will come
            traceback.print_exc(file=sys.stderr)
            self._change(state=State.FAILED, reason=f"LoRAscope failed ({type(error).__name__}: {error}).")

    def _work(self) -> None:
        question, tools = self.question, self._tools
        request = replace(question.request, clips=self._clips()) if question.listed else question.request
        self._change(state=State.WORKING)
        tables = self._kept(request) if question.listed and not (question.by or "").startswith(CORRECT) else None
        if tables is None:
            done = answer(
                question.names,
                request,
                tools.engine,
                tools.store,
                lambda names, groups: self._compute(groups),
                by=question.by,
                progress=self._watch,
            )
            self._change(state=State.DONE, tables=done.results, groups=done.groups, failures=done.failures)
        else:
            self._change(state=State.DONE, tables=tables)

    def _clips(self) -> tuple[Clip, ...]:
        """The listed clips with their ids; decodes those that nobody decoded before."""

        def advance(done: int) -> None:
            self.read = done
            if self._stop.is_set():
                raise Cancelled

        clips, unusable = identify(self.question.listed, self._tools.decoder, self._tools.store.index, advance)
        if not clips:
            raise Refusal(f"None of the clips can be used; the first: {unusable[0].reason}")
        self._change(clips=tuple(clips), unusable=tuple(unusable))
        return tuple(clips)

    def _compute(self, groups: Groups) -> Computed[Table]:
        """Tables of the records there are; Cancelled where nobody wants them any more."""
        if self._stop.is_set():
            raise Cancelled
        return self._tools.computer.compute(self.question.names, groups, self._tools.engine.precision)

    def _watch(self, job: Job, groups: Groups) -> None:
        """Every so often while the engine works: let the curves grow, where somebody looks at them."""
        self.job = job
        there = job.hits + job.computed
        new = there > 0 and (job.id, there) != self._grown
        if self._stop.is_set():
            self._tools.engine.cancel(job)
        elif groups and new and job.active and job.watched and time.monotonic() >= self._due:
            self._grown = job.id, there
            self._grow(groups)

    def _grow(self, groups: Groups) -> None:
        """Tables of what there is so far."""
        start = time.monotonic()
        try:
            self._change(tables=self._compute(groups).results, groups=groups)
        except Refusal:  # if it still holds in the end, it is said then
            traceback.print_exc(file=sys.stderr)
        cost = time.monotonic() - start
        self._due = time.monotonic() + max(_GROWS_S, cost / _COMPUTING_SHARE)

    def _change(self, **changes: object) -> None:
        self.now = replace(self.now, **changes, version=self.now.version + 1)  # type: ignore[arg-type]
