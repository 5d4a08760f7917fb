"""What the Ranks page costs beside a bare one: `python benchmarks/ranks_page.py [--rounds 7] [--keep DIR]`.

In a real Chromium: 3 ranks x 5 depths x 400 clips, computed before. The 400 clips are made up for timing only: the
demo's 200, and the same 200 played 4 % faster, in a folder with metadata.csv. The bare page is a Streamlit script of a
few lines on a server of its own, which reads the same figures (all that the Ranks page shows when opened) from files
and draws them. In turn, each round in a new tab and a new session:
1. from navigation until every chart is drawn, with all of its points, and nothing runs;
2. from the end of a lasso around points of one panel, with the mouse, until the same clips stand out in all panels and
   nothing runs; the bare page runs again and draws the same figures, with the same points standing out.
"""

import argparse
import csv
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

import soundfile
from playwright.sync_api import BrowserContext, Page, sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # a script sees only its own folder

from core import paths
from core.analyses.request import AnalysisRequest
from core.analyses.tidy import Table
from core.audio.decoder import decoder
from core.corpora.select import identify
from core.corpora.source import DEMO, FOLDER, list_source
from core.figures import ranks as figures
from core.figures.adapters import targets
from core.figures.view import View
from core.models.describe import describe_registry
from core.store.key import Precision
from core.store.store import Store
from core.studies.compute import kept
from core.studies.slices import WHOLE
from tests.browser.conftest import DESKTOP, WAIT_MS, dashboard
from tests.browser.test_ranks import lasso

