"""What `core train` wrote is on the Clip page with one entry in the registry."""

from pathlib import Path
from urllib.parse import urlencode

from playwright.sync_api import Browser

from core import paths
from core.corpora.source import DEMO, list_source
from tests.browser.conftest import DESKTOP, Tab, dashboard
from tests.cli.command import lorascope

ENTRY = """
[[model]]
name = "Mine"
base = "{base}"
adapter = "runs/fold1"
labels = ["anger", "happiness", "neutral", "sadness"]
"""


def test_a_trained_adapter_is_on_the_clip_page_with_one_entry(
    chromium: Browser, tmp_path: Path, screenshots: Path
) -> None:
    base = paths.DEMO / "base"
    words = ("--base", base, "--clips", "demo", "--balanced", "20", "--fold", "1", "--rank", "2", "--epochs", "1")
    trained = lorascope("train", *words, "--out", tmp_path / "runs", "--cache", tmp_path / "training")
    assert trained.code == 0, trained.err
    registry = tmp_path / "mine.toml"
    registry.write_text(ENTRY.format(base=base))
    clip = list_source(DEMO).clips[0].name
    with dashboard(tmp_path / "cache", registry) as server:
        context = chromium.new_context(viewport=DESKTOP)
        tab = Tab(context.new_page(), server.url).open(f"/Clip?{urlencode({'source': DEMO, 'clip': clip})}")
        lines = tab.lens(1)
        assert {line["hover"].split("</b>")[0] for line in lines} == {"<b>Mine"}
        assert "Mine" in tab.answer()
        tab.settle().page.screenshot(path=screenshots / "trained.png")
        assert tab.problems == []
        context.close()
