"""The stretch of time that is patched: brushed on the clip's waveform, and kept in the address as `span=0.2-0.8`."""

import streamlit as st

from core.audio.waveform import SAMPLE_RATE
from core.corpora.clip import Clip
from core.errors import Refusal
from core.figures.causal import span_alt, span_view
from core.figures.layout import CONFIG, number
from core.interventions import read_span, write_span
from core.models.info import ModelInfo
from core.ui import context, links
from core.ui.keys import Key
from core.ui.notices import notice

_LEAST_S = 0.02  # what is brushed by a mere click is no span
Span = tuple[float, float]


def asked(model: ModelInfo, clip: Clip | None) -> Span | None:
    """The seconds of the clip that the address asks for. Nothing, and no more in the address, where they are none."""
    text = st.query_params.get(Key.SPAN, "")
    links.keep(Key.SPAN, text)
    if not text:
        return None
    span = read_span(text)
    if clip is None:
        why = "A time span is of one clip alone: all of these clips are patched."
    elif span is None or span[1] > model.shape.window_samples / model.shape.sampling_rate:
        why = f"{text} is no time span within the model's window: all of the clip is patched."
    elif span[0] >= clip.n_samples / SAMPLE_RATE:
        why = f"There is no sound from {number(span[0])} s on: all of the clip is patched."
    else:
        return span
    notice(why)
    links.keep(Key.SPAN, "")
    return None


def draw(model: ModelInfo, clip: Clip, span: Span | None) -> None:
    """The waveform to brush on, and what is brushed."""
    try:
        samples = context.sound(clip)[: model.shape.window_samples]
    except Refusal:
        st.caption("The sound of this clip was not kept, so there is no waveform to choose a time span on.")
        return
    seconds = samples.size / SAMPLE_RATE
    st.plotly_chart(
        span_view(samples, SAMPLE_RATE, span),
        key=Key.SPAN_WAVE,
        config=CONFIG,
        alt=span_alt(seconds, span),
        on_select=lambda: _brush(seconds),
        selection_mode="box",
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        if span is None:
            st.caption("Drag along the waveform to patch only that time.")
        else:
            st.caption(f"Patched: {number(span[0])} s to {number(span[1])} s.", width="content")
            st.button("Patch all of it", key=Key.SPAN_CLEAR, on_click=_clear, type="tertiary")


def _brush(seconds: float) -> None:
    """Take the box that was drawn; one that was taken away changes nothing."""
    boxes = st.session_state[Key.SPAN_WAVE].selection.get("box")
    if not boxes:
        return
    ends = sorted(min(max(float(x), 0.0), seconds) for x in boxes[-1]["x"])
    start, end = (round(one, 2) for one in (ends[0], ends[-1]))
    if end - start >= _LEAST_S:
        links.keep(Key.SPAN, write_span((start, end)))


def _clear() -> None:
    links.keep(Key.SPAN, "")
