"""Addresses and commands that reproduce what is seen."""

import shlex
from collections.abc import Mapping, Sequence
from urllib.parse import urlencode, urlsplit

import streamlit as st

from core.ui.keys import CARRIED, Key

Parameters = dict[str, str | list[str]]

HOME, CLIP = "app.py", "pages/1_Clip.py"
PAGES = (
    (HOME, "Overview", ":material/home:"),
    (CLIP, "Clip", ":material/graphic_eq:"),
)
_PATHS = {HOME: "/", CLIP: "/Clip"}


def carried() -> Parameters:
    """What the address of another page should hold, so that it shows the same models and clips."""
    return {key.value: value for key in CARRIED if (value := _parameter(key))}


def _parameter(key: Key) -> str | list[str]:
    value = st.session_state.get(key)
    if isinstance(value, list):
        return [str(item) for item in value]
    return "" if value is None else str(value)


def address(page: str, keys: Sequence[Key]) -> str:
    """The full address of a page with these widgets as they are now, defaults included so that it stays true."""
    here = urlsplit(st.context.url or "http://localhost:8501/")
    query = urlencode([(key.value, value) for key in keys if (value := _parameter(key))], doseq=True)
    return f"{here.scheme}://{here.netloc}{_PATHS[page]}?{query}"


def command(what: str, options: Mapping[str, str | Sequence[str] | None]) -> str:
    """`python -m core analyze …` in one line for a POSIX shell; options that are None are left out."""
    words = ["python", "-m", "core", "analyze", what]
    for name, value in options.items():
        if value is not None:
            words += [f"--{name}", *([value] if isinstance(value, str) else value)]
    return shlex.join(words)
