"""A corpus in the browser: curves that grow, jobs left and found again, slices, links, and the command line's twin."""

import csv
import io
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from playwright.sync_api import Browser, TimeoutError

from core import paths
from core.analyses.request import COLUMNS
from core.corpora.select import Slice, choose
from core.corpora.source import DEMO, list_source
from core.store.records import read_key
from tests.browser.conftest import DESKTOP, Server, Tab, dashboard
from tests.browser.test_downloads import saved

STUDY_MS = 240_000  # gradients of a few clips, on two busy cores
POPOVER = '[data-testid="stPopoverBody"]'
PROGRESS = "(document.querySelector('.st-key-progress')?.innerText || '')"
SO_FAR = re.compile(r"(\d+) of 100 clips")
_CURVES = """(key) => {
  const graph = document.querySelector(`.st-key-${key} .js-plotly-plot`);
  if (!graph || !graph.data) return [];
  return graph.data.filter((trace) => trace.mode === "lines+markers").map((trace) => ({
    name: trace.name, panel: trace.xaxis || "x", what: Array.from(trace.customdata || [])[0] || "",
    y: Array.from(trace.y._inputArray ?? trace.y) }));
}"""
_FILLED = """(count) => {
  const charts = [...document.querySelectorAll('.js-plotly-plot')];
  return charts.filter((one) => one.data && one.data.length).length >= count;
}"""


@pytest.fixture
def cold(tmp_path: Path) -> Iterator[Server]:
    """A dashboard that has never computed anything."""
    with dashboard(tmp_path / "cache") as running:
        yield running


@pytest.fixture
def cold_tab(cold: Server, chromium: Browser) -> Iterator[Callable[[], Tab]]:
    """A function that opens a tab of it, each in a session of its own."""
    contexts = []

    def make() -> Tab:
        contexts.append(chromium.new_context(viewport=DESKTOP))
        return Tab(contexts[-1].new_page(), cold.url)

    yield make
    for context in contexts:
        context.close()


def curves(tab: Tab, key: str) -> list[dict]:
    return tab.page.evaluate(_CURVES, key)


def drawn(tab: Tab, key: str) -> list[dict]:
    """The same once there are any: a page opened by a link is still before its first number for a moment."""
    tab.page.wait_for_function(f"(key) => ({_CURVES})(key).length > 0", arg=key)
    return curves(tab, key)


def finished(tab: Tab) -> Tab:
    """Wait until the study is over and drawn: right after a click its progress may not be there yet."""
    over = f"() => !{PROGRESS}.trim()"
    try:
        tab.page.wait_for_function(over, timeout=STUDY_MS)
        while not tab.settle().page.evaluate(over):
            tab.page.wait_for_function(over, timeout=STUDY_MS)
    except TimeoutError as error:
        shown = tab.page.inner_text('[data-testid="stApp"]')
        raise AssertionError(f"the study at {tab.page.url} did not end:\n{shown}") from error
    return tab


def top(tab: Tab, key: str) -> float:
    """Where a chart begins, in pixels from the top of the window."""
    return tab.page.locator(f".st-key-{key}").bounding_box()["y"]


def so_far(tab: Tab) -> int | None:
    """How many clips the page says its curves are over; None where it says nothing of the kind."""
    found = SO_FAR.search(tab.page.evaluate(PROGRESS))
    return int(found[1]) if found else None


def reproduced(tab: Tab, key: str) -> tuple[str, str]:
    """Address and command under a chart's “Reproduce”."""
    tab.page.click(f'.st-key-quiet_{key} button:has-text("Reproduce")')
    codes = tab.page.locator(f"{POPOVER} code")
    codes.nth(1).wait_for()
    address, command = codes.all_inner_texts()
    tab.page.keyboard.press("Escape")
    return address, command


