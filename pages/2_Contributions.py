"""Contributions: where in depth does LoRA write, and how strongly?"""

import streamlit as st

from core.figures import contributions as figures
from core.ui import corpus, links
from core.ui.badges import head
from core.ui.keys import Key
from core.ui.setup import begin

known, selection = begin("Contributions")
head(links.CONTRIBUTIONS, selection.models, selection.clips.source)
page = corpus.ask(
    known,
    selection,
    links.CONTRIBUTIONS,
    "Contributions",
    ["contributions"],
    (Key.STATISTIC, Key.COMPONENT, Key.DIFFERENCE),
)
view = page.view
page.answer(figures.answer(view))

with st.container(horizontal=True, vertical_alignment="bottom"):
    statistic = st.segmented_control(
        "Measure",
        list(figures.UNIT),
        default="relative",
        required=True,
        key=Key.STATISTIC,
        bind="query-params",
        label_visibility="collapsed",
    )
    component, difference = "sum", False
    if view.by:
        component = st.segmented_control(
            "Of",
            list(figures.NAMES),
            default="sum",
            required=True,
            key=Key.COMPONENT,
            bind="query-params",
            label_visibility="collapsed",
        )
        label = f"minus {view.reference.name}"
        difference = bool(view.others) and st.toggle(label, key=Key.DIFFERENCE, bind="query-params")
page.show(Key.CONTRIBUTIONS, "contributions", figures.main(view, statistic, component, difference=difference))

st.subheader("How large is the stream they write into?", anchor=False)
page.show(Key.NORMS, "contributions", figures.norms(view))
st.subheader("What does the padding do?", anchor=False)
page.show(Key.PADDED, "contributions", figures.padding(view, statistic))
page.notes()
