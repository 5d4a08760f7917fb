"""The Causal page without a browser: what each look asks for and shows, the dial, and what the address brings back."""

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core.analyses.request import AnalysisRequest
from core.engine.interventions import Dial, DialPass
from core.store.key import Precision
from core.ui import causal_dial, causal_strip, context
from core.ui.causal_strip import parse, slider_key
from core.ui.keys import Key
from tests.conftest import save_sound
from tests.pages.conftest import Dashboard, chart, until, words

PAGE = "pages/7_Causal.py"
LAYERS = 3  # of the shelf's models
ALL = ["Frozen", "LoRA", "Wide"]


def asked() -> AnalysisRequest:
    """What the page's study is about, in the tab that was opened last."""
    *_, pinned = context.board()._pinned.values()
    return pinned.study.question.request


def command(app: AppTest) -> str:
    """Of the first chart's quiet row."""
    return next(one.value for one in app.code if one.value.startswith("python -m core"))


@pytest.fixture
def source(voices: Path) -> str:
    return f"folder:{voices}"


@pytest.mark.parametrize(
    ("look", "part", "keys"),
    [
        ("layers", "layers", (Key.CAUSAL_LAYERS, Key.TRUNCATION)),
        ("erasure", "layers", (Key.ERASURE,)),
        ("patching", "patching", (Key.PATCHING, Key.PATCHED)),
    ],
)
def test_each_look_asks_only_for_its_part_of_one_model(dashboard: Dashboard, source: str, look, part, keys) -> None:
    """Anything more would cost passes that nobody looks at; and its command gives the same."""
    app = dashboard.open(PAGE, models=ALL, look=look, source=source)
    assert not app.exception
    for key in keys:
        assert chart(app, key)["layout"]["height"] > 100, "there before the numbers are"
    assert asked().parts == (part,) and [model.name for model in asked().models] == ["LoRA"]
    assert f"About {5 * LAYERS} passes a clip, {5 * LAYERS * 8} in all" in words(app)
    height = chart(app, keys[0])["layout"]["height"]
    app = dashboard.settle(app)
    assert not app.exception and not app.error
    assert chart(app, keys[0])["layout"]["height"] == height
    assert "**LoRA" in words(app) or "layer" in words(app)
    assert f"--causal {part}" in command(app) and "--models LoRA" in command(app)


def test_a_model_without_lora_is_erased_and_patched_but_has_nothing_to_switch(
    dashboard: Dashboard, source: str
) -> None:
    for look in ("layers", "dial"):
        app = dashboard.open(PAGE, models=["Frozen"], look=look, source=source)
        assert not app.exception
        assert "Frozen has no" in words(app) and not app.get("plotly_chart")
    assert not dashboard.engine.jobs()
    app = dashboard.settle(dashboard.open(PAGE, models=["Frozen"], look="patching", source=source))
    assert not app.exception and not app.error
    assert asked().pairing == "minimal", "there is no LoRA to turn on and off"
    assert "LoRA" not in chart(app, Key.PATCHING)["layout"]["yaxis"]["ticktext"]


def test_the_address_brings_back_pairs_and_span_of_one_clip(dashboard: Dashboard, source: str) -> None:
    """A link must show the same patched frames; the residual stream has a row once not all of them are."""
    address = {"models": ALL, "model": "Wide", "look": "patching", "pairs": "noise", "source": source}
    app = dashboard.settle(dashboard.open(PAGE, only="clip3.wav", span="0.1-0.35", **address))
    assert not app.exception and not app.error
    assert (asked().pairing, asked().span) == ("noise", (0.1, 0.35))
    assert "residual stream" in chart(app, Key.PATCHING)["layout"]["yaxis"]["ticktext"]
    assert "0.100 s to 0.350 s" in words(app)
    assert "--pairs noise" in command(app) and "--span 0.1-0.35" in command(app)
    app.button(key=Key.SPAN_CLEAR).click().run()
    assert "Drag along the waveform" in words(app) and Key.SPAN not in app.query_params


