"""The Models page in the browser: a good model is added and looked at, bad ones are refused, one is taken out and
brought back."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser, TimeoutError

from tests.browser.conftest import DESKTOP, Server, Tab, dashboard
from tests.browser.test_sources import pick
from tests.checkpoints import LABELS, save_adapter, save_base, small_config, write_registry
from tests.models.workshop import headless, pickled, with_nan

_TRIES, _HEARD_MS = 3, 20_000
# first column of the first table on the page
_GRID = """() => {
  const table = document.querySelector('[data-testid="stDataFrame"]');
  const rows = table ? table.querySelectorAll("canvas tbody tr") : [];
  return [...rows].map((row) => row.querySelector("td").textContent);
}"""


@pytest.fixture(scope="module")
def running(shelf: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A dashboard over two tiny models, in a registry that may be changed."""
    folder = tmp_path_factory.mktemp("models")
    over = {"base": str(shelf / "base"), "group": "tiny"}
    registry = write_registry(
        folder / "mine.toml",
        [
            {"name": "Frozen", "head": str(shelf / "head")} | over,
            {"name": "LoRA", "adapter": str(shelf / "lora"), "labels": LABELS} | over,
        ],
    )
    registry.write_text(f"# mine, all mine\n\n{registry.read_text()}\n# the end\n")
    with dashboard(folder / "cache", registry) as server:
        yield server


@pytest.fixture
def mine(running: Server, voices: Path, chromium: Browser) -> Iterator[Tab]:
    """The page over eight short clips, in a session of its own; the registry is put back afterwards."""
    before = running.registry.read_bytes()
    context = chromium.new_context(viewport=DESKTOP)
    tab = Tab(context.new_page(), running.url)
    tab.open(f"/Models?{urlencode({'source': f'folder:{voices}'})}")
    yield tab
    context.close()
    running.registry.write_bytes(before)


def listed(tab: Tab, *names: str) -> None:
    """Wait until these models, and no others, are in the table."""
    try:
        tab.page.wait_for_function(f"(names) => JSON.stringify(({_GRID})()) === JSON.stringify(names)", arg=names)
    except TimeoutError as error:
        raise AssertionError(f"the table has {tab.page.evaluate(_GRID)}, not {names}") from error


def begin(tab: Tab) -> None:
    """Open the form and fill in what all models here have in common."""
    tab.page.click('summary:has-text("Add a model")')
    tab.page.fill(".st-key-add_group input", "tiny")
    tab.page.fill(".st-key-add_labels input", ", ".join(LABELS))


def add(tab: Tab, place: Path, name: str) -> None:
    """Fill in the rest and have it checked; again, as a person would, where the page ran anew under the click."""
    for _ in range(_TRIES):
        tab.page.fill(".st-key-add_place input", str(place))
        tab.page.fill(".st-key-add_name input", name)
        tab.page.click(".st-key-add button")
        try:
            tab.page.locator('[data-testid="stAlert"]', has_text=name).first.wait_for(timeout=_HEARD_MS)
        except TimeoutError:
            continue
        return


def said(tab: Tab, text: str) -> None:
    """Wait for a sentence in a box of its own."""
    try:
        tab.page.locator('[data-testid="stAlert"]', has_text=text).wait_for()
    except TimeoutError as error:
        shown = tab.page.inner_text('[data-testid="stMain"]')
        raise AssertionError(f"nothing says {text!r}, but:\n{shown}") from error


def test_a_good_model_is_added_and_looked_at(mine: Tab, running: Server, shelf: Path) -> None:
    before = running.registry.read_text()
    listed(mine, "Frozen", "LoRA")
    begin(mine)
    add(mine, shelf / "wide", "Wide")
    said(mine, "Wide loads and was added.")
    listed(mine, "Frozen", "LoRA", "Wide")
    assert running.registry.read_text().startswith(before), "what was there stays"
    mine.page.click('[data-testid="stMain"] a:has-text("Look at a clip with it")')
    mine.page.wait_for_selector('h1:has-text("Clip")')
    pick(mine, "clip", "clip1.wav")
    hovers = {line["hover"].split("</b>")[0] for line in mine.lens(3)}
    assert hovers == {"<b>Frozen", "<b>LoRA", "<b>Wide"}
    assert mine.problems == []


def test_bad_models_are_refused_each_with_its_reason_and_nothing_changes(
    mine: Tab, running: Server, shelf: Path, tmp_path: Path
) -> None:
    """One after the other in one form, as a person would try them."""
    before = running.registry.read_bytes()
    other = save_base(tmp_path / "other", small_config(layers=3, width=48, seconds=1))
    bad = {
        "Pickled": (pickled(shelf / "lora", tmp_path / "pickled"), "is pickled, which can run code when it is opened"),
        "Headless": (headless(shelf / "lora", tmp_path / "headless"), "holds no projector and classifier"),
        "Broken": (with_nan(shelf / "lora", tmp_path / "broken"), "holds NaN"),
        "Stray": (save_adapter(tmp_path / "stray", other), "does not fit its base"),
        "Decomposed": (
            save_adapter(tmp_path / "dora", shelf / "base", use_dora=True),
            "sets use_dora = True, a LoRA variant",
        ),
        "Nowhere": (tmp_path / "nowhere", "nowhere does not exist: check the path"),
        "LoRA": (shelf / "wide", "There is a model 'LoRA' in mine.toml already: give another name."),
    }
    begin(mine)
    for name, (place, sentence) in bad.items():
        add(mine, place, name)
        said(mine, f"{name} was not added: ")
        said(mine, sentence)
        assert running.registry.read_bytes() == before, name
        listed(mine, "Frozen", "LoRA")
    add(mine, shelf / "wide", "Good after all")
    said(mine, "Good after all loads and was added.")
    assert mine.problems == []


def test_a_model_is_taken_out_and_brought_back(mine: Tab, running: Server) -> None:
    before = running.registry.read_bytes()
    mine.page.click('button:has-text("Remove a model")')
    mine.page.fill(".st-key-remove_name input", "LoRA")
    mine.page.wait_for_selector('[data-testid="stSelectboxVirtualDropdown"]')
    mine.page.press(".st-key-remove_name input", "Enter")
    mine.page.click(".st-key-remove button")
    listed(mine, "Frozen")
    assert b"LoRA" not in running.registry.read_bytes()
    assert "LoRA" not in mine.page.inner_text(".st-key-models")
    mine.page.click(".st-key-undo button")
    listed(mine, "Frozen", "LoRA")
    assert running.registry.read_bytes() == before
    assert mine.problems == []
