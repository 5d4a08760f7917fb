"""Lens: at which depth does each model know its answer, and is it right?"""

import streamlit as st

from core.figures import lens as figures
from core.figures.curves import MAX_LINES
from core.ui import corpus, lens_clips, links
from core.ui.badges import head
from core.ui.keys import Key
from core.ui.setup import begin

known, selection = begin("Lens")
head(links.LENS, selection.models, selection.clips.source)
page = corpus.ask(
    known,
    selection,
    links.LENS,
    "Lens",
    ["lens", "contributions"],
    (Key.CURVE, Key.DIFFERENCE, Key.GROUP, Key.CLIPS_MODEL, Key.CLIPS_POINT),
)
view = page.view
page.answer(figures.answer(view))

with st.container(horizontal=True, vertical_alignment="center"):
    curve = "KL"
    if view.by:
        curve = st.segmented_control(
            "Curve",
            list(figures.CURVES),
            default=curve,
            required=True,
            key=Key.CURVE,
            bind="query-params",
            label_visibility="collapsed",
        )
    difference = bool(view.others) and st.toggle(
        f"minus {view.reference.name}", key=Key.DIFFERENCE, bind="query-params"
    )
    if len(view.groups) <= MAX_LINES:  # more are a heatmap
        st.caption("Press a marker: the clips behind it are listed below.", width="content")
main = figures.main(view, curve, difference=difference)
page.show(Key.LENS, "lens", main, lens_clips.pick(view, main, difference=difference))

group = ""
if view.groups:
    if st.session_state.get(Key.GROUP) not in (None, *view.groups):
        st.session_state[Key.GROUP] = None
    field, _, judge = view.by.partition(":")
    group = st.segmented_control(
        f"Below, clips that {judge} gets" if judge else f"Below, clips of one {field}",
        view.groups,
        default=view.groups[0],
        required=True,
        key=Key.GROUP,
        bind="query-params",
    )
st.subheader("Which clips are behind it?", anchor=False)
lens_clips.draw(view, selection, group)
st.subheader("Which class does it read where?", anchor=False)
page.show(Key.TRAJECTORIES, "lens", figures.trajectories(view, group))
st.subheader("Do the landmarks coincide?", anchor=False)
st.markdown(figures.coincide(view, group))
page.show(Key.CONVERGENCE, "lens,contributions", figures.convergence(view, group))
if missing := figures.missing(view, group):
    st.caption(missing)
page.notes()
