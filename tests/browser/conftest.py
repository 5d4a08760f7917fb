"""The real dashboard in a real browser: one server over the shipped demo, one Chromium for all tests."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Request, Response, TimeoutError, sync_playwright

from core import paths
from core.models.describe import Models, describe_registry
from core.store.store import Store

START_S = 60
WAIT_MS = 180_000  # two busy cores, and the worker imports torch first
DESKTOP, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
# Streamlit looks for its own server under a page's path before it looks at the root.
_PROBES = ("/_stcore/health", "/_stcore/host-config")
_CHROMIUM = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
]


@dataclass
class Server:
    """A running dashboard, its cache and its registry."""

    process: subprocess.Popen
    url: str
    cache: Path
    registry: Path

    @property
    def store(self) -> Store:
        return Store(self.cache, 1.0)

    @property
    def models(self) -> Models:
        return describe_registry(self.registry, self.store.index)

    def worker(self) -> int:
        """Process id of the model worker."""
        listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,command="], capture_output=True, text=True, check=True)
        for line in listed.stdout.splitlines():
            pid, parent, command = line.split(None, 2)
            if int(parent) == self.process.pid and "core.engine.worker" in command:
                return int(pid)
        raise AssertionError("the server has no worker")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with dashboard(tmp_path_factory.mktemp("cache")) as running:
        yield running


@contextlib.contextmanager
def dashboard(cache: Path, registry: Path = paths.DEFAULT_REGISTRY, script: str = "app.py") -> Iterator[Server]:
    """The dashboard, or another `script`, in a process of its own, on a free port."""
    log = (cache.parent / f"{cache.name}.log").open("w+")
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LORASCOPE_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "streamlit", "run", script, "--server.port", str(port)],
        cwd=paths.ROOT,
        env=environment | {"LORASCOPE_CACHE_DIR": str(cache), "LORASCOPE_REGISTRY": str(registry)},
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    running = Server(process, f"http://localhost:{port}", cache, registry)
    try:
        _wait_until_healthy(running, Path(log.name))
        yield running
    finally:
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(15)
        process.kill()
        log.close()


def _wait_until_healthy(running: Server, log: Path) -> None:
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        assert running.process.poll() is None, f"the server ended:\n{log.read_text()}"
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{running.url}/_stcore/health", timeout=2):
            return
        time.sleep(0.2)
    raise AssertionError(f"the server did not start:\n{log.read_text()}")


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert path, "These tests need a browser: apt-get install chromium."
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=_CHROMIUM)
        yield browser
        browser.close()


@dataclass
class Tab:
    """One page in a session of its own, and what went wrong in it."""

    page: Page
    url: str
    problems: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.set_default_timeout(WAIT_MS)
        self.page.on("pageerror", lambda error: self.problems.append(f"error: {error}"))
        self.page.on("requestfailed", self._check_failure)
        self.page.on("response", self._check)
        self.page.on(
            "console",
            lambda line: (
                self.problems.append(f"console: {line.text}")
                if line.type == "error" and not line.text.startswith("Failed to load resource")  # those are responses
                else None
            ),
        )

    def _check_failure(self, request: Request) -> None:
        if request.failure != "net::ERR_ABORTED":  # which is what leaving a page does to what it still loads
            self.problems.append(f"{request.failure}: {request.url}")

    def _check(self, response: Response) -> None:
        if response.status >= 400 and not response.url.endswith(_PROBES):
            self.problems.append(f"{response.status}: {response.url}")

    def open(self, address: str) -> "Tab":
        """Go to an address of the dashboard and wait until its script has run."""
        self.page.goto(address if address.startswith("http") else self.url + address)
        self.page.wait_for_selector("h1")
        return self.settle()

    def settle(self) -> "Tab":
        """Wait until nothing runs any more and every chart that the script sent is drawn."""
        self.page.wait_for_timeout(300)
        self.page.wait_for_function(_SETTLED)
        return self

    def address(self) -> str:
        """What the address bar says once it says the same for a second: Streamlit writes it some time after a run."""
        seen: list[str] = []
        while len(seen) < 4 or len(set(seen[-4:])) > 1:
            seen.append(self.settle().page.url)
        return seen[-1]

    def lens(self, models: int, unlike: list[dict] | None = None) -> list[dict]:
        """Lines of the chart of per-layer predictions once all of `models` have theirs: name, hover text, y.

        `unlike` are those of a moment ago, which something just done has to change.
        """
        try:
            self.page.wait_for_function(
                f"""([models, unlike]) => {{
                  const titles = new Set(), lines = ({_LINES})();
                  if (JSON.stringify(lines) === JSON.stringify(unlike)) return false;
                  for (const line of lines) {{
                    if (!line.y.every(Number.isFinite)) return false;
                    titles.add(line.hover.split("<br>")[0]);
                  }}
                  return titles.size === models;
                }}""",
                arg=[models, unlike],
            )
        except TimeoutError as error:
            shown = self.page.inner_text('[data-testid="stApp"]')
            raise AssertionError(f"no lines for {models} models at {self.page.url}, but:\n{shown}") from error
        return self.page.evaluate(_LINES)

    def answer(self) -> str:
        return self.page.inner_text(".st-key-answer")

    def upload(self, path: Path) -> None:
        self.page.set_input_files(".st-key-clip_upload input[type=file]", path)


# A chart's code is loaded only when the first chart comes, with a skeleton in its place meanwhile.
_SETTLED = """() => {
  const app = document.querySelector('[data-testid="stApp"]');
  const charts = [...document.querySelectorAll('[data-testid="stPlotlyChart"]')];
  return app?.dataset.testScriptState === "notRunning" && !document.querySelector('[data-testid="stSkeleton"]')
    && charts.every((one) => one.querySelector(".main-svg"));
}"""
_LINES = """() => {
  const graph = document.querySelector(".st-key-clip_lens .js-plotly-plot");
  if (!graph || !graph.data) return [];
  return graph.data.filter((trace) => trace.mode === "lines+markers").map((trace) => ({
    name: trace.name, hover: trace.hovertemplate, y: Array.from(trace.y._inputArray ?? trace.y) }));
}"""


@pytest.fixture
def new_tab(chromium: Browser, server: Server) -> Iterator:
    """A function that opens a tab in a fresh session."""
    contexts = []

    def make(**options: object) -> Tab:
        contexts.append(chromium.new_context(**({"viewport": DESKTOP} | options), permissions=["microphone"]))
        return Tab(contexts[-1].new_page(), server.url)

    yield make
    for context in contexts:
        context.close()


@pytest.fixture
def tab(new_tab) -> Tab:  # type: ignore[no-untyped-def]
    return new_tab()


@pytest.fixture(scope="session")
def screenshots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where pictures go: LORASCOPE_SCREENSHOTS, else somewhere temporary."""
    asked = os.environ.get("LORASCOPE_SCREENSHOTS")
    folder = Path(asked) if asked else tmp_path_factory.mktemp("screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def voice() -> Path:
    """A person speaking, as Debian ships it."""
    path = Path("/usr/share/sounds/alsa/Front_Center.wav")
    assert path.is_file(), f"{path} is missing: apt-get install alsa-utils."
    return path
