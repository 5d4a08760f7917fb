"""From a request to results: passes into the engine, records out of the store, numbers out of the analyses."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from core.analyses.catalogue import ANALYSES
from core.analyses.request import AnalysisRequest, Result
from core.analyses.stored import StoredRecords
from core.engine.interface import Engine, Failure, Job
from core.errors import Refusal
from core.store.store import Store

_POLL_S = 0.2


@dataclass(frozen=True)
class Answers:
    """Results by analysis, passes that failed, and how many were found in the cache or computed."""

    results: Mapping[str, Result]
    failures: tuple[Failure, ...]
    hits: int
    computed: int


def answer(
    names: Sequence[str],
    request: AnalysisRequest,
    engine: Engine,
    store: Store,
    progress: Callable[[Job], None] = lambda job: None,
) -> Answers:
    """Make every pass the analyses need, then compute them. Raises Refusal where no pass could be made."""
    passes = list(dict.fromkeys(task for name in names for task in ANALYSES[name].needs(request)))
    job = _finish(engine.submit(passes, title=", ".join(names)), progress)
    failures, computed = list(job.failures), job.computed
    if len(failures) == len(passes):
        raise Refusal(f"None of the {len(passes)} passes could be made; the first: {failures[0].reason}")
    results, records = _compute(names, request, engine, store)
    failed = {failure.task for failure in failures}
    lost = [task for task in dict.fromkeys(records.lost) if task not in failed]
    if lost:  # damaged or evicted between the job and the reading: once more
        job = _finish(engine.submit(lost, title=", ".join(names)), progress)
        failures, computed = failures + job.failures, computed + job.computed
        results, records = _compute(names, request, engine, store)
    return Answers(results, tuple(failures), len(passes) - computed - len(failures), computed)


def _finish(job: Job, progress: Callable[[Job], None]) -> Job:
    while not job.wait(_POLL_S):
        progress(job)
    progress(job)
    return job


def _compute(
    names: Sequence[str], request: AnalysisRequest, engine: Engine, store: Store
) -> tuple[dict[str, Result], StoredRecords]:
    records = StoredRecords(store, engine.precision, request.window_start)
    return {name: ANALYSES[name].compute(records, request) for name in names}, records
