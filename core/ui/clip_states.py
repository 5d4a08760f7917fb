"""What the Clip page says when there is nothing to show, not yet, or no more."""

from collections.abc import Sequence

import streamlit as st

from core.corpora.source import DEMO
from core.errors import Refusal
from core.models.describe import Models
from core.models.info import ModelInfo
from core.ui import context, sources
from core.ui.clip_views import Read
from core.ui.clips import labels
from core.ui.highlights import highlights
from core.ui.keys import Key
from core.ui.selection import Clips, Selection, default_models


def nothing_chosen(known: Models, selection: Selection) -> None:
    """What to do, with one button that does it."""
    if not known.models:
        st.error("No model in the registry can be used. The overview says why.")
        for refused in known.refused:
            st.caption(refused.reason)
        return
    if not selection.models:
        st.info("Choose at least one model in the sidebar.")
        st.button("Take the first group's models", on_click=_take_models, args=(default_models(known),), type="primary")
        return
    if selection.clips.left_out is not None:
        _offer_slice(selection.clips)
        return
    st.info("Upload a voice, record one, or choose a clip in the sidebar.")
    names = [model.name for model in selection.models]
    st.button("Show me a demo clip", key=Key.CLIP_DEMO, on_click=_take_demo_clip, args=(names,), type="primary")


def _offer_slice(chosen: Clips) -> None:
    """The chosen clip is not in the slice: take one that is, or the slice away."""
    offered = labels(chosen.source, chosen.where)
    st.info(f"{chosen.left_out} is not among what the filters leave ({', '.join(chosen.where.values())}).")
    with st.container(horizontal=True):
        first = f"Show {offered[0]}"
        st.button(first, key=Key.CLIP_FIRST, on_click=sources.take, args=(offered[0],), type="primary")
        st.button("Drop the filters", key=Key.FILTERS_DROP, on_click=sources.drop_filters)


def _take_models(names: list[str]) -> None:
    st.session_state[Key.MODELS] = names


def _take_demo_clip(models: list[str]) -> None:
    try:
        look = highlights(context.listing(DEMO).clips, models)[0]
    except Refusal as error:
        st.toast(str(error))
        return
    sources.show(DEMO, look.clip.name)


def say_progress(reads: Sequence[Read]) -> str:
    """The line that stands in for the answer until the first model is ready."""
    waiting = sum(one.answer.waiting for one in reads)
    if not waiting:
        return "No model could read this clip."
    return f"The models are listening: {waiting} of {len(reads)} still to come …"


def say_failures(reads: Sequence[Read]) -> None:
    """Each failed model with its reason, and a way to try again."""
    failed = [one for one in reads if one.answer.reason is not None]
    for one in failed:
        st.warning(f"**{one.model.name}** could not be computed: {one.answer.reason}")
    if failed:
        st.button("Try again", key=Key.RETRY, on_click=context.desk().forget, args=(failed[0].task.clip,))


def weighted_note(models: Sequence[ModelInfo]) -> str | None:
    """What to know of models whose head sees a weighted sum of all layers; None where there is none."""
    names = [model.name for model in models if model.weighted_layer_sum]
    if not names:
        return None
    heads = "head sees" if len(names) == 1 else "heads see"
    return (
        f"{', '.join(names)}: the {heads} a weighted sum of all layers, so there is no single last layer. "
        "The lens reads each point alone and compares it with the answer from the sum."
    )
