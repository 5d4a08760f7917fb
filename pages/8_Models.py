"""Models: which are here, what they were trained on, and whether they can be trusted on the sidebar's clips."""

import streamlit as st

from core.ui import links, status
from core.ui.badges import head
from core.ui.chores import chores
from core.ui.keys import Key
from core.ui.models_page import audit, compare, known, machine, registry, training
from core.ui.models_page.known import answer
from core.ui.setup import begin

_KEYS = (Key.ASPECT, Key.CHECKPOINT, Key.ONE, Key.OTHER)

models, selection = begin("Models")
head(links.MODELS, selection.models, selection.clips.source)
ended = chores().ended
found = known.look(models, selection)
answer(found)
registry.table(found)
registry.change(found)

aspect = st.segmented_control(
    "Look at",
    ["training", "audit", "differences", "cache", "engine"],
    default="training",
    required=True,
    key=Key.ASPECT,
    bind="query-params",
    label_visibility="collapsed",
)
if aspect == "training":
    training.draw(found, selection.models, _KEYS)
elif aspect == "audit":
    audit.draw(found)
elif aspect == "differences":
    compare.draw(found)
elif aspect == "cache":
    machine.cache()
else:
    machine.engine()
status.draw(lambda: chores().ended, ended, waiting=chores().active)
