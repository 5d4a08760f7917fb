"""Similarity: do A and B move together, and which depths are alike?"""

import streamlit as st

from core.figures import similarity as figures
from core.figures.adapters import adapters, targets
from core.ui import corpus, links, similarity
from core.ui.badges import head
from core.ui.keys import Key
from core.ui.setup import begin

known, selection = begin("Similarity")
head(links.SIMILARITY, selection.models, selection.clips.source)
page = corpus.ask(
    known,
    selection,
    links.SIMILARITY,
    "Similarity",
    ["cka"],
    (Key.KERNEL, Key.TARGET, Key.SERIES, Key.UNRELATED, Key.ESTIMATOR, Key.ROWS, Key.COLUMNS, Key.GROUP),
)
view = page.view
page.answer(figures.answer(view))

if found := adapters(view):
    with st.container(horizontal=True, vertical_alignment="bottom"):
        kernel = similarity.kernel(view)
        target = similarity.target(targets(found))
        series = similarity.series(view, kernel)
        unrelated = similarity.unrelated(view)
    page.show(Key.ALIGNMENT, "cka", figures.alignment(view, kernel, target, series, unrelated=unrelated))
    similarity.captions(figures.caution(view), figures.undefined_alignment(view, kernel))
else:
    st.info("None of these models has LoRA, so there is no A and B to compare. Choose one that has in the sidebar.")

st.subheader("Which depths are alike?", anchor=False)
with st.container(horizontal=True, vertical_alignment="bottom"):
    rows, columns = similarity.pair(view)
    estimator = similarity.estimator(view)
    group = similarity.group(view)
page.show(Key.CKA_LAYERS, "cka", figures.heatmaps(view, rows, columns, estimator, group))
similarity.captions(figures.undefined_layers(view, estimator))

st.subheader(f"How alike is each depth to the same depth of {view.reference.name}?", anchor=False)
if figures.comparable(view):
    page.show(Key.CKA_REFERENCE, "cka", figures.same_depth(view, estimator))
else:
    st.caption(f"No other model is as deep as {view.reference.name}: there is no same depth to compare.")
page.notes()
