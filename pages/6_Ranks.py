"""Ranks: what does more rank buy?"""

from dataclasses import replace

import streamlit as st

from core.figures import ranks as figures
from core.figures.say import listed
from core.ui import corpus, links, ranks, ranks_compare, status
from core.ui.badges import head
from core.ui.keys import Key
from core.ui.setup import begin

known, selection = begin("Ranks")
head(links.RANKS, selection.models, selection.clips.source)
chosen = figures.comparable(selection.models)
if selection.models and not chosen:
    st.info("None of the chosen models has LoRA, and ranks are of adapters. Choose some in the sidebar.")
    status.stop()
# Emotions are compared with each other here, so clips are not split.
clips = replace(selection.clips, by=None)
page = corpus.ask(
    known,
    replace(selection, models=chosen, reference=chosen[0] if chosen else None, clips=clips),
    links.RANKS,
    "Ranks",
    ["ranks"],
    (Key.MAP, Key.TARGET, Key.PICKED, Key.COMPARE, Key.OF, Key.PAIR),
)
if left_out := [model.name for model in selection.models if model.lora and model not in chosen]:
    st.caption(f"Ranks are compared over one base, that of {chosen[0].name}: {listed(left_out)} is left out.")
if selection.clips.by:
    st.caption("The split is not used here: separation is between emotions, in all of these clips.")
target = ranks.target(page.view.models)
page.answer(figures.answer(page.view, target))
ranks.maps(page, [model.name for model in selection.models], target)

st.subheader("What does more rank change?", anchor=False)
base = chosen[0].base_fingerprint
others = [model for model in selection.models if not model.lora and model.base_fingerprint == base]
ranks_compare.draw(page, others, target)
page.notes()
