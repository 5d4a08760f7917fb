"""The report's file in the browser, without any network: its charts are drawn, in the page's colours."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from core.figures.layout import DARK_TEXT, LIGHT_TEXT
from tests.cli.command import Answer, lorascope


@pytest.fixture(scope="module")
def file(registry: Path, voices: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    words = ("--models", "Frozen,LoRA", "--clips", f"folder:{voices}", "--registry", registry, "--causal", "patching")
    place = ("--out", folder / "report.html", "--cache", folder / "cache")
    assert lorascope("report", "all,causal", *words, *place) == Answer(0, "", "")
    return folder / "report.html"


@pytest.mark.parametrize("width", [1440, 390])
@pytest.mark.parametrize(("scheme", "text"), [("light", LIGHT_TEXT), ("dark", DARK_TEXT)])
def test_every_chart_is_drawn_offline(file: Path, chromium: Browser, width: int, scheme: str, text: str) -> None:
    context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True)
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.goto(file.as_uri())
    page.wait_for_function(
        "() => [...document.querySelectorAll('.plot')].every((one) => one.querySelector('.main-svg'))"
    )
    charts = page.locator(".plot").count()
    assert charts == page.locator("script.figure").count() > 10
    assert page.evaluate("document.documentElement.scrollWidth") == width, "only charts and tables scroll sideways"
    colors = page.evaluate(
        "() => [...new Set([...document.querySelectorAll('.xtick text')].map((one) => one.style.fill))]"
    )
    assert colors == [f"rgb({', '.join(str(int(text[i : i + 2], 16)) for i in (1, 3, 5))})"]
    assert not problems
    context.close()
