"""The engine's promises to whoever waits, with a made-up backend: order, sharing, cancelling, deaths."""

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from core.corpora.clip import Clip
from core.engine.backend import Batch, Outcome, SetProgress, WorkerDied, WorkerUnusable
from core.engine.interface import WATCHED_S, GradientPass, Job, JobState, Pass, Priority, SetPass
from core.engine.local import LocalEngine
from core.engine.queue import MAX_DEATHS
from core.errors import Refusal
from core.models.info import ModelInfo
from core.models.memory import Memory
from core.store.key import Precision
from core.store.store import Store
from tests.analyses.fabricate import make_model

PRECISION = Precision()


class Recorder:
    """A backend that notes its batches, waits at a gate, and does what `act` says with each pass.

    Of a set it remembers which clips it was given; only the first `kept` of them survive a death.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.batches: list[list[str]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()
        self.act: Callable[[Pass], str | None] = lambda task: None
        self.broken: str | None = None
        self.given: dict[int, str | None] = {}
        self.kept = 0

    restarts = 0
    memory = Memory()

    def start(self) -> None: ...

    def close(self) -> None: ...

    def check(self, model: ModelInfo) -> str | None:
        return self.broken

    def run(self, batch: Batch) -> Sequence[Outcome]:
        if self.broken:
            raise WorkerUnusable(self.broken)
        if isinstance(batch.passes[0], SetPass):
            return [self.step(batch.passes[0], batch)]
        self.batches.append([f"{task.model.name}/{task.clip.name}" for task in batch.passes])
        self.entered.set()
        assert self.gate.wait(10)
        reasons = []
        for task in batch.passes:
            reason = self.act(task)
            if reason is None:
                for key in task.keys(PRECISION):
                    self.store.write(key, {"x": np.zeros(1)})
            reasons.append(reason)
        return reasons

    def step(self, task: SetPass, batch: Batch) -> SetProgress:
        self.batches.append([f"{task.model.name}/{task.clips[i].name}" for i in batch.positions])
        self.entered.set()
        assert self.gate.wait(10)
        for i, samples in zip(batch.positions, batch.samples, strict=False):
            assert samples.size == task.clips[i].n_samples
            try:
                self.given[i] = self.act(Pass(task.model, task.clips[i]))
            except WorkerDied:
                self.given = dict(list(self.given.items())[: self.kept])
                raise
        self.given |= batch.unreadable
        todo = tuple(i for i in range(len(task.clips)) if i not in self.given)
        failed = {i: reason for i, reason in self.given.items() if reason is not None}
        if finished := not todo and not batch.positions:
            self.store.write(task.keys(PRECISION)[0], {"x": np.zeros(1)})
        return SetProgress(todo, failed, finished=finished)


@pytest.fixture
def backend(tmp_path: Path) -> Recorder:
    return Recorder(Store(tmp_path / "cache", 1.0))


def _samples(clip: Clip) -> np.ndarray:
    if clip.name == "gone":
        raise Refusal("gone is gone")
    if clip.name == "odd":
        raise OSError("disk on fire")
    return np.zeros(clip.n_samples, dtype=np.float32)


@pytest.fixture
def engine(backend: Recorder) -> LocalEngine:
    return LocalEngine(backend, backend.store, _samples, PRECISION, device="cpu", batch_size=2)


def _clips(n: int, prefix: str = "c") -> list[Clip]:
    return [Clip(f"{prefix}{i}".ljust(64, "0"), f"{prefix}{i}", 1600) for i in range(n)]


def _done(job: Job) -> None:
    assert job.wait(10), f"{job.done} of {job.total}"


A, B = make_model("A"), make_model("B")


def test_a_job_computes_each_pass_once_and_the_next_one_finds_them(engine: LocalEngine, backend: Recorder) -> None:
    passes = [Pass(A, clip) for clip in _clips(5)]
    first = engine.submit(passes, title="first")
    _done(first)
    assert (first.hits, first.computed, first.state) == (0, 5, JobState.DONE)
    assert [len(batch) for batch in backend.batches] == [2, 2, 1]
    second = engine.submit(passes, title="second")
    assert (second.hits, second.computed, second.active) == (5, 0, False)
    assert len(backend.batches) == 3


def test_a_batch_holds_one_model(engine: LocalEngine, backend: Recorder) -> None:
    job = engine.submit([Pass(model, clip) for clip in _clips(3) for model in (A, B)], title="both")
    _done(job)
    assert all(len({name.split("/")[0] for name in batch}) == 1 for batch in backend.batches)


def test_two_people_asking_for_the_same_make_it_once(engine: LocalEngine, backend: Recorder) -> None:
    backend.gate.clear()
    passes = [Pass(A, clip) for clip in _clips(4)]
    first, second = engine.submit(passes, title="1"), engine.submit(passes, title="2")
    backend.gate.set()
    _done(first)
    _done(second)
    assert first.computed == second.computed == 4
    assert sum(map(len, backend.batches)) == 4


def test_what_a_person_waits_for_goes_before_corpus_jobs(engine: LocalEngine, backend: Recorder) -> None:
    backend.gate.clear()
    corpus = engine.submit([Pass(A, clip) for clip in _clips(6)], title="corpus")
    assert backend.entered.wait(5)
    person = engine.submit([Pass(A, clip) for clip in _clips(1, "p")], title="me", priority=Priority.PERSON)
    backend.gate.set()
    _done(person)
    _done(corpus)
    assert backend.batches[1] == ["A/p0"]


def test_a_corpus_pass_that_a_person_asks_for_moves_up(engine: LocalEngine, backend: Recorder) -> None:
    backend.gate.clear()
    clips = _clips(6)
    corpus = engine.submit([Pass(A, clip) for clip in clips], title="corpus")
    assert backend.entered.wait(5)
    person = engine.submit([Pass(A, clips[5])], title="me", priority=Priority.PERSON)
    backend.gate.set()
    _done(person)
    _done(corpus)
    assert backend.batches[1] == ["A/c5"]


def test_cancelling_keeps_what_is_done_and_what_others_want(engine: LocalEngine, backend: Recorder) -> None:
    backend.gate.clear()
    clips = _clips(6)
    doomed = engine.submit([Pass(A, clip) for clip in clips], title="doomed")
    kept = engine.submit([Pass(A, clips[4])], title="kept")
    assert backend.entered.wait(5)
    engine.cancel(doomed)
    assert (doomed.state, doomed.active) == (JobState.CANCELLED, False)
    backend.gate.set()
    _done(kept)
    time.sleep(0.1)
    assert backend.batches == [["A/c0", "A/c1"], ["A/c4"]]
    again = engine.submit([Pass(A, clip) for clip in clips], title="again")
    assert again.hits == 3
    _done(again)


def test_a_failure_has_its_reason_and_harms_no_other(engine: LocalEngine, backend: Recorder) -> None:
    backend.act = lambda task: "it is cursed" if task.clip.name == "c1" else None
    job = engine.submit([Pass(A, clip) for clip in _clips(3)], title="job")
    _done(job)
    assert [(f.model, f.clip.name, f.reason) for f in job.failures] == [("A", "c1", "it is cursed")]
    assert job.computed == 2


def test_a_clip_that_can_not_be_read_fails_alone(engine: LocalEngine) -> None:
    clips = [*_clips(1), Clip("g" * 64, "gone", 1600), Clip("o" * 64, "odd", 1600)]
    job = engine.submit([Pass(A, clip) for clip in clips], title="job")
    _done(job)
    reasons = {failure.clip.name: failure.reason for failure in job.failures}
    assert reasons["gone"] == "gone is gone"
    assert "disk on fire" in reasons["odd"]
    assert job.computed == 1


def test_a_window_beyond_the_end_is_refused(engine: LocalEngine) -> None:
    job = engine.submit([Pass(A, _clips(1)[0], window_start=99_999)], title="job")
    _done(job)
    assert "move the window" in job.failures[0].reason


def test_a_dead_worker_is_tried_again_and_what_it_wrote_counts(engine: LocalEngine, backend: Recorder) -> None:
    deaths = iter([True])

    def act(task: Pass) -> str | None:
        if task.clip.name == "c1" and next(deaths, False):
            raise WorkerDied
        return None

    backend.act = act
    job = engine.submit([Pass(A, clip) for clip in _clips(4)], title="job")
    _done(job)
    assert job.computed == 4 and not job.failures
    assert sum(batch.count("A/c0") for batch in backend.batches) == 1  # written before the death


def test_a_pass_that_keeps_killing_the_worker_is_given_up_alone(engine: LocalEngine, backend: Recorder) -> None:
    def act(task: Pass) -> str | None:
        if task.clip.name == "c0":
            raise WorkerDied
        return None

    backend.act = act
    job = engine.submit([Pass(A, clip) for clip in _clips(4)], title="job")
    _done(job)
    assert [failure.clip.name for failure in job.failures] == ["c0"]
    assert f"died {MAX_DEATHS} times" in job.failures[0].reason
    assert job.computed == 3


def test_a_worker_that_can_not_start_fails_the_job_with_its_reason(engine: LocalEngine, backend: Recorder) -> None:
    """And starts it once, not for each batch: importing torch takes seconds."""
    backend.broken = "no torch here"
    tries: list[Batch] = []
    run = backend.run
    backend.run = lambda batch: (tries.append(batch), run(batch))[1]
    job = engine.submit([*(Pass(A, clip) for clip in _clips(9)), Pass(B, _clips(1)[0]), _set(3)], title="job")
    _done(job)
    assert {failure.reason for failure in job.failures} == {"no torch here"}
    assert (job.failed, job.total, len(tries)) == (13, 13, 1)
    backend.broken = None
    again = engine.submit([Pass(A, clip) for clip in _clips(3)], title="again")
    _done(again)
    assert again.computed == 3


def _set(n: int) -> SetPass:
    return SetPass(A, tuple(_clips(n)), (0,) * n)


def test_a_set_counts_as_often_as_it_has_clips(engine: LocalEngine, backend: Recorder) -> None:
    job = engine.submit([_set(5), Pass(B, _clips(1)[0])], title="set")
    _done(job)
    assert (job.total, job.computed, job.failed, job.state) == (6, 6, 0, JobState.DONE)
    assert backend.batches == [[], ["A/c0", "A/c1"], ["A/c2", "A/c3"], ["A/c4"], [], ["B/c0"]]
    again = engine.submit([_set(5)], title="again")
    assert (again.hits, again.done, again.active) == (5, 5, False)


def test_what_an_earlier_process_did_of_a_set_is_found(engine: LocalEngine, backend: Recorder) -> None:
    backend.given = dict.fromkeys(range(3))
    job = engine.submit([_set(5)], title="set")
    _done(job)
    assert (job.hits, job.computed) == (3, 2)


def test_a_person_need_not_wait_for_a_set(engine: LocalEngine, backend: Recorder) -> None:
    backend.gate.clear()
    corpus = engine.submit([_set(6)], title="corpus")
    assert backend.entered.wait(5)
    person = engine.submit([Pass(B, _clips(1, "p")[0])], title="me", priority=Priority.PERSON)
    backend.gate.set()
    _done(person)
    _done(corpus)
    assert backend.batches[1] == ["B/p0"]


def test_two_people_asking_for_a_set_share_it_from_where_it_is(engine: LocalEngine, backend: Recorder) -> None:
    late: list[Job] = []

    def act(task: Pass) -> str | None:
        if task.clip.name == "c3":
            late.append(engine.submit([_set(6)], title="late"))
        return None

    backend.act = act
    first = engine.submit([_set(6)], title="first")
    _done(first)
    _done(late[0])
    assert (first.computed, late[0].computed) == (6, 6)
    assert sum(map(len, backend.batches)) == 6


def test_a_cancelled_set_stops_after_its_batch(engine: LocalEngine, backend: Recorder) -> None:
    backend.gate.clear()
    job = engine.submit([_set(6)], title="set")
    assert backend.entered.wait(5)
    engine.cancel(job)
    backend.gate.set()
    time.sleep(0.2)
    assert job.state is JobState.CANCELLED
    assert len(backend.batches) == 1


def test_clips_of_a_set_fail_alone_and_by_name(engine: LocalEngine, backend: Recorder) -> None:
    backend.act = lambda task: "it is cursed" if task.clip.name == "c1" else None
    clips = (*_clips(3), Clip("g" * 64, "gone", 1600))
    job = engine.submit([SetPass(A, clips, (0, 1, 2, 3))], title="set")
    _done(job)
    reasons = {failure.clip.name: failure.reason for failure in job.failures if failure.clip}
    assert reasons == {"c1": "it is cursed", "gone": "gone is gone"}
    assert (job.computed, job.failed, job.done) == (2, 2, 4)


def test_a_worker_that_dies_over_a_set_goes_on_from_what_was_kept(engine: LocalEngine, backend: Recorder) -> None:
    deaths = iter([True, True])

    def act(task: Pass) -> str | None:
        if task.clip.name == "c4" and next(deaths, False):
            raise WorkerDied
        return None

    backend.act, backend.kept = act, 3
    job = engine.submit([_set(6)], title="set")
    _done(job)
    assert (job.computed, job.failures, job.done) == (6, [], 6)
    done = [name for batch in backend.batches for name in batch]
    assert done.count("A/c0") == 1 and done.count("A/c3") >= 2


def test_a_set_that_keeps_killing_the_worker_is_given_up(engine: LocalEngine, backend: Recorder) -> None:
    def act(task: Pass) -> str | None:
        if task.clip.name == "c2":
            raise WorkerDied
        return None

    backend.act, backend.kept = act, 2
    job = engine.submit([_set(4)], title="set")
    _done(job)
    assert [f"died {MAX_DEATHS} times" in failure.reason for failure in job.failures] == [True]
    assert job.done == job.total


def test_what_others_build_on_goes_first_and_kinds_never_mix(engine: LocalEngine, backend: Recorder) -> None:
    clip = _clips(1)[0]
    tasks = [Pass(A, clip), Pass(A, clip, lora=True), GradientPass(A, clip, 0, 1), _set(1)]
    backend.gate.clear()
    blocker = engine.submit([Pass(B, clip)], title="blocker")
    assert backend.entered.wait(5)
    seen: list[str] = []
    run = backend.run
    backend.run = lambda batch: (seen.append(type(batch.passes[0]).__name__), run(batch))[1]
    backend.step = lambda task, batch: SetProgress((), {}, finished=True)
    job = engine.submit(tasks, title="all")
    backend.gate.set()
    _done(blocker)
    _done(job)
    assert seen == ["SetPass", "GradientPass", "Pass"]  # both kinds of pass write the same of a model without LoRA


def test_a_sets_key_is_of_its_clips_in_any_order() -> None:
    clips = _clips(3)
    one, other = SetPass(A, tuple(clips), (0, 1, 2)), SetPass(A, tuple(clips[::-1]), (2, 1, 0))
    assert one == other and one.keys(PRECISION) == other.keys(PRECISION)
    assert [part.target for part in other.parts] == [0, 1, 2]
    for different in (
        SetPass(A, tuple(clips), (0, 1, 1)),
        SetPass(A, tuple(clips[:2]), (0, 1)),
        SetPass(B, tuple(clips), (0, 1, 2)),
        SetPass(A, tuple(clips), (0, 1, 2), kernels=False),
    ):
        assert different.keys(PRECISION) != one.keys(PRECISION)
    # a window that no clip is longer than changes nothing
    assert SetPass(A, tuple(clips), (0, 1, 2), window_start=16).keys(PRECISION) == one.keys(PRECISION)
    with pytest.raises(ValueError, match="no clip twice"):
        SetPass(A, (clips[0], clips[0]), (0, 0))


def test_time_left_comes_from_the_jobs_own_pace_after_its_first_batch() -> None:
    job = Job("x", 10)
    job.started -= 100.0
    job.begin()  # in the first batch the worker starts and loads the model
    assert job.seconds_left is None
    job.hits, job.computed = 3, 1
    assert job.seconds_left is None
    job.begin()
    assert job.paced is not None and job.seconds_left is None
    job.paced = job.paced[0] - 2.0, job.paced[1]
    job.computed, job.failed = 2, 1
    assert job.seconds_left == pytest.approx(4.0, rel=0.1)  # 4 passes left at a second each
    job.begin()
    assert job.seconds_left == pytest.approx(4.0, rel=0.1)
    job.end()
    assert job.seconds_left is None


def test_a_workers_slow_start_does_not_count_as_pace(engine: LocalEngine, backend: Recorder) -> None:
    """The estimate on the page: never minutes because torch took ten seconds to import."""
    left: list[float | None] = []
    run = backend.run

    def slow_at_first(batch: Batch) -> Sequence[Outcome]:
        time.sleep(0.05 if backend.batches else 1.0)
        left.append(job.seconds_left)
        return run(batch)

    backend.run = slow_at_first
    job = engine.submit([Pass(A, clip) for clip in _clips(8)], title="job")
    _done(job)
    assert left[:2] == [None, None]
    assert left[2] is not None and left[2] < 0.9  # 4 passes at some 0.03 s each; with the start it was a second


def test_what_somebody_looks_at_goes_before_what_was_left(engine: LocalEngine, backend: Recorder) -> None:
    """Who changes the selection need not wait for the old one, which goes on afterwards."""
    backend.gate.clear()
    left = engine.submit([Pass(A, clip) for clip in _clips(6)], title="left")
    assert backend.entered.wait(5)
    left.looked -= WATCHED_S
    looked_at = engine.submit([Pass(A, clip) for clip in _clips(4, "p")], title="looked at")
    backend.gate.set()
    _done(looked_at)
    _done(left)
    assert backend.batches == [["A/c0", "A/c1"], ["A/p0", "A/p1"], ["A/p2", "A/p3"], ["A/c2", "A/c3"], ["A/c4", "A/c5"]]


def test_what_somebody_looks_at_again_has_its_turn_again(engine: LocalEngine, backend: Recorder) -> None:
    """Of two that are looked at the older one goes first; so nobody is put off for good."""
    backend.gate.clear()
    first = engine.submit([Pass(A, clip) for clip in _clips(6)], title="first")
    assert backend.entered.wait(5)
    first.looked -= WATCHED_S
    engine.submit([Pass(A, clip) for clip in _clips(4, "p")], title="second")
    first.look()
    backend.gate.set()
    _done(first)
    assert backend.batches[:3] == [["A/c0", "A/c1"], ["A/c2", "A/c3"], ["A/c4", "A/c5"]]


def test_a_task_that_two_want_goes_with_the_one_who_looks(engine: LocalEngine, backend: Recorder) -> None:
    backend.gate.clear()
    clips = _clips(6)
    left = engine.submit([Pass(A, clip) for clip in clips], title="left")
    assert backend.entered.wait(5)
    left.looked -= WATCHED_S
    looked_at = engine.submit([Pass(A, clip) for clip in clips[4:]], title="looked at")
    backend.gate.set()
    _done(looked_at)
    _done(left)
    assert backend.batches[1] == ["A/c4", "A/c5"]


def test_a_person_goes_before_a_corpus_job_that_is_looked_at(engine: LocalEngine, backend: Recorder) -> None:
    backend.gate.clear()
    corpus = engine.submit([Pass(A, clip) for clip in _clips(4)], title="corpus")
    assert backend.entered.wait(5)
    person = engine.submit([Pass(A, clip) for clip in _clips(1, "p")], title="me", priority=Priority.PERSON)
    person.looked -= WATCHED_S
    backend.gate.set()
    _done(corpus)
    assert backend.batches[1] == ["A/p0"]


def test_after_it_was_closed_the_engine_takes_nothing_on(engine: LocalEngine) -> None:
    """Whoever asks learns that it ended, and does not wait for good."""
    engine.close()
    job = engine.submit([Pass(A, clip) for clip in _clips(2)], title="late")
    assert (job.active, job.state) == (False, JobState.CANCELLED)
