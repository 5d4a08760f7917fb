"""Lens: at which depth does each model know its answer, and is it right?"""

import streamlit as st

from core.ui import corpus, links
from core.ui.badges import title
from core.ui.setup import begin

known, selection = begin("Lens")
title("Lens", selection.models, selection.clips.source)
st.markdown("At which depth does each model know its answer, and is it right?")
page = corpus.ask(known, selection, links.LENS, "Lens", ["lens"])
page.notes()