def run(command: str, cache: Path, folder: Path) -> list[dict[str, str]]:
    """Rows of what the page's own command writes, over the page's own cache."""
    words = shlex.split(command)
    assert words[:4] == ["python", "-m", "core", "analyze"]
    out = folder / "out"
    words[words.index("--out") + 1] = str(out)
    done = subprocess.run(
        [sys.executable, *words[1:], "--cache", str(cache)], cwd=paths.ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    with (out / f"{words[4]}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def values(rows: list[dict[str, str]], **equal: str) -> list[float]:
    kept = [row for row in rows if all(row[name] == value for name, value in equal.items())]
    return [float(row["value"]) for row in sorted(kept, key=lambda row: int(row["layer"]))]


def test_a_cold_corpus_grows_and_ends_as_the_command_line_says(
    cold: Server, cold_tab: Callable[[], Tab], tmp_path: Path
) -> None:
    tab = cold_tab().open("/Contributions")
    tab.page.wait_for_selector(".st-key-contributions .js-plotly-plot")  # its frame, before there is any number
    begun = top(tab, "contributions")
    seen: set[int] = set()
    while tab.page.evaluate(f"{PROGRESS}.trim()"):
        count = so_far(tab)
        if count and any(any(y is not None for y in one["y"]) for one in curves(tab, "contributions")):
            seen.add(count)
        tab.page.wait_for_timeout(100)
    assert any(0 < count < 100 for count in seen), f"curves over {sorted(seen)} clips were seen"
    finished(tab)
    assert top(tab, "contributions") == pytest.approx(begun, abs=2), "nothing moves when numbers arrive"
    assert "100 clips of 10 speakers" in tab.answer()
    address, command = reproduced(tab, "contributions")
    rows = run(command, cold.cache, tmp_path)
    shown = {(one["name"], one["panel"]): one["y"] for one in drawn(tab, "contributions")}
    panels = {"x": "attention", "x2": "mlp", "x3": "sum"}
    for model in cold.models.models:
        for panel, component in panels.items():
            wanted = values(rows, model=model.name, versus="", component=component, statistic="relative")
            assert shown[model.name, panel] == pytest.approx(wanted, rel=1e-9)
    # the same address elsewhere: at once, without another pass
    before = {path: path.stat().st_mtime_ns for path in cold.cache.rglob("*.safetensors")}
    other = finished(cold_tab().open(address))
    assert {(one["name"], one["panel"]): one["y"] for one in drawn(other, "contributions")} == shown
    assert before.items() <= {path: path.stat().st_mtime_ns for path in cold.cache.rglob("*.safetensors")}.items()
    assert tab.problems == other.problems == []


def test_a_job_is_cancelled_found_again_from_another_tab_and_continued(
    cold: Server, cold_tab: Callable[[], Tab]
) -> None:
    tab = cold_tab().open("/Contributions?models=Frozen&models=LoRA+r%3D8")
    tab.page.wait_for_function(f"() => /[1-9]\\d* of 100 clips/.test({PROGRESS})")
    other = cold_tab().open("/")
    link = other.page.locator('[data-testid="stSidebar"] a:has-text("Contributions: 2 models × 100 clips")')
    link.wait_for()
    tab.page.click(".st-key-progress .st-key-cancel button")
    tab.page.wait_for_selector('.st-key-progress:has-text("Cancelled after")')
    assert drawn(tab, "contributions"), "what is done stays drawn"
    done = {path: path.stat().st_mtime_ns for path in cold.cache.rglob("*.safetensors")}
    assert done
    other.open(tab.address())
    other.page.wait_for_selector('.st-key-progress:has-text("Cancelled after")')
    other.page.click(".st-key-continue button")
    other.page.wait_for_selector('.st-key-progress:has-text("Cancelled after")', state="detached")
    finished(other)
    assert "100 clips of 10 speakers" in other.answer()
    forward = [path for path in cold.cache.rglob("*.safetensors") if read_key(path)["kind"] == "forward"]
    assert len(forward) == 2 * 100
    assert all(path.stat().st_mtime_ns == when for path, when in done.items()), "what was done was not done again"
    assert other.problems == []


def test_a_slice_by_address(new_tab: Callable[..., Tab]) -> None:
    tab = finished(
        new_tab().open("/Contributions?balanced=3&seed=1&session=Ses02&by=emotion&statistic=cosine&component=mlp")
    )
    lines = drawn(tab, "contributions")
    assert {one["name"] for one in lines} == {"anger", "happiness", "neutral", "sadness"}
    assert tab.page.input_value(".st-key-balanced input") == "3"
    assert tab.page.input_value(".st-key-seed input") == "1"
    assert tab.page.input_value(".st-key-by input") == "emotion"
    address, command = reproduced(tab, "contributions")
    words = shlex.split(command)
    for option, value in {"where": "session=Ses02", "balanced": "3", "seed": "1", "by": "emotion"}.items():
        assert words[words.index(f"--{option}") + 1] == value
    again = finished(new_tab().open(address))
    assert drawn(again, "contributions") == lines
    # the selection goes along to another page
    again.page.click('[data-testid="stSidebar"] a:has-text("Lens")')
    again.page.wait_for_selector('h1:has-text("Lens")')
    finished(again)
    assert again.page.input_value(".st-key-balanced input") == "3"
    assert again.page.input_value(".st-key-session input") == "Ses02"
    assert again.page.input_value(".st-key-by input") == "emotion"
    assert tab.problems == again.problems == []


def test_downloads_of_a_corpus_chart(tab: Tab, tmp_path: Path) -> None:
    finished(tab.open("/Contributions?balanced=2"))
    open_row = '.st-key-quiet_contributions button:has-text("Download")'
    tab.page.click(open_row)
    png = saved(tab, f'{POPOVER} button:text-is("PNG")', tmp_path)
    assert png.read_bytes().startswith(b"\x89PNG")
    tab.page.click(open_row)
    assert "Frozen" in saved(tab, f'{POPOVER} button:text-is("SVG")', tmp_path).read_text()
    tab.page.click(open_row)
    assert "Plotly.newPlot" in saved(tab, f'{POPOVER} button:has-text("HTML")', tmp_path).read_text()
    rows = list(csv.DictReader(io.StringIO(saved(tab, f'{POPOVER} button:has-text("CSV")', tmp_path).read_text())))
    assert tuple(rows[0]) == COLUMNS
    shown = {(one["name"], one["panel"]): one["y"] for one in drawn(tab, "contributions")}
    assert shown["LoRA r=8", "x3"] == pytest.approx(
        values(rows, model="LoRA r=8", versus="", component="sum", statistic="relative")
    )
    tab.page.keyboard.press("Escape")
    tab.page.click('.st-key-quiet_contributions button:has-text("Numbers")')
    tab.page.wait_for_selector(f'{POPOVER} [data-testid="stDataFrame"]')
    assert tab.problems == []


@pytest.mark.parametrize("variant", ["published", "corrected"])
def test_every_page_draws_its_charts(tab: Tab, variant: str) -> None:
    for page in ("Lens", "Spectra", "Similarity"):
        finished(tab.open(f"/{page}?balanced=2&variant={variant}&models=Frozen&models=LoRA+r%3D8"))
        assert "listening" not in tab.answer()
        assert "no answer" not in tab.answer(), tab.answer()
        tab.page.wait_for_function(_FILLED, arg=2)
        assert tab.page.query_selector('[data-testid="stException"]') is None
    assert tab.problems == []


def test_one_uploaded_voice_on_every_page(new_tab: Callable[..., Tab], voice: Path, server: Server) -> None:
    tab = new_tab()
    tab.open("/Clip").upload(voice)
    tab.lens(len(server.models.models))
    label = parse_qs(urlsplit(tab.address()).query)["clip"][0]
    for page in ("Contributions", "Lens", "Spectra", "Similarity"):
        finished(tab.open(f"/{page}?" + urlencode({"source": "uploads", "only": label})))
        assert "· 1 clip" in tab.page.inner_text('[data-testid="stMain"]'), page
        assert tab.page.query_selector('[data-testid="stException"]') is None
        tab.page.wait_for_function(_FILLED, arg=2)
    assert tab.problems == []


def test_from_a_curve_to_a_clip(tab: Tab, server: Server) -> None:
    finished(tab.open("/Lens?balanced=2"))
    names = [clip.name for clip in choose(list_source(DEMO).clips, Slice({}, 2))]
    link = tab.page.locator('[data-testid="stMain"] [data-testid="stPageLink"] a').first
    name = next(name for name in names if name in link.inner_text())
    link.click()
    tab.page.wait_for_selector('h1:has-text("Clip")')
    tab.lens(len(server.models.models))
    assert tab.page.input_value(".st-key-clip input") == name
    assert tab.problems == []