@pytest.mark.parametrize("span", ["0.5", "0.8-0.2", "-1-2", "0.2-99", "a-b"])
def test_a_span_that_is_none_patches_all_and_says_so(dashboard: Dashboard, source: str, span: str) -> None:
    app = dashboard.open(PAGE, models=["LoRA"], look="patching", source=source, only="clip3.wav", span=span)
    assert not app.exception
    assert asked().span is None and "is no time span" in words(app)


def test_partners_of_one_clip_are_proposed_and_one_of_them_chosen(dashboard: Dashboard, source: str) -> None:
    """The nearest in length first; the address and the command name the one that is taken."""
    address = {"models": ["LoRA"], "look": "patching", "pairs": "minimal", "source": source}
    app = dashboard.settle(dashboard.open(PAGE, only="clip1.wav", **address))
    assert not app.exception and not app.error
    assert app.selectbox(key=Key.PARTNER).options == ["clip3.wav", "clip7.wav"]
    assert [one.name for one in asked().partners] == ["clip3.wav"]
    assert "(happiness) against **clip3.wav** (sadness): words not known, 0.140 s longer" in words(app)
    assert "1 pair" in words(app) and "--partner clip3.wav" in command(app)
    app = dashboard.settle(dashboard.open(PAGE, only="clip1.wav", partner="clip7.wav", **address))
    assert [one.name for one in asked().partners] == ["clip7.wav"] and "--partner clip7.wav" in command(app)
    app.selectbox(key=Key.ONLY).set_value("clip5.wav").run()
    assert not app.exception
    assert [one.name for one in asked().partners] == ["clip7.wav"], "it is a partner of this one too"
    app.selectbox(key=Key.ONLY).set_value("clip3.wav").run()
    assert not app.exception
    assert asked().partners[0].name in ("clip1.wav", "clip5.wav") and "makes no minimal pair" not in words(app)


def test_a_partner_in_the_address_that_is_none_is_said(dashboard: Dashboard, source: str) -> None:
    address = {"models": ["LoRA"], "look": "patching", "pairs": "minimal", "source": source, "only": "clip1.wav"}
    app = dashboard.open(PAGE, partner="clip0.wav", **address)
    assert not app.exception
    assert "clip0.wav makes no minimal pair with clip1.wav" in words(app)
    assert [one.name for one in asked().partners] == ["clip3.wav"]


def test_a_clip_without_a_partner_says_why(dashboard: Dashboard, tmp_path: Path) -> None:
    """A clip that nobody said anything about, as an upload."""
    save_sound(tmp_path / "x.wav", 0.5, 0)
    address = {"models": ["LoRA"], "look": "patching", "source": f"folder:{tmp_path}"}
    app = dashboard.open(PAGE, only="x.wav", pairs="minimal", **address)
    assert not app.exception
    assert "x.wav has no partner here" in words(app) and not dashboard.engine.jobs()


def test_a_split_is_not_used_and_it_says_so(dashboard: Dashboard, source: str) -> None:
    """Within one emotion there are no minimal pairs."""
    app = dashboard.open(PAGE, models=["LoRA"], by="emotion", source=source)
    assert not app.exception
    assert "The split is not used here" in words(app)


def test_a_cancelled_sweep_keeps_what_is_done(dashboard: Dashboard, source: str) -> None:
    dashboard.inventor.gate.clear()
    app = dashboard.open(PAGE, models=["LoRA"], look="patching", source=source)
    until(lambda: bool(dashboard.engine.jobs()))
    app.run()
    app.button(key=Key.CANCEL).click().run()
    dashboard.inventor.gate.set()
    app = dashboard.settle(app)
    assert not app.exception
    assert "Cancelled after" in words(app)
    app.button(key=Key.CONTINUE).click().run()
    assert "restores most" in words(dashboard.settle(app))


