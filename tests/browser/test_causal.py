"""The causal page in the browser: the dial live, a stretch of time brushed, a sweep cancelled half-way."""

import json
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import torch
from playwright.sync_api import Browser, Page

from core.audio.decoder import decoder
from core.capture.interventions import capture_dialled
from core.corpora.source import DEMO, list_source
from core.interventions import Dial
from core.models.loading import Loader
from core.store.records import read_key
from tests.browser.conftest import DESKTOP, Server, Tab, dashboard
from tests.browser.test_corpus import PROGRESS, finished, reproduced, run

MODEL = "LoRA r=32"
LISTED = list_source(DEMO).clips[0]
CLIP, SOUND = LISTED.name, decoder().decode_file(LISTED.path)
TURNS = 8
COMPONENTS = 3  # attention, MLP, LoRA
_LOOKS = 60  # a second apart
_FIGURES = """() => JSON.stringify(
  [...document.querySelectorAll(".js-plotly-plot")].map((one) => ({data: one.data, layout: one.layout})),
  (name, value) => {
    if (name.startsWith("_")) return undefined;
    const plain = value && value._inputArray || value;
    return ArrayBuffer.isView(plain) ? Array.from(plain) : plain;
  })"""
_DRAWN = """(count) => {
  const finite = (line) => Array.from(line.y?._inputArray ?? line.y ?? []).some(Number.isFinite);
  const drawn = [...document.querySelectorAll(".js-plotly-plot")].filter((one) => (one.data || []).some(finite));
  return drawn.length >= count;
}"""
# Milliseconds from a key on a slider until a chart has other numbers than before.
_REDRAWN = """([box, chart]) => new Promise((done) => {
  const graph = () => document.querySelector(`.st-key-${chart} .js-plotly-plot`);
  const numbers = () => JSON.stringify((graph()?.data || []).map((one) => Array.from(one.x?._inputArray ?? one.x ?? [])
    .concat(Array.from(one.y?._inputArray ?? one.y ?? []))));
  const before = numbers(), thumb = document.querySelector(`.st-key-${box} input[type=range]`);
  thumb.focus();
  window.__pressed = performance.now();
  const look = () => {
    const now = numbers();
    if (now !== before && now !== "[]") done(performance.now() - window.__pressed); else setTimeout(look, 4);
  };
  setTimeout(look, 0);
})"""
_CELLS = """() => {
  const graph = document.querySelector(".st-key-patching .js-plotly-plot");
  const cells = graph?.data?.[0]?.z?._inputArray ?? graph?.data?.[0]?.z ?? [];
  return Array.from(cells, (row) => Array.from(row, (cell) => Number.isFinite(cell) ? cell : null));
}"""
_BARE = """
import json, pathlib
import plotly.graph_objects as go
import streamlit as st
st.set_page_config(layout="wide")
value = st.slider("gain", 0.0, 1.5, 1.0, 0.05, key="gain")
for i, figure in enumerate(json.loads(pathlib.Path({file!r}).read_text())):
    for trace in figure["data"]:
        if i == 0 and "y" in trace and isinstance(trace["y"], list):
            trace["y"] = [y + value if isinstance(y, (int, float)) else y for y in trace["y"]]
    with st.container(key=f"chart{{i}}"):
        st.plotly_chart(go.Figure(figure, skip_invalid=True), key=f"figure{{i}}")
"""


@contextmanager
def tab_of(server: Server, chromium: Browser) -> Iterator[Tab]:
    context = chromium.new_context(viewport=DESKTOP)
    yield Tab(context.new_page(), server.url)
    context.close()


def turn(page: Page, box: str, chart: str, key: str) -> float:
    """Seconds from a key pressed on a slider until the chart is another one."""
    page.evaluate(f"void (window.__turned = ({_REDRAWN})({json.dumps([box, chart])}))")
    page.keyboard.press(key)
    return page.evaluate("window.__turned") / 1000


def figures(tab: Tab) -> str:
    """All charts of the page as JSON, once there are three with numbers and they no longer change."""
    before = ""
    for _ in range(_LOOKS):
        now = tab.settle().page.evaluate(_FIGURES)
        if now == before and tab.page.evaluate(f"({_DRAWN})(3)"):
            return now
        before = now
        tab.page.wait_for_timeout(1000)
    raise AssertionError(f"no three charts with numbers that stay:\n{tab.page.inner_text('[data-testid=stMain]')}")


