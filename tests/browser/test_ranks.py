"""Ranks side by side in the browser: maps and verdicts, the other analyses, and clips drawn around with the mouse."""

from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page

from tests.browser.conftest import Server, Tab
from tests.browser.test_corpus import STUDY_MS, finished, reproduced, run

ADAPTERS = ["LoRA r=8", "LoRA r=32", "LoRA r=64"]
DEPTHS = 5
FEW = "/Ranks?balanced=2"  # clips of each emotion
CLIPS = 8
_MAPS = ".st-key-rank_maps"
_POINTS = """() => {
  const graph = document.querySelector(".st-key-rank_maps .js-plotly-plot");
  const list = (values) => Array.from(values?._inputArray ?? values ?? []);
  const panels = {};
  for (const trace of graph.data) {
    const panel = (panels[trace.xaxis] ??= { points: {}, picked: [] });
    const [x, y] = [list(trace.x), list(trace.y)];
    trace.ids.forEach((id, i) => (panel.points[id] = [x[i], y[i]]));
    panel.picked.push(...list(trace.selectedpoints).map((i) => trace.ids[i]));
  }
  return Object.values(panels);
}"""
# Left, top, width and height of a panel on the screen, and its ranges.
_PANEL = """(index) => {
  const graph = document.querySelector(".st-key-rank_maps .js-plotly-plot");
  const { left, top } = graph.getBoundingClientRect();
  const [x, y] = ["xaxis", "yaxis"].map((name) => graph._fullLayout[name + (index ? index + 1 : "")]);
  return [[left + x._offset, top + y._offset, x._length, y._length], x.range, y.range];
}"""
_STAND_OUT = """(count) => {
  const panels = [...document.querySelectorAll(".st-key-rank_maps .subplot")];
  return panels.length > 0 && panels.every((panel) =>
    [...panel.querySelectorAll("path.point")].filter((one) => Number(one.style.opacity) === 1).length === count);
}"""
_HAS_NUMBERS = """(key) => {
  const graph = document.querySelector(`.st-key-${key} .js-plotly-plot`);
  const list = (values) => Array.from(values?._inputArray ?? values ?? []).flat();
  return Boolean(graph?.querySelector(".main-svg")) && (graph.data || []).some((trace) =>
    [...list(trace.z), ...list(trace.y)].some((one) => typeof one === "number" && Number.isFinite(one)));
}"""


def lasso(page: Page, panel: int, corners: Sequence[tuple[float, float]]) -> None:
    """Draw around part of a panel of the maps, with the mouse; corners are shares of its width and height."""
    (left, top, width, height), *_ = page.evaluate(_PANEL, panel)
    places = [(left + x * width, top + y * height) for x, y in (*corners, corners[0])]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=5)
    page.mouse.up()


