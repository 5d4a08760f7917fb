"""What a page about many clips says of its study: what it is about, how far it is, how it ended."""

import streamlit as st

from core.figures.layout import number
from core.figures.view import View
from core.studies.study import Snapshot, State, Study
from core.ui import context
from core.ui.keys import Key
from core.ui.selection import Selection
from core.ui.sources import grouped

_NAMED = 3  # clips named in a sentence
_POLL_S = 0.5
_FRAMES = {"all": "all frames, padding included", "audio": "frames that hold sound"}


def scope(selection: Selection, view: View, span: tuple[float, float] | None = None) -> str:
    """Variant, frames (or the seconds of `span`), clips and speakers in a line."""
    clips = _clips(view.total)
    speakers = view.speakers()
    chosen = selection.clips
    parts = [
        f"**{view.variant}** variant",
        f"frames from {number(span[0])} s to {number(span[1])} s" if span else _FRAMES[view.frames],
        clips + (f" of {speakers} speaker{'' if speakers == 1 else 's'}" if speakers else ""),
    ]
    if chosen.balanced is not None:
        parts.append(f"{chosen.balanced} per class, seed {chosen.seed}")
    parts += [f"only {value if field == Key.FOLD else f'{field} {value}'}" for field, value in chosen.where.items()]
    return " · ".join(parts)


def say_progress(study: Study, now: Snapshot, view: View) -> None:
    """How many clips the curves are over so far."""
    with st.container(key="progress", horizontal=True, vertical_alignment="center", width="content"):
        if now.state is State.READING:
            st.markdown(f":material/hourglass_top: Reading {_clips(view.total)} …", width="content")
        elif now.state is State.WORKING:
            st.markdown(f":material/hourglass_top: **{so_far(view)}** so far", width="content")
        elif now.state is State.CANCELLED:
            st.markdown(f":material/pause: Cancelled after **{so_far(view)}**", width="content")
            st.button("Continue", key=Key.CONTINUE, on_click=_again, args=(study,), type="primary")
        if now.active:
            st.button("Cancel", key=Key.CANCEL, on_click=study.cancel, type="tertiary")


def say_more(study: Study, now: Snapshot, view: View) -> None:
    """How far a further question of the page is, in a line of its own; runs the page again when that changes."""
    with st.container(key="progress_more"):
        if now.active:
            st.fragment(_follow, run_every=_POLL_S)(study, now.version)
            st.markdown(f":material/hourglass_top: **{so_far(view)}** so far")
        elif now.state is State.CANCELLED:
            st.markdown(f":material/pause: Cancelled after **{so_far(view)}**")
        elif now.state is State.FAILED:
            st.error(now.reason)
        for failure in now.failures[:1]:
            st.warning(f"Some passes could not be made. The first: **{failure.model}**, {failure.reason}")
        if now.state in (State.CANCELLED, State.FAILED) or now.failures:
            st.button("Try again", key=Key.RETRY_MORE, on_click=_again, args=(study,))


def _follow(study: Study, drawn: int) -> None:
    if study.look().version != drawn:
        st.rerun()


def say_end(study: Study, now: Snapshot) -> None:
    """Why nothing came, or what is missing; with a way to try again."""
    if now.state is State.FAILED:
        st.error(now.reason)
        st.button("Try again", key=Key.RETRY, on_click=_again, args=(study,))
    if now.unusable:
        names = ", ".join(one.name for one in now.unusable[:_NAMED])
        st.warning(f"{_clips(len(now.unusable))} can't be used ({names}); the first: {now.unusable[0].reason}")
    if now.failures:
        first = now.failures[0]
        count = f"{len(now.failures)} pass{'' if len(now.failures) == 1 else 'es'}"
        st.warning(f"{count} could not be made. The first: **{first.model}**, {first.reason}")
        if not now.active:
            st.button("Try again", key=Key.RETRY, on_click=_again, args=(study,))


def so_far(view: View) -> str:
    """`37 of 100 clips`; for each model where they are not equally far."""
    done = {model.name: sum(_most(view, group, model.name) for group in view.tables) for model in view.models}
    there = {name: count for name, count in done.items() if count}
    if len(set(there.values())) <= 1:
        return f"{max(there.values(), default=0)} of {_clips(view.total)}"
    return ", ".join(f"{name} {count}" for name, count in there.items()) + f" of {_clips(view.total)}"


def _clips(count: int) -> str:
    return f"{grouped(count)} clip{'' if count == 1 else 's'}"


def _most(view: View, group: str, model: str) -> int:
    tables = view.tables[group].values()
    most = max((table.over_clips.curve(model=model).n for table in tables), default=0)
    return min(most, view.total)  # CKA of one clip is over its frames


def _again(study: Study) -> None:
    context.board().forget(study.question)
