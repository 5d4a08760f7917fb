"""The dial's strip: a slider a layer, buttons that set many at once, and how much of the rank is kept.

The address holds all gains in one parameter, `dial=1,1,0,…`; where all are 1 it holds none.
"""

import math
import time
from collections.abc import Sequence

import streamlit as st

from core.interventions import MAX_GAIN, Dial
from core.models.info import ModelInfo
from core.ui import links
from core.ui.keys import Key
from core.ui.notices import notice

WHOLE = "whole"
_SAID = "dial_said"  # in the session: what the address said last, and when
_LATE_S = 1.0  # so long after a turn the browser may still send the address before; later, somebody went back to it
_STEP = 0.05
_WIDTH = 104  # pixels of a slider: as many a row as the page has room for


def draw(model: ModelInfo) -> Dial:
    """Draw the strip and say how the dial is set."""
    layers = model.shape.layers
    keys = [slider_key(layer) for layer in range(layers)]
    _restore(model, keys)
    with st.container(horizontal=True, vertical_alignment="bottom", key="dial_buttons"):
        _buttons(keys)
        rank = _rank(model)
    adapted = {module.layer for module in model.lora}
    with st.container(horizontal=True, key="dial_strip"):
        gains = [
            st.slider(
                f"layer {layer}",
                0.0,
                MAX_GAIN,
                # Also as the default: where the page runs again before the browser drew its first run, that is all the
                # browser gets to know.
                value=float(st.session_state[key]),
                step=_STEP,
                key=key,
                width=_WIDTH,
                on_change=_keep,
                args=(keys,),
                disabled=layer not in adapted,
                help=None if layer in adapted else "This layer has no LoRA.",
            )
            for layer, key in enumerate(keys)
        ]
    return Dial(tuple(round(gain, 2) for gain in gains), rank)


def slider_key(layer: int) -> str:
    """Key of a layer's slider."""
    return f"{Key.DIAL}_{layer}"


def parse(text: str, layers: int) -> tuple[float, ...] | None:
    """Gains out of the address, as near as a slider can stand; None where it holds no such dial."""
    try:
        gains = tuple(float(word) for word in text.split(","))
    except ValueError:
        return None
    fits = len(gains) == layers and all(math.isfinite(gain) and 0 <= gain <= MAX_GAIN for gain in gains)
    return tuple(round(round(gain / _STEP) * _STEP, 2) for gain in gains) if fits else None


def _restore(model: ModelInfo, keys: Sequence[str]) -> None:
    """Before the sliders are drawn: what the address says, or all as trained, where it says something new."""
    text = st.query_params.get(Key.DIAL, "")
    said, when = st.session_state.get(_SAID, ("", -math.inf))
    drawn = all(key in st.session_state for key in keys)
    if drawn and (text == said or time.monotonic() - when < _LATE_S):
        return
    gains = parse(text, len(keys)) if text else None
    if text and gains is None:
        notice(f"dial={text} is none for {model.name}, which has {len(keys)} layers: all are on.")
        text = ""
    for key, gain in zip(keys, gains or (1.0,) * len(keys), strict=True):
        st.session_state[key] = gain
    _say(text)


def _say(text: str) -> None:
    links.keep(Key.DIAL, text)
    st.session_state[_SAID] = text, time.monotonic()


def _buttons(keys: Sequence[str]) -> None:
    last = len(keys) - 1
    half = len(keys) // 2
    if not 0 <= st.session_state.get(Key.DIAL_LAYER, 0) <= last:
        st.session_state[Key.DIAL_LAYER] = last
    _button("All on", "trained", [1.0] * len(keys), keys, "As trained.")
    _button("All off", "frozen", [0.0] * len(keys), keys, "The base alone, under the LoRA model's head.")
    _button("Deep half", "deep", [float(i >= half) for i in range(len(keys))], keys, f"Layers {half} to {last} on.")
    layer = st.selectbox("Layer", range(len(keys)), index=last, key=Key.DIAL_LAYER, width=88)
    _button(f"Up to {layer}", "first", [float(i <= layer) for i in range(len(keys))], keys, "And all others off.")
    _button(f"From {layer}", "last", [float(i >= layer) for i in range(len(keys))], keys, "And all others off.")
    _button(f"Only {layer}", "only", [float(i == layer) for i in range(len(keys))], keys, "And all others off.")


def _button(label: str, name: str, gains: Sequence[float], keys: Sequence[str], text: str) -> None:
    st.button(label, key=f"{Key.DIAL_SET}_{name}", on_click=_set, args=(keys, gains), help=text)


def _rank(model: ModelInfo) -> int | None:
    """How many directions of each module's update are kept; None for all."""
    full = model.rank or 1
    ranks = [str(2**i) for i in range(full.bit_length()) if 2**i < full]
    options = [WHOLE, *reversed(ranks)]
    if st.session_state.get(Key.CUT) not in (None, *options):
        st.session_state[Key.CUT] = WHOLE
    cut = st.selectbox(
        "Rank kept",
        options,
        key=Key.CUT,
        bind="query-params",
        width=112,
        help="Each module's update cut to the best approximation of that rank.",
    )
    return None if cut == WHOLE else int(cut)


def _set(keys: Sequence[str], gains: Sequence[float]) -> None:
    for key, gain in zip(keys, gains, strict=True):
        st.session_state[key] = gain
    _keep(keys)


def _keep(keys: Sequence[str]) -> None:
    """Write the gains to the address."""
    gains = [st.session_state[key] for key in keys]
    changed = any(gain != 1 for gain in gains)
    _say(",".join(f"{gain:.2f}".rstrip("0").rstrip(".") for gain in gains) if changed else "")