def dialled(app: AppTest) -> DialPass:
    return app.session_state["dial_last"]


def test_the_dial_starts_as_trained_over_the_first_clip(dashboard: Dashboard, source: str) -> None:
    app = dashboard.open(PAGE, models=ALL, look="dial", source=source)
    assert not app.exception
    assert dialled(app).dial == Dial.even(1.0, LAYERS) and dialled(app).clip.name == "clip0.wav"
    assert "the first of these clips" in words(app)
    app = dashboard.settle(app)
    assert not app.exception and "**LoRA, dialled**" in words(app)
    for key in (Key.DIAL_LENS, Key.DIAL_FINAL, Key.DIAL_WRITE):
        assert chart(app, key)["data"]
    names = {trace.get("name") for trace in chart(app, Key.DIAL_WRITE)["data"]}
    assert {"LoRA", "LoRA, dialled"} <= names


def test_a_slider_asks_for_one_pass_and_the_address_holds_the_dial(dashboard: Dashboard, source: str) -> None:
    app = dashboard.settle(dashboard.open(PAGE, models=["LoRA"], look="dial", source=source, only="clip3.wav"))
    before = len(dashboard.inventor.seen)
    app.slider(key=slider_key(1)).set_value(0.35).run()
    assert not app.exception
    assert dialled(app).dial.gains == (1.0, 0.35, 1.0)
    assert app.query_params[Key.DIAL] == "1,0.35,1"
    assert "The dial turns" not in words(app), "it came while the page waited"
    dashboard.settle(app)
    assert len(dashboard.inventor.seen) == before + 1, "the model as it is need not be run again"
    app.button(key=f"{Key.DIAL_SET}_trained").click().run()
    assert Key.DIAL not in app.query_params
    assert len(dashboard.inventor.seen) == before + 1, "what was there before is still there"


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model whose turns take longer than the page waits for."""
    monkeypatch.setattr(causal_dial, "_PATIENCE_S", 0.05)


@pytest.mark.usefixtures("slow")
def test_while_a_turn_is_computed_the_curves_before_it_stay(dashboard: Dashboard, source: str) -> None:
    """Empty charts at each touch of a slider would flicker."""
    app = dashboard.settle(dashboard.open(PAGE, models=["LoRA"], look="dial", source=source))
    before = chart(app, Key.DIAL_LENS)["data"]
    dashboard.inventor.gate.clear()
    app.slider(key=slider_key(0)).set_value(0.5).run()
    assert "The dial turns" in words(app)
    assert chart(app, Key.DIAL_LENS)["data"] == before
    dashboard.inventor.gate.set()
    app = dashboard.settle(app)
    assert "The dial turns" not in words(app) and chart(app, Key.DIAL_LENS)["data"] != before


@pytest.mark.usefixtures("slow")
def test_a_turn_that_was_turned_away_from_is_dropped(dashboard: Dashboard, source: str) -> None:
    """Dragging leaves a trail of dials; each costs a pass that nobody waits for any more."""
    app = dashboard.settle(dashboard.open(PAGE, models=["LoRA"], look="dial", source=source))
    before = len(dashboard.inventor.seen)
    dashboard.inventor.gate.clear()
    for gain in (0.9, 0.8, 0.7, 0.6):
        app.slider(key=slider_key(0)).set_value(gain).run()
    dashboard.inventor.gate.set()
    dashboard.settle(app)
    assert len(dashboard.inventor.seen) - before <= 2, "the one that ran when the next came, and the last"
    last = DialPass.over(dialled(app).model, dialled(app).clip, 0, Dial((0.6, 1.0, 1.0)))
    assert context.store().has(last.keys(Precision())[0])


@pytest.mark.parametrize(
    ("name", "gains"),
    [
        ("frozen", (0, 0, 0)),
        ("deep", (0, 1, 1)),
        ("first", (1, 1, 0)),
        ("last", (0, 1, 1)),
        ("only", (0, 1, 0)),
    ],
)
def test_buttons_set_all_layers_at_once(dashboard: Dashboard, source: str, name: str, gains) -> None:
    app = dashboard.open(PAGE, models=["LoRA"], look="dial", source=source)
    app.selectbox(key=Key.DIAL_LAYER).set_value(1).run()
    app.button(key=f"{Key.DIAL_SET}_{name}").click().run()
    assert not app.exception
    assert dialled(app).dial.gains == gains


def test_the_address_brings_back_dial_and_rank(dashboard: Dashboard, source: str) -> None:
    address = {"models": ["LoRA"], "look": "dial", "source": source}
    app = dashboard.open(PAGE, dial="0,1.5,0.05", cut="2", **address)
    assert not app.exception
    assert dialled(app).dial == Dial((0.0, 1.5, 0.05), 2)
    app = dashboard.open(PAGE, dial="0,1", **address)
    assert dialled(app).dial.gains == (1.0,) * LAYERS and "which has 3 layers" in words(app)


@pytest.mark.parametrize("text", ["", "1,1", "1,1,nan", "1,1,1.51", "1,-0.1,1", "a,b,c", "1,1,1,1", "1,inf,1"])
def test_what_is_no_dial_is_none(text: str) -> None:
    assert parse(text, LAYERS) is None


def test_a_models_failure_is_said_and_can_be_tried_again(dashboard: Dashboard, source: str) -> None:
    dashboard.inventor.refuse["LoRA"] = "it has no weights."
    app = dashboard.settle(dashboard.open(PAGE, models=["LoRA"], look="dial", source=source))
    assert not app.exception
    assert "it has no weights." in words(app)
    dashboard.inventor.refuse.clear()
    app.button(key=Key.RETRY).click().run()
    assert "**LoRA, dialled**" in words(dashboard.settle(app))


def test_sliders_follow_an_address_that_changes_under_them(
    dashboard: Dashboard, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the browser's Back does; but not one that is only late behind a turn."""
    app = dashboard.open(PAGE, models=["LoRA"], look="dial", source=source)
    app.slider(key=slider_key(1)).set_value(0.35).run()
    app.query_params[Key.DIAL] = "0,0,0"
    app.run()
    assert dialled(app).dial.gains == (1.0, 0.35, 1.0), "the browser did not know of the turn yet"
    monkeypatch.setattr(causal_strip, "_LATE_S", 0.0)
    app.query_params[Key.DIAL] = "0,0,0"
    app.run()
    assert dialled(app).dial.gains == (0.0, 0.0, 0.0)
    assert [app.slider(key=slider_key(layer)).value for layer in range(LAYERS)] == [0.0] * LAYERS


@pytest.mark.parametrize(("key", "text"), [(Key.DIAL, "foo"), (Key.SPAN, "foo"), (Key.SPAN, "3-4")])
def test_what_the_address_gets_wrong_is_taken_out_of_it(dashboard: Dashboard, source: str, key: Key, text: str) -> None:
    """Or the address that a chart names would say what is not shown."""
    look = "dial" if key is Key.DIAL else "patching"
    address = {"models": ["LoRA"], "look": look, "source": source, "only": "clip3.wav", key.value: text}
    app = dashboard.open(PAGE, **address)
    assert not app.exception
    assert key not in app.query_params and app.toast


def test_a_span_is_of_one_clip_and_the_line_of_what_is_shown_says_it(dashboard: Dashboard, source: str) -> None:
    address = {"models": ["LoRA"], "look": "patching", "source": source, "span": "0.1-0.3"}
    app = dashboard.open(PAGE, only="clip3.wav", **address)
    assert "frames from 0.100 s to 0.300 s" in words(app) and "padding included" not in words(app)
    app = dashboard.open(PAGE, **address)
    assert asked().span is None and "A time span is of one clip alone" in words(app)
    assert "all frames, padding included" in words(app)
