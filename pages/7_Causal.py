"""Causal: which layers' LoRA does the model need?"""

from core.ui import causal, causal_dial, links
from core.ui.badges import head
from core.ui.setup import begin

known, selection = begin("Causal")
head(links.CAUSAL, selection.models, selection.clips.source)
alone, look = causal.choose(selection)
if look == causal.DIAL:
    causal_dial.draw(alone, causal.KEYS)
else:
    causal.draw(known, alone, look, split=selection.clips.by is not None)
