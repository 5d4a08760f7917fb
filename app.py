"""Overview: what is loaded, and where to look first."""

import streamlit as st

from core.ui import overview, status
from core.ui.badges import title
from core.ui.links import PAGES
from core.ui.setup import begin

known, selection = begin("Overview")
title("LoRAscope", known.models, selection.clips.source)
st.markdown(PAGES[0].question)
overview.first_look(known)
overview.questions()
overview.say_synthetic(known)
overview.models(known)
overview.clips_and_machine()
status.draw()
