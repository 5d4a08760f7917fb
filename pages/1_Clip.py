"""Clip: layer by layer, what do the frozen and the LoRA model hear in this clip?"""

import streamlit as st

from core.errors import Refusal
from core.ui import clip_input, context, links, status
from core.ui.answers import answer
from core.ui.badges import head
from core.ui.clip_page import ClipCharts
from core.ui.clip_states import nothing_chosen, say_failures, say_progress, weighted_note
from core.ui.clip_views import read
from core.ui.clips import resolve
from core.ui.keys import Key
from core.ui.setup import begin

known, selection = begin("Clip", one_clip=True)
head(links.CLIP, selection.models, selection.clips.source)
player = clip_input.bring()

if not selection.models or selection.reference is None or selection.clips.clip is None:
    nothing_chosen(known, selection)
    status.stop()
try:
    start_s = float(st.session_state.get(Key.START) or 0)
    chosen = resolve(selection.clips.source, selection.clips.clip, selection.models, start_s)
except Refusal as error:
    st.error(str(error))
    status.stop()

with player:
    clip_input.play(chosen)
passes = clip_input.passes(chosen, selection.models)
answers = context.desk().ask(passes, title=chosen.clip.name)
status.draw(lambda: context.desk().look(passes), answers, waiting=any(one.waiting for one in answers))
reads = tuple(
    read(task, stands, selection.variant, selection.frames) for task, stands in zip(passes, answers, strict=True)
)
charts = ClipCharts(selection, chosen, reads)

with st.container(key="answer"):
    st.markdown("  \n".join(answer(charts.ready, selection.reference.name, chosen.clip.label)) or say_progress(reads))
say_failures(reads)
if note := weighted_note(selection.models):
    st.caption(note)
charts.lens()

left, right = st.columns(2, gap="large")
with left:
    st.subheader("What the models answer")
    charts.final()
with right:
    st.subheader("How far each depth is from that answer")
    charts.kl()
st.subheader("Over time")
charts.frames()
with st.expander("The same as a heatmap: depth by class"):
    charts.heatmap()
