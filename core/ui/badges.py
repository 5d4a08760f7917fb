"""The head of a page: its title and, where demo data are shown, that they are synthetic."""

from collections.abc import Sequence

import streamlit as st

from core.corpora.source import DEMO
from core.figures.words import SYNTHETIC, SYNTHETIC_HELP
from core.models.info import ModelInfo
from core.ui.links import PAGES


def head(path: str, models: Sequence[ModelInfo], source: str) -> None:
    """The page's title and its question."""
    page = next(page for page in PAGES if page.path == path)
    title(page.title, models, source)
    st.markdown(page.question)


def title(text: str, models: Sequence[ModelInfo], source: str) -> None:
    """A title, with the badge where a model or the clips are the demo's."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="title"):
        st.title(text, width="content", anchor=False)
        synthetic = [model for model in models if model.synthetic]
        if synthetic or source == DEMO:
            st.badge(SYNTHETIC, color="orange", help=SYNTHETIC_HELP)
