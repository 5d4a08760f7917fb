"""With which other clip one clip alone makes a minimal pair: the nearest of its source are proposed."""

import streamlit as st

from core.analyses.causal_pairs import same_words
from core.audio.decoder import decoder
from core.audio.waveform import SAMPLE_RATE
from core.corpora.clip import Clip
from core.corpora.source import UPLOADS
from core.figures.layout import number
from core.models.info import ModelInfo
from core.studies.partners import proposed
from core.ui import context, links
from core.ui.keys import Key
from core.ui.notices import notice
from core.ui.selection import Selection

_WIDTH = 260  # pixels


def choose(selection: Selection, clip: Clip) -> Clip | None:
    """Ask for the partner of the clip, which is chosen alone, under the first model; None where it has none, and the
    page then says so."""
    model, source = selection.models[0], selection.clips.source
    found = [] if source == UPLOADS else _nearest(source, clip, model, model.labels)
    if not found:
        st.info(
            f"{clip.name} has no partner here: in a minimal pair the same speaker says it with another emotion that "
            f"{model.name} knows. Choose another clip, or patch between this one and noise."
        )
        return None
    by_name = {other.name: other for other in found}
    asked = links.asked(Key.PARTNER)
    if asked and asked not in by_name:
        if Key.PARTNER not in st.session_state:  # else it was the partner of the clip before
            notice(f"{asked} makes no minimal pair with {clip.name}: the nearest clip that does is taken.")
        st.session_state[Key.PARTNER] = found[0].name
    name = st.selectbox(
        "Partner",
        list(by_name),
        key=Key.PARTNER,
        bind="query-params",
        filter_mode="contains",
        label_visibility="collapsed",
        width=_WIDTH,
        help="Clips by the same speaker with another emotion, those with the same words alone where there are any; the "
        "closest in length first.",
    )
    return by_name[name]


def describe(clip: Clip, partner: Clip) -> str:
    """What tells the two apart, in a sentence."""
    by = (partner.n_samples - clip.n_samples) / SAMPLE_RATE
    length = f"{number(abs(by))} s {'longer' if by > 0 else 'shorter'}" if by else "as long"
    if same_words(clip, partner):
        words = "the same words"
    else:
        words = "other words" if clip.transcript and partner.transcript else "words not known"
    return f"**{clip.name}** ({clip.label}) against **{partner.name}** ({partner.label}): {words}, {length}."


# Of a real corpus some hundred clips must be read first to know how long they are; which these are, the index keeps.
@st.cache_resource(show_spinner="Looking for a partner …", ttl=30, max_entries=64)
def _nearest(source: str, clip: Clip, _model: ModelInfo, labels: tuple[str, ...]) -> list[Clip]:
    return proposed(clip, context.listing(source).clips, _model, decoder(), context.store().index)
