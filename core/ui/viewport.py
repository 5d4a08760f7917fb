"""Whether the page is narrow. Panels stand side by side on a desktop and under each other on a phone, and only the
browser knows which it is."""

import streamlit as st
from streamlit.components.v2 import component

_KEY = "viewport"
_NARROW_PX = 640  # where Streamlit's own columns begin to wrap

_JS = f"""
export default function (component) {{
  const query = window.matchMedia("(max-width: {_NARROW_PX}px)");
  const tell = () => component.setStateValue("narrow", query.matches);
  if (component.data.narrow !== query.matches) tell();
  query.addEventListener("change", tell);
  return () => query.removeEventListener("change", tell);
}}
"""


def watch() -> None:
    """Let the browser say when its width passes the mark."""
    _component()(key=_KEY, data={"narrow": narrow()}, on_narrow_change=lambda: None)


@st.cache_resource(show_spinner=False)
def _component():  # type: ignore[no-untyped-def]  # Streamlit names no public type for it
    return component("lorascope.viewport", js=_JS)


def narrow() -> bool:
    """As the browser said; before it could, what kind of browser it is."""
    said = st.session_state.get(_KEY)
    if said is not None and said.get("narrow") is not None:
        return bool(said["narrow"])
    return "Mobi" in st.context.headers.get("User-Agent", "")
