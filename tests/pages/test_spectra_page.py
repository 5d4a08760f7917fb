"""The Spectra page without a browser: what it offers with and without adapters, and what its address brings back."""

from core.ui.keys import Key
from tests.pages.conftest import Dashboard, chart, words

PAGE = "pages/4_Spectra.py"


def test_without_an_adapter_it_says_so_and_offers_nothing_else(dashboard: Dashboard) -> None:
    app = dashboard.open(PAGE, models=["Frozen"])
    assert not app.exception
    assert "None of the chosen models has LoRA" in words(app)
    assert not app.get("plotly_chart") and not dashboard.engine.jobs()


def test_its_charts_stand_before_there_are_numbers(dashboard: Dashboard) -> None:
    app = dashboard.open(PAGE, models=["Frozen", "LoRA", "Wide"])
    assert not app.exception
    for key in (Key.SPECTRA, Key.EFFICIENCY, Key.SV90, Key.SPECTRA_DEPTH, Key.WEIGHTS):
        assert chart(app, key)["layout"]["height"] > 100
    assert "N(0, 0.02²)" in words(app), "what the untrained counterpart is, and why it is not PEFT's own start"


def test_an_address_brings_back_what_was_looked_at(dashboard: Dashboard) -> None:
    app = dashboard.open(PAGE, models=["LoRA"], every="true", measure="gradient norm", look="intruders")
    assert not app.exception
    titles = [one["text"] for one in chart(app, Key.WEIGHTS)["layout"]["annotations"]]
    assert any("intruder dimensions" in title for title in titles)
    assert chart(app, Key.SPECTRA_DEPTH)["layout"]["yaxis"]["type"] == "log"


def test_a_split_shows_groups_instead_of_modules(dashboard: Dashboard) -> None:
    app = dashboard.open(PAGE, models=["LoRA"], by="emotion", kind="B activations")
    assert not app.exception
    drawn = {one.proto.id.rsplit("-", 1)[-1] for one in app.get("plotly_chart")}
    assert drawn == {Key.SPECTRA, Key.EFFICIENCY, Key.WEIGHTS}
