"""What must be said once: that something asked for is not so."""

import streamlit as st


def notice(text: str) -> None:
    """Say it where the next run of the page, which may come in half a second, does not wipe it away."""
    st.toast(text, icon=":material/info:", duration="long")