def one_pass(server: Server) -> float:
    """Median seconds of a dialled pass over the clip, in this process."""
    info = next(model for model in server.models.models if model.name == MODEL)
    model = Loader(torch.device("cpu"), torch.float32).get(info)
    samples = SOUND.samples
    dial = Dial.even(0.5, info.shape.layers)
    capture_dialled(model, [samples], dial)
    times = []
    for _ in range(5):
        begun = time.perf_counter()
        capture_dialled(model, [samples], dial)
        times.append(time.perf_counter() - begun)
    return statistics.median(times)


def test_a_turned_layer_is_seen_within_a_pass_and_two_interactions(
    tab: Tab, server: Server, chromium: Browser, tmp_path: Path
) -> None:
    """Against a bare page that redraws the same charts from a file when its slider moves; each turn is a new one."""
    tab.open(f"/Causal?{urlencode({'look': 'dial', 'model': MODEL, 'only': CLIP})}")
    (tmp_path / "figures.json").write_text(figures(tab))
    (tmp_path / "bare.py").write_text(_BARE.format(file=str(tmp_path / "figures.json")))
    with dashboard(tmp_path / "bare", script=str(tmp_path / "bare.py")) as bare, tab_of(bare, chromium) as other:
        other.page.goto(other.url)
        other.page.wait_for_function(f"({_DRAWN})(3)")
        other.settle()
        ours, theirs = [], []
        for _ in range(TURNS):
            ours.append(turn(tab.settle().page, "dial_4", "dial_final", "ArrowLeft"))
            theirs.append(turn(other.settle().page, "gain", "chart0", "ArrowLeft"))
    took, interaction, forward = statistics.median(ours[1:]), statistics.median(theirs[1:]), one_pass(server)
    assert took <= forward + 2 * interaction, f"{took:.3f} s, pass {forward:.3f} s, bare page {interaction:.3f} s"
    gains = parse_qs(urlsplit(tab.address()).query)["dial"][0].split(",")
    assert float(gains[4]) == pytest.approx(1 - 0.05 * TURNS)
    # the address brings the same dial back
    with tab_of(server, chromium) as again:
        again.open(tab.page.url)
        again.page.wait_for_selector(".st-key-dial_4 input[type=range]")
        assert float(again.page.input_value(".st-key-dial_4 input[type=range]")) == float(gains[4])
        assert again.problems == []
    assert tab.problems == []


def test_sliders_stand_where_the_dial_is_from_the_first_pass_on(tmp_path: Path, chromium: Browser) -> None:
    """While the first passes are made, the page runs again and again before the browser has drawn it."""
    names = [f"LoRA r={rank}" for rank in (8, 32, 64)]
    gains = (1.0, 1.0, 0.5, *(1.0,) * 5)
    with dashboard(tmp_path / "cache") as cold:
        for name in names:
            with tab_of(cold, chromium) as tab:
                dial = ",".join(f"{gain:g}" for gain in gains)
                tab.open(f"/Causal?{urlencode({'look': 'dial', 'model': name, 'only': CLIP, 'dial': dial})}")
                tab.page.wait_for_function(f"({_DRAWN})(3)")
                sliders = tab.page.locator(".st-key-dial_strip input[type=range]")
                assert tuple(float(one.input_value()) for one in sliders.all()) == gains
                assert tab.problems == []


def test_back_brings_the_dial_before_and_so_does_coming_back_to_the_page(tab: Tab) -> None:
    def stands(dial: list[str]) -> None:
        """Wait until address and sliders say the same."""
        tab.page.wait_for_function(
            """(dial) => {
              const sliders = [...document.querySelectorAll(".st-key-dial_strip input[type=range]")];
              const said = new URLSearchParams(document.location.search).get("dial");
              return said === dial.join() && sliders.map((one) => one.value).join() === dial.join();
            }""",
            arg=dial,
            timeout=60_000,
        )

    tab.open(f"/Causal?{urlencode({'look': 'dial', 'model': MODEL, 'only': CLIP})}")
    tab.page.wait_for_function(f"({_DRAWN})(3)")
    off, deep = ["0"] * 8, ["0"] * 4 + ["1"] * 4
    for name, dial in (("frozen", off), ("deep", deep)):
        tab.page.click(f".st-key-dial_set_{name} button")
        stands(dial)
        tab.settle().page.wait_for_timeout(1500)  # so soon after a turn the address counts as late behind it
    tab.page.go_back()
    stands(off)
    tab.page.click("[data-testid=stSidebar] a:has-text('Lens')")
    tab.page.wait_for_selector("h1:has-text('Lens')")
    tab.settle()
    tab.page.click("[data-testid=stSidebar] a:has-text('Causal')")
    tab.page.wait_for_selector("h1:has-text('Causal')")
    stands(off)
    tab.page.wait_for_function(f"({_DRAWN})(3)")
    assert tab.problems == []


