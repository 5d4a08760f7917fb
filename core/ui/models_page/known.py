"""What the page's parts are given: the models, what lies beside their checkpoints, and the clips of the sidebar."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import cast

import streamlit as st

from core.audio.decoder import decoder
from core.corpora.clip import Clip
from core.corpora.select import Unusable, choose, identify
from core.corpora.source import UPLOADS
from core.errors import Refusal
from core.evaluation.history import History, read_history
from core.evaluation.manifest import Manifest, manifest_of
from core.evaluation.verdicts import Verdict, said, verdicts, worst
from core.models.describe import Models
from core.models.info import ModelFiles, ModelInfo
from core.models.registry import Entry, read_registry
from core.settings import settings
from core.ui import context
from core.ui.chores import Chore, chores
from core.ui.clips import resolve
from core.ui.selection import Selection
from core.ui.sources import grouped

_TTL_S = 10.0  # as for the models themselves
_POLL_S = 1.0
Read = tuple[list[Clip], list[Unusable]]


@dataclass(frozen=True)
class Papers:
    """What lies beside a checkpoint; `problem` says why something that lies there can't be read."""

    manifest: Manifest | None = None
    history: History | None = None
    problem: str = ""


@dataclass(frozen=True)
class Known:
    """`entries` are the registry's, by name. `clips` are those that could be read, and `unusable` the others.

    `clips` is None while `reading` goes on, or where `problem` says why there are none.
    """

    models: Models
    entries: Mapping[str, Entry]
    papers: Mapping[str, Papers]
    clips: tuple[Clip, ...] | None = None
    unusable: tuple[Unusable, ...] = ()
    reading: Chore | None = None
    problem: str = ""

    def verdicts(self, model: ModelInfo) -> tuple[Verdict, ...]:
        """The leakage audit of one model; nothing before the clips are known."""
        return () if self.clips is None else verdicts(self.papers[model.name].manifest, self.clips)


def look(models: Models, selection: Selection) -> Known:
    """Read what lies beside the checkpoints, and ask for the clips."""
    entries, _ = read_registry(settings().registry)
    papers = {model.name: _papers(model, model.files) for model in models.models}
    known = Known(models, {entry.name: entry for entry in entries}, papers)
    try:
        return _with_clips(known, selection)
    except Refusal as error:
        return replace(known, problem=str(error))


# By the files themselves: copies of a checkpoint are equal and may have other papers beside them.
@st.cache_resource(show_spinner=False, ttl=_TTL_S, max_entries=256, hash_funcs={ModelFiles: hash})
def _papers(_model: ModelInfo, files: ModelFiles) -> Papers:
    try:
        manifest = manifest_of(_model)
        return Papers(manifest, None if manifest is None else read_history(manifest))
    except Refusal as error:
        return Papers(problem=str(error))


def _with_clips(known: Known, selection: Selection) -> Known:
    """The same with the sidebar's clips, as far as they are read. Raises Refusal."""
    chosen = selection.clips
    if chosen.clip is not None:
        return replace(known, clips=(resolve(chosen.source, chosen.clip, selection.models, 0.0).clip,))
    if chosen.source == UPLOADS:
        return replace(known, clips=tuple(context.uploads().clips()[: chosen.limit]))
    listed = tuple(choose(context.listing(chosen.source).clips, chosen.slice))

    def read(chore: Chore) -> Read:
        def advance(done: int) -> None:
            chore.done = done

        return identify(listed, decoder(), context.store().index, advance)

    chore = chores().ask(("clips", listed, context.stamp(listed)), read, total=len(listed))
    if chore.active:
        return replace(known, reading=chore)
    if chore.reason is not None:
        raise Refusal(chore.reason)
    clips, unusable = cast(Read, chore.result)
    return replace(known, clips=tuple(clips), unusable=tuple(unusable))


@st.fragment(run_every=_POLL_S)
def reading(chore: Chore, before: str = "") -> None:
    """How many of the clips are read, looked at again and again; the page runs again when all are."""
    count = f"{grouped(chore.done)} of {grouped(chore.total)}"
    st.markdown(f"{before}:material/hourglass_top: Reading the clips, to see whether training heard them: {count} …")


def answer(known: Known) -> None:
    """Which models can be trusted on the clips, in a place that is there before it is known."""
    count = len(known.models.models)
    here = f"{count} model{'' if count == 1 else 's'} can be used"
    if refused := len(known.models.refused):
        here += f", {refused} can't; the reason{' is' if refused == 1 else 's are'} below the table"
    with st.container(key="answer"):
        if known.problem:
            st.markdown(f"{here}.")
            st.error(known.problem)
        elif known.reading is not None:
            reading(known.reading, f"{here}. ")
        elif not known.clips:
            what = "None of the clips can be read" if known.unusable else "No clip is chosen to hold them against"
            st.markdown(f"{here}. {what}.")
        else:
            levels = {model.name: worst(known.verdicts(model)) for model in known.models.models}
            st.markdown(f"{here}. {said(levels, len(known.clips))}")
