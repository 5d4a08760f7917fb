"""The cache and what looks after it; the engine, its device and its jobs."""

from collections.abc import Callable
from functools import partial

import streamlit as st

from core.engine.interface import Job, JobState
from core.settings import settings
from core.ui import context
from core.ui.chores import Chore, chores
from core.ui.keys import Key
from core.ui.sources import grouped
from core.ui.status import duration, engine_line, size

_POLL_S = 1.0
_VERIFY, _PRUNE = "verify the cache", "prune the cache"
_WORDS = {
    "forward": "forward passes: contributions, norms, per-frame lens",
    "gradient": "gradients of a clip's loss",
    "intervention": "runs with a part replaced",
    "lora": "LoRA-A activations",
    "model": "what weights alone say",
    "result": "finished analyses",
    "set": "Grams and kernels over a set of clips",
    "states": "the residual stream of every audio frame",
}


def cache() -> None:
    """What the cache holds, by kind of record, and the two things to do about it."""
    stats = context.store().stats()
    held = f"{grouped(stats.records)} records, **{size(stats.bytes)}** of at most {size(stats.limit_bytes)}"
    st.markdown(f"{held}, in `{stats.directory}`")
    kinds = [
        {"kind": kind, "records": grouped(count), "size": size(total), "what it holds": _WORDS.get(kind, "")}
        for kind, (count, total) in stats.by_kind.items()
    ]
    if kinds:
        st.dataframe(kinds, hide_index=True)
    else:
        st.caption("Nothing is kept yet: the first clip or sample that is looked at begins to fill it.")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.button(
            "Verify",
            key=Key.VERIFY,
            on_click=partial(_begin, _VERIFY, _verify),
            help="Reads every record; damaged ones are dropped and computed again when they are needed.",
        )
        limit = settings().cache_max_gb
        keep = st.number_input("Keep at most (GB)", 0.0, limit, limit, key=Key.PRUNE_TO, width=180)
        st.button(
            "Prune",
            key=Key.PRUNE,
            on_click=partial(_begin, _PRUNE, partial(_prune, keep)),
            help="Drops the least recently used records until no more than that is left.",
        )
    for what, doing in ((_VERIFY, "Reading every record …"), (_PRUNE, "Dropping records …")):
        if chore := chores().find(what):
            _say(chore, doing)


def _begin(what: str, work: Callable[[], str]) -> None:
    chores().ask(what, lambda _: work(), again=True)


def _verify() -> str:
    good, bad = context.store().verify()
    return f"{good} records are good, {len(bad)} were damaged and are dropped."


def _prune(to_gb: float) -> str:
    return f"Freed {size(context.store().prune(to_gb))}."


def _say(chore: Chore, doing: str) -> None:
    if chore.active:
        st.markdown(f":material/hourglass_top: {doing}")
    elif chore.reason is not None:
        st.error(chore.reason)
    else:
        st.markdown(f":material/check: {chore.result}")


@st.fragment(run_every=_POLL_S)
def engine() -> None:
    """The engine's state and its jobs, looked at again and again."""
    the_one = context.engine()
    status = the_one.status()
    memory = status.memory
    loaded = ", ".join(status.loaded) or "no model yet; the first pass loads what it needs"
    used = f"  \nWeights in memory: {size(memory.used_bytes)}"
    used += f" of at most {size(memory.limit_bytes)}" if memory.limit_bytes else ""
    st.markdown(f"{engine_line(status)}  \nLoaded: {loaded}{used}")
    if memory.warning:
        st.warning(memory.warning)
    jobs = the_one.jobs()
    if jobs:
        st.dataframe([_job(job) for job in jobs], hide_index=True)
    else:
        st.caption("No job was asked for since the server started.")


def _job(job: Job) -> dict[str, str]:
    time = job.seconds_left if job.active else job.seconds
    when = "" if time is None else f"{duration(time)} left" if job.active else f"took {duration(time)}"
    return {
        "job": job.title,
        "state": "waiting" if job.state is JobState.QUEUED else str(job.state),
        "passes": f"{job.done} of {job.total}",
        "from the cache": str(job.hits),
        "computed": str(job.computed),
        "failed": str(job.failed),
        "time": when,
        "why": job.failures[0].reason if job.failures else "",
    }
