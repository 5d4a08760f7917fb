"""The Causal page's looks at one model: which layers' LoRA it needs, erasure, and patching."""

from dataclasses import replace

import streamlit as st

from core.corpora.clip import Clip
from core.errors import Refusal
from core.figures import causal as figures
from core.interventions import PAIRINGS, Pairing
from core.models.describe import Models
from core.models.info import ModelInfo
from core.ui import causal_partner, causal_span, corpus, links, status
from core.ui.choice import one_of
from core.ui.clips import resolve
from core.ui.corpus import Corpus
from core.ui.keys import Key
from core.ui.selection import Selection
from core.ui.sources import grouped

LAYERS, DIAL, ERASURE, PATCHING = "layers", "dial", "erasure", "patching"
LOOKS = (LAYERS, DIAL, ERASURE, PATCHING)
KEYS = (Key.MODEL, Key.LOOK, Key.SWITCHES, Key.PAIRS, Key.PARTNER, Key.SPAN, Key.BESIDE, Key.DIAL, Key.CUT)
_NEEDS_LORA = {LAYERS: "no layer's LoRA to switch", DIAL: "no LoRA to dial"}
_PASSES = 5  # a layer and clip, of full length: runs start again at the layer where something changes


def choose(selection: Selection) -> tuple[Selection, str]:
    """One of the chosen models, and how to look at it. Ends the page with a sentence where that can't be.

    Without a model the selection stays as it is.
    """
    if not selection.models:
        return selection, LAYERS
    adapted = [model.name for model in selection.models if model.lora]
    names = [*adapted, *(model.name for model in selection.models if not model.lora)]
    with st.container(horizontal=True, vertical_alignment="center"):
        name = one_of("Model", names, Key.MODEL) if len(names) > 1 else names[0]
        look = one_of("Look", LOOKS, Key.LOOK)
    model = next(one for one in selection.models if one.name == name)
    if why := _impossible(model, look):
        st.info(why)
        status.stop()
    return replace(selection, models=(model,), reference=model, clips=replace(selection.clips, by=None)), look


def _impossible(model: ModelInfo, look: str) -> str:
    """Why this model can't be looked at so; empty where it can."""
    if model.weighted_layer_sum:
        return f"The head of {model.name} reads a weighted sum of all layers, so no layer can be switched or patched."
    if look in _NEEDS_LORA and not model.lora:
        return f"{model.name} has {_NEEDS_LORA[look]}: choose a model with LoRA, or look at erasure or patching."
    return ""


def draw(known: Models, selection: Selection, look: str, *, split: bool) -> None:
    """Ask for what the look needs and show it; `split`: the sidebar asks for groups, which are not made here."""
    own = {LAYERS: _layers, ERASURE: _erasure}
    if look == PATCHING:
        _patching(known, selection, split)
    else:
        page = _ask(known, selection, split, parts=("layers",))
        own[look](page)
        page.notes()


def _ask(known: Models, selection: Selection, split: bool, **request: object) -> Corpus:
    page = corpus.ask(known, selection, links.CAUSAL, "Causal", ["causal"], KEYS, **request)
    if split:
        st.caption("The split is not used here: one model at a time is looked at, over all of these clips.")
    return page


def _layers(page: Corpus) -> None:
    view = page.view
    page.answer(figures.answer_layers(view))
    with st.container(horizontal=True, vertical_alignment="center"):
        shown = one_of("Switched", list(figures.SWITCHES), Key.SWITCHES)
        _cost(page)
    page.show(Key.CAUSAL_LAYERS, "causal", figures.layers(view, shown))
    st.subheader("How much of the rank does it need?", anchor=False)
    page.show(Key.TRUNCATION, "causal", figures.truncation(view))


def _erasure(page: Corpus) -> None:
    page.answer(figures.answer_erasure(page.view))
    _cost(page)
    page.show(Key.ERASURE, "causal", figures.erasure(page.view))


def _patching(known: Models, selection: Selection, split: bool) -> None:
    model, clip = selection.models[0], _alone(selection)
    offered = [pairing for pairing in PAIRINGS if pairing != "dial" or model.lora]
    controls = st.container(horizontal=True, vertical_alignment="center")
    with controls:
        pairing: Pairing = one_of("Pairs", offered, Key.PAIRS)  # type: ignore[assignment]
        partner = causal_partner.choose(selection, clip) if pairing == "minimal" and clip else None
    if pairing == "minimal" and clip and partner is None:
        status.stop()
    partners = () if partner is None else (partner,)
    span = causal_span.asked(model, clip)
    page = _ask(known, selection, split, parts=("patching",), pairing=pairing, partners=partners, span=span)
    view = page.view
    with controls:
        _cost(page, minimal=pairing == "minimal")
    page.answer(figures.answer_patching(view))
    if clip:
        if partner is not None:
            st.caption(causal_partner.describe(clip, partner))
        causal_span.draw(model, clip, span)
    page.show(Key.PATCHING, "causal", figures.patching(view, pairing, span))
    st.caption("  \n".join(f":material/warning: {warning}" for warning in figures.warnings(view)))
    measure = one_of("Beside it", list(figures.MEASURES), Key.BESIDE)
    page.show(Key.PATCHED, "causal", figures.beside(view, measure))
    page.notes()


def _alone(selection: Selection) -> Clip | None:
    """The clip that is chosen alone. Ends the page with a sentence where it can't be read."""
    chosen = selection.clips
    if chosen.clip is None:
        return None
    try:
        return resolve(chosen.source, chosen.clip, selection.models, 0.0).clip
    except Refusal as error:
        st.error(str(error))
        status.stop()


def _cost(page: Corpus, *, minimal: bool = False) -> None:
    """How many passes these clips take, in a line that is always there."""
    each = _PASSES * page.view.models[0].shape.layers
    # of minimal pairs nobody knows yet how many there are
    count = "pair" if minimal else f"clip, {grouped(each * page.view.total)} in all"
    st.caption(f"About {each} passes a {count}; each is made once and kept.", width="content")
