"""Every page at desktop and phone width in both themes: no error, nothing wider than the screen, a picture of each."""

from collections.abc import Callable
from pathlib import Path

import pytest

from core.corpora.source import DEMO, list_source
from tests.browser.conftest import DESKTOP, PHONE, Server, Tab
from tests.browser.test_corpus import finished

CLIP = f"/Clip?clip={list_source(DEMO).clips[0].name}"
# page, what of it must be seen at once
MAIN = {
    "Contributions": ".st-key-contributions .js-plotly-plot",
    "Lens": ".st-key-lens .js-plotly-plot",
    "Spectra": ".st-key-spectra .js-plotly-plot",
    "Similarity": ".st-key-alignment .js-plotly-plot",
    "Ranks": ".st-key-rank_maps .js-plotly-plot",
    "Causal": ".st-key-causal_layers .js-plotly-plot",
    "Models": '[data-testid="stDataFrame"] canvas',
}


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_pages_are_whole(size: str, theme: str, server: Server, new_tab: Callable[..., Tab], screenshots: Path) -> None:
    viewport = DESKTOP if size == "desktop" else PHONE
    tab = new_tab(viewport=viewport, color_scheme=theme)
    for name, address in (("overview", "/"), ("empty", "/Clip"), ("clip", CLIP)):
        tab.open(address)
        if name == "clip":
            tab.lens(len(server.models.models))
            tab.page.wait_for_selector(".st-key-clip_frames .js-plotly-plot")
            tab.settle()
        tab.page.screenshot(path=screenshots / f"{name}-{size}-{theme}.png")
        assert tab.page.query_selector('[data-testid="stException"]') is None
        assert tab.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    chart = tab.page.query_selector(".st-key-clip_lens .js-plotly-plot").bounding_box()
    if size == "desktop":
        assert chart["y"] + chart["height"] < viewport["height"], "the main chart is above the fold"
    else:
        assert chart["width"] <= viewport["width"]
        assert chart["height"] > 3 * 200, "panels stand under each other"
        sidebar = tab.page.query_selector('[data-testid="stSidebar"]')
        assert sidebar.get_attribute("data-collapsed") == "true", "it is folded"
    assert tab.problems == []


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_corpus_pages_are_whole(size: str, theme: str, new_tab: Callable[..., Tab], screenshots: Path) -> None:
    viewport = DESKTOP if size == "desktop" else PHONE
    tab = new_tab(viewport=viewport, color_scheme=theme)
    for name, main in MAIN.items():
        finished(tab.open(f"/{name}?balanced=2"))
        tab.page.wait_for_selector('.st-key-answer:not(:has-text("…"))')  # Models reads the clips
        chart = tab.page.wait_for_selector(main).bounding_box()
        tab.page.screenshot(path=screenshots / f"{name.lower()}-{size}-{theme}.png")
        assert tab.page.query_selector('[data-testid="stException"]') is None
        assert tab.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), name
        if size == "desktop":
            assert chart["y"] + chart["height"] < viewport["height"] + 8, f"{name}: what matters is above the fold"
        else:
            assert chart["width"] <= viewport["width"]
    assert tab.problems == []
