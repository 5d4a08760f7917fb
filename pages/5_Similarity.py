"""Similarity: do A and B move together, and which depths are alike?"""

import streamlit as st

from core.ui import corpus, links
from core.ui.badges import title
from core.ui.setup import begin

known, selection = begin("Similarity")
title("Similarity", selection.models, selection.clips.source)
st.markdown("Do A and B move together, and which depths are alike?")
page = corpus.ask(known, selection, links.SIMILARITY, "Similarity", ["cka"])
page.notes()
