"""The Ranks page's maps: draw around clips in one panel, see them in all, hear them below."""

from collections.abc import Sequence

import streamlit as st

from core.audio.waveform import encode_wav
from core.corpora.clip import Clip
from core.corpora.source import UPLOADS
from core.emotions import canonical
from core.errors import Refusal
from core.figures import ranks as figures
from core.figures.adapters import targets
from core.models.info import ModelInfo
from core.ui import context, links
from core.ui.choice import one_of
from core.ui.clips import upload_label
from core.ui.corpus import Corpus
from core.ui.drawn import drawn
from core.ui.keys import Key
from core.ui.sources import grouped

_PICKED = "ranks_picked"  # in the session: beginnings of ids, also of more clips than an address can hold
_LINKED = 24  # clips in an address, at most
_HEARD = 12  # clips listed with a player, at most
_COLUMNS = 3


def target(models: Sequence[ModelInfo]) -> str:
    """Which of the adapted projections, where there are several."""
    names = targets(models)
    return names[0] if len(names) == 1 else one_of("Module", names, Key.TARGET)


@st.fragment  # a lasso runs this part of the page alone
def maps(page: Corpus, models: Sequence[str], target: str) -> None:
    """The maps with what chooses them, and the clips drawn around; `models` are for the links to these clips."""
    view = page.view
    with st.container(horizontal=True, vertical_alignment="center"):
        kind = one_of("Map", list(figures.MAPS), Key.MAP)
        st.caption("Draw around points: the same clips stand out in every panel, and are listed below.")
    picked = _picked(view.clips)
    drawing = drawn(figures.maps, view, kind, target, frozenset(clip.clip_id for clip in picked))

    def lasso(points: Sequence[tuple[int, int]]) -> None:
        _pick(figures.lassoed(drawing, points))

    page.show(Key.RANK_MAPS, "ranks", drawing, on_lasso=lasso)
    if picked:
        _list(picked, page.selection.clips.source, models)


def _picked(clips: Sequence[Clip]) -> list[Clip]:
    """The clips drawn around, or those that the address names."""
    if _PICKED not in st.session_state:
        st.session_state[_PICKED] = frozenset(filter(None, st.query_params.get(Key.PICKED, "").split(",")))
    wanted = st.session_state[_PICKED]
    return [clip for clip in clips if clip.clip_id[: figures.BEGINNING] in wanted]


def _pick(beginnings: Sequence[str]) -> None:
    st.session_state[_PICKED] = frozenset(beginnings)
    if 0 < len(beginnings) <= _LINKED:
        st.query_params[Key.PICKED] = ",".join(beginnings)
    else:
        st.query_params.pop(Key.PICKED, None)


def _list(clips: Sequence[Clip], source: str, models: Sequence[str]) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        count = f"**{grouped(len(clips))} clip{'' if len(clips) == 1 else 's'}** drawn around"
        st.markdown(count + (f", the first {_HEARD} of them" if len(clips) > _HEARD else ""), width="content")
        st.button("Clear", key=Key.UNPICK, on_click=_pick, args=((),), type="tertiary")
        if len(clips) > _LINKED:
            st.caption(f"The address holds up to {_LINKED} clips; these are too many.")
    for start in range(0, min(len(clips), _HEARD), _COLUMNS):
        for place, clip in zip(st.columns(_COLUMNS), clips[start : min(start + _COLUMNS, _HEARD)], strict=False):
            with place.container(gap="xsmall"):
                _one(clip, source, models)


def _one(clip: Clip, source: str, models: Sequence[str]) -> None:
    address = links.to_clip(models, source, upload_label(clip) if source == UPLOADS else clip.name)
    st.page_link(links.CLIP, label=clip.name, icon=":material/graphic_eq:", query_params=address)
    known = [canonical(clip.label) if clip.label else "unlabelled", *([clip.speaker] if clip.speaker else [])]
    st.caption(" · ".join(known))
    try:
        st.audio(encode_wav(context.sound(clip)), format="audio/wav", alt=f"The clip {clip.name}")
    except Refusal as error:
        st.caption(str(error))