def heatmap(tab: Tab, rows: int) -> list[list[float | None]]:
    """Cells of the restored shares, once there are so many rows with a number among them."""
    tab.page.wait_for_function(
        f"(rows) => {{ const z = ({_CELLS})(); return z.length === rows && z.flat().some(Number.isFinite); }}",
        arg=rows,
    )
    return tab.page.evaluate(_CELLS)


def test_a_brushed_span_is_what_is_patched(tab: Tab, server: Server, tmp_path: Path) -> None:
    tab.open(f"/Causal?{urlencode({'look': 'patching', 'model': MODEL, 'only': CLIP})}")
    finished(tab)
    heatmap(tab, COMPONENTS)
    wave = tab.page.locator(".st-key-span_wave .js-plotly-plot .nsewdrag").first
    wave.scroll_into_view_if_needed()
    box = wave.bounding_box()
    tab.page.mouse.move(box["x"] + 0.2 * box["width"], box["y"] + box["height"] / 2)
    tab.page.mouse.down()
    for part in (0.3, 0.4, 0.5):
        tab.page.mouse.move(box["x"] + part * box["width"], box["y"] + box["height"] / 2)
    tab.page.mouse.up()
    tab.page.wait_for_function("new URLSearchParams(document.location.search).has('span')")
    finished(tab)
    begin, end = map(float, parse_qs(urlsplit(tab.address()).query)["span"][0].split("-"))
    length = SOUND.samples.size / 16_000
    assert begin == pytest.approx(0.2 * length, abs=0.1) and end == pytest.approx(0.5 * length, abs=0.1)
    cells = heatmap(tab, COMPONENTS + 1)  # with a span the layer's whole output can be copied too
    _, command = reproduced(tab, "patching")
    assert f"--span {begin:g}-{end:g}" in command
    rows = run(command, server.cache, tmp_path)
    wanted = {
        (row["component"], int(row["layer"])): float(row["value"])
        for row in rows
        if row["statistic"] == "restored_share" and row["value"]
    }
    for component, row in zip(("attention", "mlp", "lora", "residual"), cells, strict=True):
        assert row == pytest.approx([wanted[component, layer] for layer in range(len(row))], rel=1e-9)
    assert tab.problems == []


def test_a_sweep_cancelled_half_way_keeps_its_finished_part(tmp_path: Path, chromium: Browser) -> None:
    with dashboard(tmp_path / "cache") as cold, tab_of(cold, chromium) as tab:
        tab.open(f"/Causal?{urlencode({'look': 'patching', 'model': MODEL, 'balanced': 3})}")
        tab.page.wait_for_function(f"() => /[1-9]\\d* of 12 clips/.test({PROGRESS})")
        tab.page.click(".st-key-progress .st-key-cancel button")
        tab.page.wait_for_selector('.st-key-progress:has-text("Cancelled after")')
        done = {path: path.stat().st_mtime_ns for path in cold.cache.rglob("*.safetensors")}
        kinds = [read_key(path)["kind"] for path in done]
        assert 0 < kinds.count("intervention") < 12 * 8
        heatmap(tab, COMPONENTS)  # what is done stays drawn
        tab.page.click(".st-key-continue button")
        tab.page.wait_for_selector('.st-key-progress:has-text("Cancelled after")', state="detached")
        finished(tab)
        assert "12 pairs" in tab.answer() or "12 clips" in tab.answer()
        assert all(cell is not None for row in heatmap(tab, COMPONENTS) for cell in row)
        assert all(path.stat().st_mtime_ns == when for path, when in done.items()), "what was done was not done again"
        assert tab.problems == []
