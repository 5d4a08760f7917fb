"""The Similarity page in the app: its controls, its address, models without LoRA."""

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from tests.pages.conftest import Dashboard, chart, words

PAGE = "pages/5_Similarity.py"


def settled(dashboard: Dashboard, voices: Path, **address: str | list[str]) -> AppTest:
    app = dashboard.settle(dashboard.open(PAGE, source=f"folder:{voices}", balanced="0", **address))
    assert not app.exception
    return app


def maps(app: AppTest) -> list[str]:
    """Titles of the heatmaps' panels."""
    return [note["text"] for note in chart(app, "cka_layers")["layout"]["annotations"]]


def test_models_without_lora_have_heatmaps_and_are_told_the_rest(dashboard: Dashboard, voices: Path) -> None:
    app = settled(dashboard, voices, models=["Frozen", "Full"])
    assert "None of these models has LoRA" in words(app)
    assert maps(app) == ["<b>Frozen × Frozen</b>", "<b>Full × Full</b>", "<b>Frozen × Full</b>"]
    values = [trace["z"] for trace in chart(app, "cka_layers")["data"] if trace["type"] == "heatmap"]
    assert len(values) == 3 and all(values)


def test_the_address_chooses_what_is_compared(dashboard: Dashboard, voices: Path) -> None:
    """A shared link must show what its sender saw; one to what is not there must still show something."""
    link = {"models": ["Frozen", "Full"], "by": "emotion", "group": "sadness"}
    app = settled(dashboard, voices, **link, rows="Full", columns="Full", estimator="linear, unbiased")
    assert maps(app) == ["<b>Full × Full</b>"]
    assert app.session_state["estimator"] == "linear, unbiased"
    assert [box.value for box in app.selectbox if box.key == "group"] == ["sadness"]
    assert "estimator=linear%2C+unbiased" in next(c.value for c in app.code if c.value.startswith("http"))
    app = settled(dashboard, voices, **link, rows="gone", estimator="gone")
    assert maps(app)[0] == "<b>Frozen × Frozen</b>"


def test_each_variant_begins_with_its_own_estimator(dashboard: Dashboard, voices: Path) -> None:
    app = settled(dashboard, voices, models=["Frozen", "Full"])
    assert app.session_state["estimator"] == "linear, biased"
    app.session_state["variant"] = "corrected"
    dashboard.settle(app.run())
    assert app.session_state["estimator"] == "linear, unbiased"


@pytest.mark.parametrize("variant", ["published", "released"])
def test_adapters_that_cannot_be_heard_leave_the_frames_of_their_charts(
    dashboard: Dashboard, voices: Path, variant: str
) -> None:
    for name in ("LoRA", "Wide", "LoRA (untrained)", "Wide (untrained)"):
        dashboard.inventor.refuse[name] = "too deep a voice"
    app = settled(dashboard, voices, variant=variant)
    assert "too deep a voice" in words(app)
    drawn = chart(app, "alignment")
    assert len(drawn["layout"]["annotations"]) == 4
    assert max(len(trace.get("customdata") or []) for trace in drawn["data"]) <= 1, "only the legend's own entries"
