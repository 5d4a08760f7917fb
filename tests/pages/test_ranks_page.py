"""The Ranks page without a browser: what it offers with and without adapters, and what its address brings back."""

import pytest

from core.ui.keys import Key
from tests.pages.conftest import Dashboard, chart, words

PAGE = "pages/6_Ranks.py"
BOTH = ["LoRA", "Wide"]


def test_without_an_adapter_it_says_so_and_offers_nothing_else(dashboard: Dashboard) -> None:
    app = dashboard.open(PAGE, models=["Frozen"])
    assert not app.exception
    assert "None of the chosen models has LoRA" in words(app)
    assert not app.get("plotly_chart") and not dashboard.engine.jobs()


def test_its_charts_stand_before_there_are_numbers(dashboard: Dashboard) -> None:
    app = dashboard.open(PAGE, models=["Frozen", *BOTH])
    assert not app.exception
    for key in (Key.RANK_MAPS, Key.SEPARATION):
        assert chart(app, key)["layout"]["height"] > 100
    assert chart(app, Key.RANK_MAPS)["layout"]["dragmode"] == "lasso"


@pytest.mark.parametrize(
    ("look", "key"),
    [
        ("scores and size", Key.SCORES),
        ("contributions", Key.CONTRIBUTIONS),
        ("lens", Key.LENS),
        ("spectra", Key.EFFICIENCY),
        ("similarity", Key.ALIGNMENT),
    ],
)
def test_other_analyses_are_asked_for_only_when_opened(dashboard: Dashboard, look: str, key: Key) -> None:
    """Each would cost passes that nobody looks at."""
    app = dashboard.open(PAGE, models=["Frozen", *BOTH], compare=look)
    assert not app.exception
    drawn = {one.proto.id.rsplit("-", 1)[-1] for one in app.get("plotly_chart")}
    assert key in drawn and Key.SEPARATION not in drawn


def test_a_split_is_not_used_and_it_says_so(dashboard: Dashboard) -> None:
    """Within one emotion there is nothing to separate."""
    app = dashboard.open(PAGE, models=BOTH, by="emotion")
    assert not app.exception
    assert "The split is not used here" in words(app)


def test_the_address_chooses_the_map(dashboard: Dashboard) -> None:
    app = dashboard.open(PAGE, models=BOTH, map="PCA", picked="0123456789ab")
    assert not app.exception
    assert "principal" in words(app) or app.session_state[Key.MAP] == "PCA"
