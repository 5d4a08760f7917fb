"""The foot of the sidebar: engine, device, cache, and the jobs that run, with progress, time left and cancel."""

from collections.abc import Sequence

import streamlit as st

from core.engine.interface import Engine, EngineStatus, Job, JobState, Pass
from core.ui import context
from core.ui.jobs import Answer

_POLL_S = 0.5
_SHOWN = 4
_MB, _GB = 1e6, 1e9


def draw(passes: Sequence[Pass] = (), stands: Sequence[Answer] = ()) -> None:
    """Draw the status; run the page again whenever one of `passes` no longer stands as it did when the page asked."""
    polled = _busy(stands)
    with st.sidebar:
        st.fragment(_panel, run_every=_POLL_S if polled else None)(tuple(passes), list(stands), polled)


def _busy(stands: Sequence[Answer]) -> bool:
    """Whether there is anything to look at again soon."""
    engine = context.engine()
    return any(answer.waiting for answer in stands) or bool(_active(engine)) or engine.status().worker == "starting"


def _panel(passes: Sequence[Pass], stands: list[Answer], polled: bool) -> None:
    engine = context.engine()
    jobs = _active(engine)
    for job in jobs[:_SHOWN]:
        _draw_job(engine, job)
    if len(jobs) > _SHOWN:
        st.caption(f"and {len(jobs) - _SHOWN} more jobs")
    st.caption(f"{engine_line(engine.status())}  \nCache {size(context.store().index.total_bytes())}")
    now = context.desk().look(passes)
    if now != stands or (polled and not _busy(now)):
        st.rerun()


def _active(engine: Engine) -> list[Job]:
    return [job for job in engine.jobs() if job.active]


def _draw_job(engine: Engine, job: Job) -> None:
    left = job.seconds_left
    when = "waiting" if job.state is JobState.QUEUED and not job.done else "running"
    text = f"{job.title}: {job.done} of {job.total}, " + (f"{duration(left)} left" if left is not None else when)
    st.progress(job.done / max(job.total, 1), text=text)
    st.button("Cancel", key=f"cancel_{job.id}", on_click=engine.cancel, args=(job,), type="tertiary")


def engine_line(status: EngineStatus) -> str:
    """Engine, device and precision in a few words."""
    again = f", restarted {status.restarts} x" if status.restarts else ""
    return f"Engine {status.worker}{again} · {status.device} · {status.precision.dtype}"


def duration(seconds: float) -> str:
    """Rounded as one would say it."""
    if seconds < 1:
        return "under 1 s"
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def size(count: float) -> str:
    """Bytes as MB or GB."""
    return f"{count / _GB:.3g} GB" if count >= _GB else f"{count / _MB:.3g} MB"
