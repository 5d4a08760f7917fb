"""A choice among a few, which the address holds."""

from collections.abc import Sequence

import streamlit as st

from core.ui.keys import Key


def one_of(label: str, options: Sequence[str], key: Key) -> str:
    """A choice among a few; what is no longer among them is forgotten."""
    if st.session_state.get(key) not in (None, *options):
        st.session_state[key] = None
    return st.segmented_control(
        label,
        options,
        default=options[0],
        required=True,
        key=key,
        bind="query-params",
        label_visibility="collapsed",
    )
