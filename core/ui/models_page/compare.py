"""Two models' configurations side by side: what differs, then what does not."""

import streamlit as st

from core.ui.keys import Key
from core.ui.models_page import sheet
from core.ui.models_page.known import Known


def draw(known: Known) -> None:
    """Choose two models and hold their settings against each other."""
    names = [model.name for model in known.models.models]
    if len(names) < 2:
        st.info("That takes two models: add one to compare.")
        return
    left, right = st.columns(2)
    one = left.selectbox("One", names, key=Key.ONE, bind="query-params")
    other = right.selectbox("The other", names, index=1, key=Key.OTHER, bind="query-params")
    if one == other:
        st.info("These are the same model: choose another one on either side.")
        return
    a, b = (
        sheet.settings_of(known.models.named(name), known.entries[name], known.papers[name].history)
        for name in (one, other)
    )
    settings = dict.fromkeys((*a, *b))
    different = [name for name in settings if a.get(name, "") != b.get(name, "")]
    st.dataframe(
        [{"setting": name, one: a.get(name) or "–", other: b.get(name) or "–"} for name in different],
        hide_index=True,
        height="content",
    )
    same = [name for name in settings if name not in different and a.get(name)]
    with st.expander(f"The same in both ({len(same)})"):
        st.dataframe([{"setting": name, "both": a[name]} for name in same], hide_index=True, height="content")
