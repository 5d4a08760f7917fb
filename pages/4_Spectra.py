"""Spectra: how many directions do adapters use, forward and backward?"""

import streamlit as st

from core.figures import spectra as figures
from core.ui import corpus, links
from core.ui.badges import title
from core.ui.keys import Key
from core.ui.setup import begin

known, selection = begin("Spectra")
title("Spectra", selection.models, selection.clips.source)
st.markdown("How many directions do adapters use, forward and backward?")
if selection.models and not any(model.lora for model in selection.models):
    corpus.stop_with(
        "None of the chosen models has LoRA modules. Spectra are of those: choose an adapter in the sidebar."
    )
OWN = (Key.EVERY, Key.KIND, Key.MEASURE, Key.TARGET, Key.LOOK, Key.DIRECTIONS, Key.PAIR)
page = corpus.ask(known, selection, links.SPECTRA, "Spectra", ["spectra"], OWN)
view = page.view
page.answer(figures.answer(view))
if note := figures.unlabelled(view):
    st.caption(note)


def one_of(label: str, options: list[str], key: Key) -> str:
    """A control among a few."""
    return st.segmented_control(
        label, options, default=options[0], required=True, key=key, bind="query-params", label_visibility="collapsed"
    )


if view.by:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        kind = one_of("Of", list(figures.KINDS), Key.KIND)
        measure = one_of("Measure", list(figures.MEASURES), Key.MEASURE)
        targets = figures.targets(figures.adapters(view))
        target = one_of("Target", targets, Key.TARGET) if len(targets) > 1 else targets[0]
    page.show(Key.SPECTRA, "spectra", figures.split(view, kind, measure, target))
    st.caption("Energy curves, modules and heatmaps are of all clips together: choose “No split” to see them.")
    st.subheader("How many times fewer than before training?", anchor=False)
    page.show(Key.EFFICIENCY, "spectra", figures.efficiency(view, kind))
else:
    kind = "A gradients"
    every = st.toggle("every module", key=Key.EVERY, bind="query-params")
    page.show(Key.SPECTRA, "spectra", figures.energy(view, every=every))
    st.subheader("How many times fewer than before training?", anchor=False)
    page.show(Key.EFFICIENCY, "spectra", figures.efficiency(view))
    st.subheader("How many directions does each module take?", anchor=False)
    page.show(Key.SV90, "spectra", figures.distribution(view))
    st.subheader("Where in depth?", anchor=False)
    page.show(
        Key.SPECTRA_DEPTH, "spectra", figures.heatmap(view, one_of("Measure", list(figures.MEASURES), Key.MEASURE))
    )
st.subheader("Where does the loss pull?", anchor=False)
page.show(Key.GRADIENT_NORMS, "spectra", figures.norms(view, kind))

st.subheader("What do the weights alone say?", anchor=False)
st.caption(figures.NO_CLIPS)
with st.container(horizontal=True, vertical_alignment="bottom"):
    look, size = one_of("Look", list(figures.LOOKS), Key.LOOK), 1
    if look == figures.OVERLAP:
        size = int(one_of("Directions", [f"k = {k}" for k in figures.overlap_sizes(view)], Key.DIRECTIONS)[4:])
page.show(Key.WEIGHTS, "spectra", figures.weights(view, look, size))
if pairs := list(figures.pairs(view)):
    st.subheader("Do adapters find the same directions?", anchor=False)
    pair = one_of("Pair", pairs, Key.PAIR)
    page.show(Key.SUBSPACES, "spectra", figures.subspaces(view, pair))
with st.expander("What is compared with what"):
    st.markdown(figures.COMPARED)
page.notes()
