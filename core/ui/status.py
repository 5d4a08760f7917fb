"""The foot of the sidebar: engine, device, cache, and the jobs that run, with progress, time left and cancel."""

from collections.abc import Callable
from typing import NoReturn

import streamlit as st

from core.engine.interface import Engine, EngineStatus, Job, JobState
from core.studies.board import Pinned
from core.ui import context
from core.ui.links import Link

_POLL_S = 0.5
_SHOWN = 4
_MB, _GB = 1e6, 1e9


def draw(watch: Callable[[], object] = lambda: None, drawn: object = None, *, waiting: bool = False) -> None:
    """Draw the status. Run the page again when `watch` no longer gives what was `drawn`; `waiting` for that to come."""
    polled = waiting or _busy()
    with st.sidebar:
        st.fragment(_panel, run_every=_POLL_S if polled else None)(watch, drawn, waiting, polled)


def stop() -> NoReturn:
    """End the page here, with the status drawn: nothing is asked for."""
    draw()
    st.stop()


def _busy() -> bool:
    """Whether there is anything to look at again soon."""
    engine = context.engine()
    return bool(context.board().active()) or bool(_jobs(engine)) or engine.status().worker == "starting"


def _panel(watch: Callable[[], object], drawn: object, waiting: bool, polled: bool) -> None:
    engine = context.engine()
    studies = context.board().active()
    for pinned in studies[:_SHOWN]:
        _draw_study(pinned)
    jobs = [job for job in _jobs(engine) if all(job is not pinned.study.job for pinned in studies)]
    for job in jobs[:_SHOWN]:
        _draw_progress(job.title, job, engine.cancel, job.id, job)
    if (more := max(0, len(studies) - _SHOWN) + max(0, len(jobs) - _SHOWN)) > 0:
        st.caption(f"and {more} more")
    status = engine.status()
    st.caption(f"{engine_line(status)}  \nCache {size(context.store().index.total_bytes())}")
    if status.memory.warning:
        st.caption(f":orange[:material/warning: {status.memory.warning}]")
    if watch() != drawn or (polled and not waiting and not _busy()):
        st.rerun()


def _jobs(engine: Engine) -> list[Job]:
    return [job for job in engine.jobs() if job.active]


def _draw_study(pinned: Pinned) -> None:
    study = pinned.study
    if isinstance(pinned.link, Link):
        st.page_link(pinned.link.page, label=study.title, query_params=pinned.link.parameters)
    if study.job is None:
        clips = study.question.size
        st.progress(study.read / max(clips, 1), text=f"Reading clips: {study.read} of {clips}")
        st.button("Cancel", key=f"cancel_{id(study)}", on_click=study.cancel, type="tertiary")
    else:
        _draw_progress("Passes", study.job, study.cancel, str(id(study)))


def _draw_progress(title: str, job: Job, cancel: Callable[..., None], name: str, *args: Job) -> None:
    left = job.seconds_left
    when = "waiting" if job.state is JobState.QUEUED and not job.done else "running"
    text = f"{title}: {job.done} of {job.total}, " + (f"{duration(left)} left" if left is not None else when)
    st.progress(min(1.0, job.done / max(job.total, 1)), text=text)
    st.button("Cancel", key=f"cancel_{name}", on_click=cancel, args=args, type="tertiary")


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
