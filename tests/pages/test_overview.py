"""The overview: what is loaded, what was refused, and the way to a first insight."""

from pathlib import Path
from urllib.parse import parse_qs

import pytest

from core.settings import settings
from core.ui import context
from tests.checkpoints import write_registry
from tests.pages.conftest import Dashboard, words


def point_at(registry: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORASCOPE_REGISTRY", str(registry))
    settings.cache_clear()
    context._described.clear()


def test_it_lists_the_models_and_computes_nothing(dashboard: Dashboard) -> None:
    app = dashboard.open()
    assert not app.exception
    table = app.dataframe[0].value
    assert list(table["model"]) == ["Frozen", "LoRA", "Wide", "Full"]
    assert list(table["role"]) == ["frozen", "lora", "lora", "full"]
    assert list(table["rank"]) == ["–", "5", "3", "–"]
    assert "cpu" in words(app)
    assert not dashboard.engine.jobs()


def test_one_click_leads_to_a_clip_with_the_group_chosen(dashboard: Dashboard) -> None:
    app = dashboard.open()
    links = [link.proto for link in app.get("page_link") if "layer by layer" in link.proto.label]
    assert [link.page for link in links] == ["Clip"]
    app = dashboard.open("pages/1_Clip.py", **parse_qs(links[0].query_string))
    app = dashboard.settle(app)
    assert not app.exception
    assert app.selectbox(key="clip").value
    assert dashboard.inventor.seen == ["Frozen", "LoRA", "Wide"]


def test_the_demo_is_called_synthetic(dashboard: Dashboard) -> None:
    assert "Synthetic demo" in words(dashboard.open())
    assert "Synthetic demo" in words(dashboard.open("pages/1_Clip.py"))


def test_refused_models_are_listed_with_their_reasons(
    dashboard: Dashboard, shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = [
        {"name": "Good", "base": str(shelf / "base"), "head": str(shelf / "head")},
        {"name": "Bad", "base": str(shelf / "nowhere")},
    ]
    point_at(write_registry(tmp_path / "some.toml", models), monkeypatch)
    app = dashboard.open()
    assert not app.exception
    assert list(app.dataframe[0].value["model"]) == ["Good"]
    assert [element.value for element in app.warning if element.value.startswith("Bad")]


@pytest.mark.parametrize("page", ["", "pages/1_Clip.py"])
def test_without_a_registry_every_page_says_so(
    dashboard: Dashboard, page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    point_at(tmp_path / "none.toml", monkeypatch)
    app = dashboard.open(page)
    assert not app.exception
    assert "There is no registry file" in app.error[0].value


@pytest.mark.parametrize("page", ["", "pages/1_Clip.py"])
def test_without_a_usable_model_every_page_says_why(
    dashboard: Dashboard, page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    point_at(write_registry(tmp_path / "bad.toml", [{"name": "Bad", "base": "nowhere"}]), monkeypatch)
    app = dashboard.open(page)
    assert not app.exception
    assert "No model in the registry can be used" in words(app)
    assert "Bad" in words(app)


def test_models_appear_when_the_registry_file_changes(
    dashboard: Dashboard, shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = {"name": "One", "base": str(shelf / "base"), "head": str(shelf / "head")}
    registry = write_registry(tmp_path / "mine.toml", [one])
    point_at(registry, monkeypatch)
    app = dashboard.open()
    write_registry(registry, [one, one | {"name": "Two"}])
    app.run()
    assert list(app.dataframe[0].value["model"]) == ["One", "Two"]
