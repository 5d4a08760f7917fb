"""Spectra: how many directions do adapters use, forward and backward?"""

import streamlit as st

from core.ui import corpus, links
from core.ui.badges import title
from core.ui.setup import begin

known, selection = begin("Spectra")
title("Spectra", selection.models, selection.clips.source)
st.markdown("How many directions do adapters use, forward and backward?")
page = corpus.ask(known, selection, links.SPECTRA, "Spectra", ["spectra"])
page.notes()
