"""The sidebar's clips: where they come from, a slice of them, and one of them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import streamlit as st

from core.corpora.folds import natural_order
from core.corpora.select import Slice, choose, folds_of, value_of
from core.corpora.source import DEMO, UPLOADS, Listed
from core.errors import Refusal
from core.models.info import ModelInfo
from core.ui import clips, context, links, sampling
from core.ui.keys import FILTERS, Key
from core.ui.notices import notice
from core.ui.selection import Clips

_LEFT_OUT = "clip_left_out"  # in the session: the clip that was chosen before a filter left it out
_HELP = """Type or paste where clips lie on the server:

- `iemocap:/path/to/IEMOCAP_full_release`
- `folder:/path/to/audio`
- `dataset:/path/or/name`, as the `datasets` library knows it

Or take the embedded demo, or what was uploaded or recorded here."""


def draw(models: Sequence[ModelInfo], *, one_clip: bool) -> Clips:
    """Draw the controls and say what they are set to. A source that can't be listed is named, and offers nothing."""
    source = _choose_source()
    chosen = Clips(source, {})
    try:
        kept: Sequence[Listed] = ()
        if source != UPLOADS:
            where, kept = _choose_slice(source)
            chosen = replace(chosen, where=where)
        if not one_clip:
            return sampling.choose(chosen, kept, models)
        clip = _choose_clip(source, chosen.where)
        return replace(chosen, clip=clip, left_out=st.session_state.get(_LEFT_OUT))
    except Refusal as error:
        st.error(str(error))
    return chosen


# The next three are for widgets' callbacks.


def show(source: str, label: str) -> None:
    """Choose a clip of another source, with nothing left of the slice before."""
    st.session_state[Key.SOURCE] = source
    drop_filters()
    take(label)


def take(label: str | None) -> None:
    """Choose a clip of the slice."""
    st.session_state[Key.CLIP] = label
    _start_over()


def drop_filters() -> None:
    """Take the whole source; a clip that they left out is chosen again."""
    for key in (*FILTERS, Key.ONLY):
        st.session_state[key] = None


def _forget() -> None:
    """What is chosen of a source means nothing in another one."""
    drop_filters()
    take(None)


def _start_over() -> None:
    """Another clip is heard from its beginning."""
    st.session_state[Key.START] = 0.0
    st.session_state.pop(_LEFT_OUT, None)


def _choose_source() -> str:
    options = [DEMO, UPLOADS]
    asked = links.asked(Key.SOURCE)
    source = st.selectbox(
        "Clips from",
        options if asked in (None, *options) else [*options, asked],
        key=Key.SOURCE,
        bind="query-params",
        help=_HELP,
        accept_new_options=True,
        filter_mode="contains",  # or a path that is much like the last one would be taken for it
        on_change=_forget,
    )
    return str(source or DEMO).strip()


def _choose_slice(source: str) -> tuple[dict[str, str], Sequence[Listed]]:
    """A filter for each field the source knows, each offering what those before it leave; raises Refusal."""
    listing = context.listing(source)
    _about(listing.notes)
    folds = folds_of(listing.clips)
    known = [key for key in FILTERS if any(_value(clip, key, folds) for clip in listing.clips)]
    where: dict[str, str] = {}
    kept: Sequence[Listed] = listing.clips
    with st.container(key="filters"):
        cells = [cell for _ in range(0, len(known) + 1, 2) for cell in st.columns(2, vertical_alignment="center")]
        for cell, key in zip(cells, known, strict=False):
            value = _choose_value(cell, key, kept, folds)
            if value is not None:
                where[key.value] = value
                kept = choose(listing.clips, Slice(where))
        total = f"{grouped(len(listing.clips))} clips"
        tests = f", {where[Key.FOLD]} tests {kept[0].speaker}" if Key.FOLD in where else ""
        cells[len(known)].caption(f"{grouped(len(kept))} of {total}{tests}" if where else total)
    return where, kept


def _value(clip: Listed, key: Key, folds: Mapping[str | None, str]) -> str | None:
    return folds.get(clip.speaker) if key is Key.FOLD else value_of(clip, key)


def _choose_value(
    cell: st.delta_generator.DeltaGenerator, key: Key, kept: Sequence[Listed], folds: Mapping[str | None, str]
) -> str | None:
    options = natural_order(value for clip in kept if (value := _value(clip, key, folds)))
    asked = links.asked(key)
    if asked and asked not in options:
        notice(f"No clip here has {key} {asked}: that filter is off.")
        st.session_state[key] = None
    return cell.selectbox(
        f"Only this {key}",
        options,
        index=None,
        key=key,
        bind="query-params",
        placeholder=key.capitalize(),
        filter_mode="contains",
        label_visibility="collapsed",
    )


def grouped(count: int) -> str:
    """A whole number with thin spaces between thousands."""
    return f"{count:,}".replace(",", "\u2009")


def _about(notes: Sequence[str]) -> None:
    """What the source's reader has to say, for whoever wants to know."""
    if notes:
        with st.popover("About this source", type="tertiary", icon=":material/info:", key="about_source"):
            for note in notes:
                st.markdown(f"- {note}")


def _choose_clip(source: str, where: Mapping[str, str]) -> str | None:
    """One clip of the slice. One that a filter leaves out comes back with the filter; raises Refusal."""
    options = clips.labels(source, where)
    asked = links.asked(Key.CLIP)
    if asked is None and st.session_state.get(_LEFT_OUT) in options:
        asked = st.session_state[Key.CLIP] = st.session_state[_LEFT_OUT]
    if asked in options:
        st.session_state.pop(_LEFT_OUT, None)
    elif asked:
        st.session_state[Key.CLIP] = None
        if where and asked in clips.labels(source, {}):
            st.session_state[_LEFT_OUT] = asked
        else:
            notice(f"There is no clip {asked} in {source}.")
    return st.selectbox(
        "Clip",
        options,
        index=None,
        key=Key.CLIP,
        bind="query-params",
        placeholder="Choose a clip" if options else "None yet",
        filter_mode="contains",
        on_change=_start_over,
    )
