"""The Lens page's list of clips: where a model reads the label worst and best at a point, one click from each."""

from collections.abc import Sequence

import streamlit as st

from core.corpora.source import UPLOADS
from core.emotions import canonical
from core.figures.drawing import Drawing
from core.figures.layout import number
from core.figures.lens import Reading, behind, pointed
from core.figures.view import View
from core.models.info import Role
from core.ui import links
from core.ui.charts import Pick
from core.ui.clips import upload_label
from core.ui.keys import Key
from core.ui.selection import Selection
from core.ui.sources import grouped

_MEASURE = {"label": "the probability of the label", "kl": "KL to the model's own answer (no labels)"}


def pick(view: View, drawing: Drawing, *, difference: bool) -> Pick:
    """What a press on a marker of the main chart does: choose its model, point and group below."""

    def choose(trace: int, index: int) -> None:
        model, point, group = pointed(view, drawing, trace, index, difference=difference)
        st.session_state[Key.CLIPS_MODEL], st.session_state[Key.CLIPS_POINT] = model, point
        if group:
            st.session_state[Key.GROUP] = group

    return choose


def draw(view: View, selection: Selection, group: str) -> None:
    """Controls for model and point, and the clips."""
    names = [model.name for model in view.models]
    adapted = [model.name for model in view.models if model.role is Role.LORA]
    if st.session_state.get(Key.CLIPS_MODEL) not in (None, *names):
        st.session_state[Key.CLIPS_MODEL] = None
    left, right = st.columns(2, gap="large")
    name = left.segmented_control(
        "Model",
        names,
        default=(adapted or names)[-1],
        required=True,
        key=Key.CLIPS_MODEL,
        bind="query-params",
    )
    model = next(one for one in view.models if one.name == name)
    last = model.shape.layers
    if (st.session_state.get(Key.CLIPS_POINT) or 0) > last:
        st.session_state[Key.CLIPS_POINT] = last
    point = right.slider("Point of depth", 0, last, last, key=Key.CLIPS_POINT, bind="query-params")
    found = behind(view, model.name, point, group)
    if not found.n:
        st.caption("Which clips these are stands here as soon as the model has heard some.")
        return
    whose = f" {group}" if group else ""
    clips = f"{grouped(found.n)}{whose} clip{'' if found.n == 1 else 's'}"
    st.caption(f"{clips} by {_MEASURE[found.measure]} at point {point} of {model.name}.")
    left, right = st.columns(2, gap="large")
    with left:
        _list("Worst" if found.best else "The only one", found.worst, view, selection)
    if found.best:
        with right:
            _list("Best", found.best, view, selection)


def _list(title: str, readings: Sequence[Reading], view: View, selection: Selection) -> None:
    st.markdown(f"**{title}**")
    models = [model.name for model in view.models]
    source = selection.clips.source
    for reading in readings:
        clip = reading.clip
        address = links.to_clip(
            models, source, upload_label(clip) if source == UPLOADS else clip.name, view.variant, view.frames
        )
        with st.container(gap=None):
            st.page_link(links.CLIP, label=clip.name, icon=":material/graphic_eq:", query_params=address)
            st.caption(_says(reading))


def _says(reading: Reading) -> str:
    label = canonical(reading.clip.label) if reading.clip.label else ""
    parts = [f"reads {reading.reads} {number(reading.probability)}", f"KL {number(reading.kl)} nats"]
    if reading.label is None:
        return " · ".join([f"label {label}"] * bool(label) + parts)
    own = [] if reading.reads == label else [f"{label} {number(reading.label)}"]
    return " · ".join([f"label {label}", parts[0], *own, parts[1]])
