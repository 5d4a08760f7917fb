"""A corpus as source: typed in, narrowed by session, speaker and emotion, one of its clips opened; and by address."""

from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from playwright.sync_api import TimeoutError

from core.corpora.select import Slice, choose
from core.corpora.source import list_source
from tests.browser.conftest import DESKTOP, PHONE, Server, Tab
from tests.corpora.trees import iemocap_tree

WHERE = {"session": "Ses02", "speaker": "Ses02M", "emotion": "anger"}
EXCEPTION = '[data-testid="stException"]'


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A made-up IEMOCAP release as a source."""
    return f"iemocap:{iemocap_tree(tmp_path_factory.mktemp('release'), per_class=2, seconds=0.6)}"


def names(source: str, **where: str) -> list[str]:
    return [clip.name for clip in choose(list_source(source).clips, Slice(where))]


def pick(tab: Tab, key: str, text: str) -> None:
    """Type into a select box and take what is typed."""
    tab.page.fill(f".st-key-{key} input", text)
    tab.page.wait_for_selector('[data-testid="stSelectboxVirtualDropdown"]')
    tab.page.keyboard.press("Enter")
    tab.page.wait_for_function(f"new URLSearchParams(document.location.search).get('{key}') === {text!r}")
    tab.settle()


def offered(tab: Tab, key: str) -> list[str]:
    """What a select box offers. A script run that ends between the click and the list closes the list: click again."""
    options = tab.page.locator('[data-testid="stSelectboxVirtualDropdown"] [role="option"]')
    for _ in range(10):
        tab.settle().page.click(f".st-key-{key} input")
        try:
            options.first.wait_for(timeout=5000)
        except TimeoutError:
            tab.page.keyboard.press("Escape")
            continue
        tab.page.wait_for_timeout(300)  # the list draws its rows one after another
        shown = options.all_inner_texts()
        tab.page.keyboard.press("Escape")
        return shown
    raise AssertionError(f"the list of {key} does not open")


def test_a_release_is_typed_in_and_narrowed_to_a_clip(
    tab: Tab, new_tab: Callable[..., Tab], server: Server, release: str
) -> None:
    models = len(server.models.models)
    tab.open("/Clip")
    pick(tab, "source", release)
    tab.page.wait_for_selector(f'.st-key-filters:has-text("{len(names(release))} clips")')
    for key, value in WHERE.items():
        pick(tab, key, value)
    kept = names(release, **WHERE)
    tab.page.wait_for_selector(f'.st-key-filters:has-text("{len(kept)} of {len(names(release))} clips")')
    assert offered(tab, "clip") == kept
    pick(tab, "clip", kept[0])
    lines = tab.lens(models)
    assert "labelled anger" in tab.answer()
    assert (
        parse_qs(urlsplit(tab.address()).query).items()
        >= {
            "source": [release],
            "clip": [kept[0]],
            **{key: [value] for key, value in WHERE.items()},
        }.items()
    )
    other = new_tab().open(tab.page.url)
    assert other.lens(models) == lines
    assert other.address() == tab.address()
    assert tab.page.query_selector(EXCEPTION) is None
    assert tab.problems == other.problems == []


def test_pages_keep_the_slice(tab: Tab, server: Server, release: str) -> None:
    clip = names(release, **WHERE)[0]
    tab.open(f"/Clip?{urlencode({'source': release, 'clip': clip, **WHERE})}")
    shown = tab.lens(len(server.models.models))
    address = tab.address()
    tab.page.click('[data-testid="stSidebar"] a:has-text("Overview")')
    tab.page.wait_for_selector(".st-key-first_look")
    tab.settle().page.click('[data-testid="stSidebar"] a:has-text("Clip")')
    assert tab.lens(len(server.models.models)) == shown
    assert parse_qs(urlsplit(tab.address()).query) == parse_qs(urlsplit(address).query)


def test_the_first_look_leaves_the_slice_behind(tab: Tab, server: Server, release: str) -> None:
    """A link to a demo clip shows it, whatever another source was narrowed to before."""
    tab.open(f"/?{urlencode({'source': release, **WHERE})}").page.click(".st-key-first_look a")
    tab.lens(len(server.models.models))
    query = parse_qs(urlsplit(tab.address()).query)
    assert query.keys().isdisjoint(WHERE)
    assert "Synthetic demo" in tab.page.inner_text('[data-testid="stMain"]')


def test_a_wrong_path_gets_its_sentence_and_the_page_stays(tab: Tab, server: Server, release: str) -> None:
    clip = names(release)[0]
    tab.open(f"/Clip?{urlencode({'source': release, 'clip': clip})}").lens(len(server.models.models))
    pick(tab, "source", "iemocap:/no/such/release")
    tab.page.wait_for_selector('[data-testid="stSidebar"] [data-testid="stAlert"]:has-text("/no/such/release")')
    assert tab.page.is_visible(".st-key-variant")
    assert tab.page.query_selector(EXCEPTION) is None


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_a_slice_is_whole(
    size: str, theme: str, server: Server, new_tab: Callable[..., Tab], release: str, screenshots: Path
) -> None:
    viewport = DESKTOP if size == "desktop" else PHONE
    tab = new_tab(viewport=viewport, color_scheme=theme)
    tab.open(f"/Clip?{urlencode({'source': release, 'clip': names(release, **WHERE)[0], **WHERE})}")
    tab.lens(len(server.models.models))
    tab.settle().page.screenshot(path=screenshots / f"slice-{size}-{theme}.png")
    if size == "desktop":
        chart = tab.page.query_selector(".st-key-clip_lens .js-plotly-plot").bounding_box()
        assert chart["y"] + chart["height"] < viewport["height"], "the main chart is above the fold"
    assert tab.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert tab.page.query_selector(EXCEPTION) is None
