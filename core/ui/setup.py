"""The start of every page: page settings, style, sidebar. A page works when it is the first to be opened."""

from pathlib import Path

import streamlit as st

from core.errors import Refusal
from core.models.describe import Models
from core.ui import context, links, sidebar, style, viewport
from core.ui.selection import Selection

_ICON = Path(__file__).with_name("icon.png")  # a Material icon as page icon would be fetched from Google


def begin(title: str, *, one_clip: bool = False) -> tuple[Models, Selection]:
    """Set the page up and draw its sidebar. Ends the page with a sentence where there is no usable registry."""
    st.set_page_config(page_title=f"{title} · LoRAscope", page_icon=str(_ICON), layout="wide")
    st.html(style.CSS)
    viewport.watch()
    followed = links.follow(title)
    with st.sidebar:
        st.markdown("### LoRAscope", help=links.PAGES[0].question)
        sidebar.draw_pages()
        try:
            known = context.models()
            context.engine()
        except Refusal as error:
            problem = str(error)
        else:
            selection = sidebar.choose(known, one_clip=one_clip)
            if followed:
                st.rerun()  # the first run sets the widgets, and only the next one writes them to the address
            return known, selection
    st.title(title)
    st.error(problem)
    st.stop()
