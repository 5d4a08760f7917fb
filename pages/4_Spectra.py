"""Spectra: how many directions do adapters use, forward and backward?"""

import streamlit as st

from core.figures import spectra as figures
from core.ui import corpus, links, status
from core.ui.badges import head
from core.ui.choice import one_of
from core.ui.keys import Key
from core.ui.setup import begin

known, selection = begin("Spectra")
head(links.SPECTRA, selection.models, selection.clips.source)
if selection.models and not any(model.lora for model in selection.models):
    st.info("None of the chosen models has LoRA, and spectra are of LoRA modules. Choose an adapter in the sidebar.")
    status.stop()
page = corpus.ask(
    known,
    selection,
    links.SPECTRA,
    "Spectra",
    ["spectra"],
    (Key.EVERY, Key.KIND, Key.MEASURE, Key.TARGET, Key.LOOK, Key.DIRECTIONS, Key.PAIR),
)
view = page.view
page.answer(figures.answer(view))
if note := figures.unlabelled(view):
    st.caption(note)

measures = [*figures.MEASURES, figures.NORM]
if view.by:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        kind = one_of("Of", list(figures.KINDS), Key.KIND)
        measure = one_of("Measure", measures, Key.MEASURE)
        targets = figures.targets(figures.adapters(view))
        target = one_of("Target", targets, Key.TARGET) if len(targets) > 1 else targets[0]
    page.show(Key.SPECTRA, "spectra", figures.split(view, kind, measure, target))
    st.caption("Energy curves and the untrained counterparts' modules are shown without a split.")
    st.subheader("How many times fewer than before training?", anchor=False)
    page.show(Key.EFFICIENCY, "spectra", figures.efficiency(view, kind))
else:
    every = st.toggle("every module", key=Key.EVERY, bind="query-params")
    page.show(Key.SPECTRA, "spectra", figures.energy(view, every=every))
    st.subheader("How many times fewer than before training?", anchor=False)
    page.show(Key.EFFICIENCY, "spectra", figures.efficiency(view))
    st.subheader("How many directions does each module take?", anchor=False)
    page.show(Key.SV90, "spectra", figures.distribution(view))
    st.subheader("Where in depth?", anchor=False)
    measure = one_of("Measure", measures, Key.MEASURE)
    drawing = figures.norms(view) if measure == figures.NORM else figures.heatmap(view, measure)
    page.show(Key.SPECTRA_DEPTH, "spectra", drawing)

st.subheader("What do the weights alone say?", anchor=False)
st.caption(figures.NO_CLIPS)
pairs = list(figures.pairs(view))
look = one_of("Look", [*figures.LOOKS, *([figures.SHARED] if pairs else [])], Key.LOOK)
if look == figures.SHARED:
    page.show(Key.WEIGHTS, "spectra", figures.subspaces(view, one_of("Pair", pairs, Key.PAIR)))
elif look == figures.OVERLAP:
    size = one_of("Directions", [f"k = {k}" for k in figures.overlap_sizes(view)], Key.DIRECTIONS)
    page.show(Key.WEIGHTS, "spectra", figures.weights(view, look, int(size[4:])))
else:
    page.show(Key.WEIGHTS, "spectra", figures.weights(view, look))
with st.expander("What is compared with what"):
    st.markdown(figures.COMPARED)
page.notes()
