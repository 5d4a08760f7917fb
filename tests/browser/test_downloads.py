"""What the quiet row under a chart gives: picture, numbers, file, address and command."""

import csv
from pathlib import Path

from playwright.sync_api import Download

from core.analyses.request import COLUMNS
from core.corpora.source import DEMO, list_source
from tests.browser.conftest import Server, Tab


def saved(tab: Tab, button: str, folder: Path) -> Path:
    """Press a button and keep what the browser downloads."""
    with tab.page.expect_download() as waiting:
        tab.page.click(button)
    download: Download = waiting.value
    path = folder / download.suggested_filename
    download.save_as(path)
    return path


def test_the_main_chart_in_every_format(tab: Tab, server: Server, tmp_path: Path) -> None:
    clip = list_source(DEMO).clips[0].name
    tab.open(f"/Clip?clip={clip}").lens(len(server.models.models))
    row = ".st-key-quiet_clip_lens"
    popover = '[data-testid="stPopoverBody"]'
    tab.settle().page.click(f'{row} button:has-text("Download")')
    png = saved(tab, f'{popover} button:text-is("PNG")', tmp_path)
    assert png.suffix == ".png"
    assert png.read_bytes().startswith(b"\x89PNG")
    tab.page.click(f'{row} button:has-text("Download")')  # a picture closes it: Plotly's own button was pressed outside
    svg = saved(tab, f'{popover} button:text-is("SVG")', tmp_path)
    assert svg.suffix == ".svg"
    assert "Frozen" in svg.read_text()
    tab.page.click(f'{row} button:has-text("Download")')
    page = saved(tab, f'{popover} button:has-text("HTML")', tmp_path).read_text()
    assert "Plotly.newPlot" in page
    assert 'src="http' not in page, "it works offline"
    with saved(tab, f'{popover} button:has-text("CSV")', tmp_path).open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    assert {row["model"] for row in rows} == {model.name for model in server.models.models}
    assert any(row["statistic"] == "prob" for row in rows)
    tab.page.keyboard.press("Escape")
    tab.page.click(f'{row} button:has-text("Numbers")')
    tab.page.wait_for_selector(f'{popover} [data-testid="stDataFrame"]')
    tab.settle().page.keyboard.press("Escape")
    tab.page.click(f'{row} button:has-text("Reproduce")')
    tab.page.wait_for_selector(f'{popover} code:has-text("clip={clip}")')
    tab.page.wait_for_selector(f'{popover} code:has-text("python -m core analyze lens --models")')
    assert tab.page.query_selector('[data-testid="stException"]') is None
    assert tab.problems == []