def left_part(page: Page, panel: int, points: dict[str, list[float]]) -> tuple[float, set[str]]:
    """Where to cut a panel, as a share of its width, well between two points; and which points are left of there."""
    _, (low, high), _ = page.evaluate(_PANEL, panel)
    across = sorted(((x - low) / (high - low), one) for one, (x, _) in points.items())
    middle = range(len(across) // 4, 3 * len(across) // 4)
    at = max(middle, key=lambda i: across[i + 1][0] - across[i][0])
    return (across[at][0] + across[at + 1][0]) / 2, {one for _, one in across[: at + 1]}


def test_all_ranks_by_all_depths_as_the_command_line_says(tab: Tab, server: Server, tmp_path: Path) -> None:
    finished(tab.open(FEW))
    tab.page.wait_for_selector(f"{_MAPS} .main-svg")
    panels = tab.page.evaluate(_POINTS)
    _, command = reproduced(tab, "rank_maps")
    rows = [row for row in run(command, server.cache, tmp_path) if row["statistic"] in ("tsne_1", "tsne_2")]
    wanted: dict[tuple[str, int], dict[str, list[float]]] = {}
    for row in rows:
        points = wanted.setdefault((row["model"], int(row["layer"])), {})
        points.setdefault(row["clip_id"][:12], []).append(float(row["value"]))
    places = sorted(wanted, key=lambda place: (ADAPTERS.index(place[0]), place[1]))
    assert len(panels) == len(places) == len(ADAPTERS) * DEPTHS
    for panel, place in zip(panels, places, strict=True):
        assert panel["points"].keys() == wanted[place].keys() and len(panel["points"]) == CLIPS
        assert all(panel["points"][one] == pytest.approx(xy) for one, xy in wanted[place].items()), place
    assert tab.page.locator(f"{_MAPS} .subplot").count() == len(panels)
    assert "LoRA r=64" in tab.answer() and "LoRA r=8" in tab.answer()
    said = tab.page.inner_text('[data-testid="stMain"]')
    for metric in ("silhouette", "probe UAR"):  # for ten neighbours they are too few
        assert f"{metric}: LoRA r=64 − LoRA r=8 is" in said or f"{metric}: LoRA r=64 − LoRA r=8 does" in said, metric
    assert "The paper has neutral < sadness < anger < happiness" in said
    assert tab.problems == []


def test_every_other_analysis_stands_below(tab: Tab, new_tab: Callable[..., Tab]) -> None:
    finished(tab.open(f"{FEW}&models=LoRA+r%3D8&models=LoRA+r%3D64"))  # gradients take their time
    higher = "LoRA r=64 − LoRA r=8"
    looks = {
        "scores and size": (["scores"], f"UAR: {higher}"),
        "contributions": (["contributions"], f"What attention writes: {higher}"),
        "lens": (["lens"], higher),
        "spectra": (["efficiency", "sv90"], "SV90 of"),
        "similarity": (["alignment", "weights"], "A-B CKA of activations"),
    }
    for look, (charts, verdict) in looks.items():
        tab.page.click(f'.st-key-compare button:has-text("{look}")')
        for key in charts:
            tab.page.wait_for_function(_HAS_NUMBERS, arg=key, timeout=STUDY_MS)
        tab.page.wait_for_function(
            "() => !(document.querySelector('.st-key-progress_more') || {innerText: ''}).innerText.trim()",
            timeout=STUDY_MS,
        )
        said = tab.settle().page.inner_text('[data-testid="stMain"]')
        assert verdict in said, f"{look}: no verdict"
        assert tab.page.query_selector('[data-testid="stException"]') is None
    # the address brings the same view back
    other = finished(new_tab().open(tab.address()))
    for key in looks["similarity"][0]:
        other.page.wait_for_function(_HAS_NUMBERS, arg=key, timeout=STUDY_MS)
    assert tab.problems == other.problems == []


def test_clips_drawn_around_stand_out_everywhere_and_open(tab: Tab, new_tab: Callable[..., Tab]) -> None:
    finished(tab.open(FEW))
    # once the worker is there the page runs again: not while the mouse draws
    tab.page.wait_for_selector('[data-testid="stSidebar"] :text("Engine ready")')
    tab.settle().page.wait_for_selector(f"{_MAPS} .main-svg")
    cut, inside = left_part(tab.page, 2, tab.page.evaluate(_POINTS)[2]["points"])
    lasso(tab.page, 2, ((0.01, 0.01), (cut, 0.01), (cut, 0.99), (0.01, 0.99)))
    tab.page.wait_for_selector("text=drawn around")
    tab.page.wait_for_function(_STAND_OUT, arg=len(inside))
    panels = tab.settle().page.evaluate(_POINTS)
    assert len(panels) == len(ADAPTERS) * DEPTHS and all(set(panel["picked"]) == inside for panel in panels)
    players = tab.page.locator('[data-testid="stAudio"]')
    assert players.count() == len(inside)
    # in another tab, by the address
    address = tab.address()
    assert set(parse_qs(urlsplit(address).query)["picked"][0].split(",")) == inside
    other = finished(new_tab().open(address))
    other.page.wait_for_function(_STAND_OUT, arg=len(inside))
    other.page.click(".st-key-unpick button")
    other.page.wait_for_selector("text=drawn around", state="detached")
    other.page.wait_for_function(_STAND_OUT, arg=0)
    assert "picked" not in other.address()
    # and on to one of them
    link = tab.page.locator('[data-testid="stMain"] [data-testid="stPageLink"] a').first
    name = link.inner_text().split()[-1]
    link.click()
    tab.page.wait_for_selector('h1:has-text("Clip")')
    tab.lens(4)
    assert tab.page.input_value(".st-key-clip input") == name
    assert tab.problems == other.problems == []
