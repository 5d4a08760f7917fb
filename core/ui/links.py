"""Addresses and commands that reproduce what is seen."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import PurePath
from urllib.parse import parse_qsl, urlencode, urlsplit

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from core.figures.words import QUESTIONS
from core.ui.keys import CARRIED, FILTERS, NUMBERS, Key

Parameters = dict[str, str | list[str]]


@dataclass(frozen=True)
class Link:
    """A page of ours with what its address holds."""

    page: str
    parameters: Parameters


@dataclass(frozen=True)
class Page:
    """A page and the question it answers."""

    path: str
    title: str
    icon: str
    question: str


HOME, CLIP = "app.py", "pages/1_Clip.py"
CONTRIBUTIONS, LENS = "pages/2_Contributions.py", "pages/3_Lens.py"
SPECTRA, SIMILARITY = "pages/4_Spectra.py", "pages/5_Similarity.py"
RANKS, CAUSAL, MODELS = "pages/6_Ranks.py", "pages/7_Causal.py", "pages/8_Models.py"
PAGES = (
    Page(HOME, "Overview", ":material/home:", "Where in a speech encoder does LoRA learn to hear emotion?"),
    Page(
        CLIP,
        "Clip",
        ":material/graphic_eq:",
        "Layer by layer, what do the frozen and the LoRA model hear in this clip?",
    ),
    Page(
        CONTRIBUTIONS,
        "Contributions",
        ":material/stacked_line_chart:",
        QUESTIONS["contributions"],
    ),
    Page(LENS, "Lens", ":material/search:", QUESTIONS["lens"]),
    Page(SPECTRA, "Spectra", ":material/bar_chart:", QUESTIONS["spectra"]),
    Page(SIMILARITY, "Similarity", ":material/grid_on:", QUESTIONS["cka"]),
    Page(RANKS, "Ranks", ":material/layers:", QUESTIONS["ranks"]),
    Page(CAUSAL, "Causal", ":material/tune:", QUESTIONS["causal"]),
    Page(
        MODELS,
        "Models",
        ":material/deployed_code:",
        "Which models are here, what were they trained on, and can they be trusted on these clips?",
    ),
)
_PAGE = "page"  # in the session: the one that was drawn last
_KEPT = "kept_"  # and, with a key behind it, what a page keeps in its address that no widget holds
_KEEPS = {"Causal": (Key.DIAL, Key.SPAN)}


def carried() -> Parameters:
    """What the address of another page should hold, so that it shows the same models and clips."""
    return parameters(CARRIED)


def parameters(keys: Sequence[Key]) -> Parameters:
    """What an address says of these widgets as they are now."""
    return {key.value: value for key in keys if (value := _parameter(key))}


def to_clip(models: Sequence[str], source: str, clip: str, variant: str = "", frames: str = "") -> Parameters:
    """What a link to a clip holds: all of its source, whatever the slice is here; variant and frames where given."""
    narrowed = {key.value: "" for key in FILTERS if _parameter(key)}
    chosen = {key.value: value for key, value in ((Key.VARIANT, variant), (Key.FRAMES, frames)) if value}
    return {Key.SOURCE.value: source, **narrowed, Key.CLIP.value: clip, **chosen, Key.MODELS.value: list(models)}


def follow(page: str) -> bool:
    """Before the widgets of a page are drawn: set them to what the link that led here from another page asks for.

    True where it did.

    A widget bound to the address takes its value from there, but on the way between pages Streamlit (1.67) takes out
    what the page before had bound to its own. What it had in the address stands before what the link says, so the last
    of each key counts, and of the models those at the end. What the link does not mention stays.
    """
    before, st.session_state[_PAGE] = st.session_state.get(_PAGE, page), page
    context = get_script_run_ctx()
    if before == page or context is None:
        return False
    for key in _KEEPS.get(page, ()):
        if key not in st.query_params and (text := st.session_state.get(_KEPT + key)):
            st.query_params[key] = text
    words = parse_qsl(context.query_string, keep_blank_values=True)
    last: dict[str, str | list[str] | None] = {key: value or None for key, value in words if key != Key.MODELS}
    if models := [value for _, value in takewhile(lambda word: word[0] == Key.MODELS, reversed(words))]:
        last[Key.MODELS] = models[::-1]
    if last.get(Key.CLIP) != st.session_state.get(Key.CLIP):
        st.session_state[Key.START] = 0.0  # another clip is heard from its beginning
    for key in CARRIED:
        if key in last:
            st.session_state[key] = _number(key, last[key]) if key in NUMBERS else last[key]
        elif key in st.session_state:
            st.session_state[key] = st.session_state[key]  # or it would be lost with the widget
    return True


def keep(key: Key, text: str) -> None:
    """Write to the address what no widget holds, or take it out where it is empty; it comes back with its page."""
    st.session_state[_KEPT + key] = text
    if not text:
        st.query_params.pop(key, None)
    elif st.query_params.get(key) != text:
        st.query_params[key] = text


def _number(key: Key, word: str | list[str] | None) -> int:
    """A number out of a link; one that is none is the usual one."""
    return int(word) if isinstance(word, str) and word.isdecimal() else NUMBERS[key]


def asked(key: Key) -> str | None:
    """What one of these widgets is set to or, before it is first drawn, what the address wants it to be.

    After a callback has changed a widget, the address still holds the value before until it is drawn again.
    """
    return st.session_state[key] if key in st.session_state else st.query_params.get(key)


def _parameter(key: Key) -> str | list[str]:
    if key not in st.session_state:  # not drawn yet, or not on this page: what the address says is passed on
        said = st.query_params.get_all(key)
        return said if key is Key.MODELS else "".join(said[-1:])
    value = st.session_state[key]
    if isinstance(value, list):
        return [str(item) for item in value]
    return "" if value is None else str(value)


def address(page: str, keys: Sequence[Key]) -> str:
    """The full address of a page with these widgets as they are now, defaults included so that it stays true."""
    here = urlsplit(st.context.url or "http://localhost:8501/")
    query = urlencode([(key.value, value) for key in keys if (value := _parameter(key))], doseq=True)
    return f"{here.scheme}://{here.netloc}/{_name(page)}?{query}"


def _name(page: str) -> str:
    """`pages/1_Clip.py` → `Clip`, as Streamlit has it in addresses; nothing for the first page."""
    return "" if page == HOME else PurePath(page).stem.partition("_")[2]


def command(what: str, options: Mapping[str, str | Sequence[str] | None]) -> str:
    """`python -m core analyze …` in one line for a POSIX shell; options that are None are left out."""
    words = ["python", "-m", "core", "analyze", what]
    for name, value in options.items():
        if value is not None:
            words += [f"--{name}", *([value] if isinstance(value, str) else value)]
    return shlex.join(words)