ADAPTERS = ("LoRA r=8", "LoRA r=32", "LoRA r=64")
FASTER = 1.04
LIMITS = {"complete": 1.5, "lasso": 2.0}  # times the bare page
CHARTS = ("rank_maps", "separation", "sensitivity")
PANELS = 15
READY = "Engine ready"
BARE = f"""
from pathlib import Path
import plotly.io
import streamlit as st

st.set_page_config(layout="wide")
drawn = st.session_state.get("rank_maps")
picked = "picked_" if drawn and drawn.selection.points else ""
folder = Path(__file__).parent
maps = plotly.io.read_json(folder / f"{{picked}}rank_maps.json")
st.plotly_chart(maps, key="rank_maps", on_select="rerun", selection_mode="lasso")
for name in {CHARTS[1:]}:
    st.plotly_chart(plotly.io.read_json(folder / f"{{name}}.json"), key=name)
"""
# Both give the time at which it first was so, once it has been for half a second. Times are of the page's own clock.
_SINCE = """
  if (!whole) { window.since = undefined; return false; }
  window.since ??= performance.now();
  return performance.now() - window.since > 500 && window.since;
}"""
_IDLE = """document.querySelector('[data-testid="stApp"]')?.dataset.testScriptState === "notRunning" """
_COMPLETE = f"""(points) => {{
  const whole = {_IDLE} && {json.dumps(CHARTS)}.every((key) => document.querySelector(`.st-key-${{key}} .main-svg`))
    && document.querySelectorAll(".st-key-rank_maps .scatterlayer path.point").length === points;
{_SINCE}"""
_STAND_OUT = f"""(panels) => {{
  const counts = [...document.querySelectorAll(".st-key-rank_maps .subplot")].map((panel) =>
    [...panel.querySelectorAll("path.point")].filter((point) => Number(point.style.opacity) === 1).length);
  const whole = {_IDLE} && counts.length === panels && counts[0] > 0 && counts.every((count) => count === counts[0]);
{_SINCE}"""
_PICKED = """() => document.querySelector(".st-key-rank_maps .js-plotly-plot").data.flatMap(
  (trace) => Array.from(trace.selectedpoints || []).map((i) => trace.ids[i]))"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="timed pairs")
    parser.add_argument("--keep", type=Path, help="where clips and results stay for the next time")
    arguments = parser.parse_args()
    with ExitStack() as stack:
        root = (arguments.keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))).absolute()
        root.mkdir(parents=True, exist_ok=True)
        clips, cache, bare = root / "clips", root / "cache", root / "bare"
        if not clips.exists():
            make_clips(clips)
        view = computed(clips, cache, root / "out")
        bare.mkdir(exist_ok=True)
        (bare / "bare.py").write_text(BARE)
        write_figures(view, bare)
        browser = stack.enter_context(sync_playwright()).chromium.launch(
            executable_path=shutil.which("chromium")
            or shutil.which("chromium-browser")
            or shutil.which("google-chrome"),
            args=["--no-sandbox", "--disable-gpu"],
        )
        stack.callback(browser.close)
        ours = stack.enter_context(dashboard(cache))
        theirs = stack.enter_context(dashboard(root / "unused", script=str(bare / "bare.py")))
        asked = [("source", f"{FOLDER}{clips}"), ("balanced", "0"), *(("models", name) for name in ADAPTERS)]
        sides = (
            Side("Ranks", f"{ours.url}/Ranks?{urlencode(asked)}", browser.new_context(viewport=DESKTOP)),
            Side("bare", theirs.url, browser.new_context(viewport=DESKTOP)),
        )
        points = PANELS * len(view.clips)
        page, first = sides[0].open(points)
        page.wait_for_selector(f'[data-testid="stSidebar"] :text("{READY}")')  # the page runs once more then
        page.wait_for_function(_COMPLETE, arg=points)
        draw_around(page)
        write_figures(view, bare, frozenset(page.evaluate(_PICKED)))
        page.close()
        sides[1].visit(points)  # to be warm too
        for i in range(arguments.rounds):
            for side in sides if i % 2 else sides[::-1]:
                side.times.append(side.visit(points))
    report(sides, first, {path.name: path.stat().st_size for path in sorted(bare.glob("*.json"))})


@dataclass
class Side:
    """A page in a browser of its own, and seconds of each visit: complete, lasso."""

    name: str
    address: str
    context: BrowserContext
    times: list[tuple[float, float]] = field(default_factory=list)

    def open(self, points: int) -> tuple[Page, float]:
        """Open it in a new session; the page and when it was complete."""
        page = self.context.new_page()
        page.set_default_timeout(WAIT_MS)
        page.goto(self.address, wait_until="commit")
        return page, page.wait_for_function(_COMPLETE, arg=points).json_value() / 1000

    def visit(self, points: int) -> tuple[float, float]:
        """Open it and draw around some points."""
        page, complete = self.open(points)
        stood_out = draw_around(page)
        page.close()
        return complete, stood_out


def draw_around(page: Page) -> float:
    """Around the middle of the third panel; seconds from there until it is seen in all of them."""
    page.evaluate("addEventListener('mouseup', () => (window.released = performance.now()), { capture: true })")
    lasso(page, 2, ((0.3, 0.3), (0.6, 0.3), (0.6, 0.6), (0.3, 0.6)))
    stood_out = page.wait_for_function(_STAND_OUT, arg=PANELS).json_value()
    return (stood_out - page.evaluate("window.released")) / 1000


def make_clips(folder: Path) -> None:
    """The demo's clips, and the same with a header that says 4 % more samples a second."""
    folder.mkdir()
    rows = [("file_name", "label", "speaker", "session")]
    for clip in list_source(DEMO).clips:
        samples, rate = soundfile.read(clip.path, dtype="int16")
        for name, speed in ((f"{clip.name}.wav", 1.0), (f"{clip.name}_faster.wav", FASTER)):
            soundfile.write(folder / name, samples, round(rate * speed), subtype="PCM_16")
            rows.append((name, clip.label or "", clip.speaker or "", clip.session or ""))
    with (folder / "metadata.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)


def computed(clips: Path, cache: Path, out: Path) -> View:
    """What the page will show, computed by the command line where the cache does not have it."""
    store = Store(cache, 10.0)
    models = tuple(describe_registry(paths.DEFAULT_REGISTRY, store.index, names=list(ADAPTERS)).models)
    source = f"{FOLDER}{clips}"
    found = tuple(identify(list_source(source).clips, decoder(), store.index)[0])
    request = AnalysisRequest(models, found, models[0].name)

    def result() -> Mapping[str, Table] | None:
        if not (out / "run.json").exists():
            return None
        run = json.loads((out / "run.json").read_text())
        precision = Precision(run["dtype"], run["device"].partition(":")[0])
        tables = kept(("ranks",), {WHOLE: request}, store, precision)
        return None if tables is None else tables[WHOLE]

    if result() is None:
        words = ("--models", ",".join(ADAPTERS), "--clips", source, "--cache", str(cache), "--out", str(out))
        subprocess.run([sys.executable, "-m", "core", "analyze", "ranks", *words], cwd=paths.ROOT, check=True)
    tables = result()
    if tables is None:
        raise RuntimeError("what the command line computed is not what the page will ask for")
    return View(models, models[0], "published", "all", {WHOLE: tables}, found, len(found), done=True)


def write_figures(view: View, folder: Path, picked: frozenset[str] = frozenset()) -> None:
    """As files for the bare page; where clips are `picked` (beginnings of ids), the maps with these standing out."""
    target = targets(view.models)[0]
    ids = {clip.clip_id for clip in view.clips if clip.clip_id[: figures.BEGINNING] in picked}
    maps = figures.maps(view, "t-SNE", target, ids).figure
    if picked:
        maps.write_json(folder / "picked_rank_maps.json")
        return
    shown = (maps, figures.separation(view, target).figure, figures.sensitivity(view).figure)
    for name, figure in zip(CHARTS, shown, strict=True):
        figure.write_json(folder / f"{name}.json")


def report(sides: tuple[Side, Side], first: float, sizes: dict[str, int]) -> None:
    """Medians, their ratio and what it may be at most."""
    print(f"{len(sides[0].times)} rounds in turn, seconds (medians), of 400 clips of which 200 are made up for timing")
    for i, (what, limit) in enumerate(LIMITS.items()):
        mine, theirs = (statistics.median(one[i] for one in side.times) for side in sides)
        spread = sorted(a[i] / b[i] for a, b in zip(sides[0].times, sides[1].times, strict=True))
        said = "PASS" if mine <= limit * theirs else "over the limit"
        print(
            f"{what:9} Ranks {mine:.2f}, bare {theirs:.2f}: {mine / theirs:.2f}x, {said} (at most {limit:g}x;", end=" "
        )
        print(f"single pairs {spread[0]:.2f}x to {spread[-1]:.2f}x)")
    print(f"the first time after the server's start, complete after {first:.2f} s (models described, clips listed)")
    print("figures: " + ", ".join(f"{name} {size / 1e3:.0f} kB" for name, size in sizes.items()))


if __name__ == "__main__":
    main()
