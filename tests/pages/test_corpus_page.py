"""A page about many clips, on the Contributions page: states, addresses, uploads, and the command that repeats it."""

import shlex
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from core.audio.waveform import Waveform
from core.cli.arguments import parse
from core.corpora.clip import Clip
from core.corpora.select import Slice, choose, parse_where
from core.corpora.source import list_source
from core.engine.build import local_engine, worker_config
from core.settings import settings
from core.studies.study import State, Study
from core.ui import context
from core.ui.clips import upload_label
from tests.cli.command import lorascope, rows
from tests.conftest import save_sound
from tests.corpora.trees import iemocap_tree
from tests.pages import conftest
from tests.pages.conftest import Dashboard, chart, words
from tests.pages.test_clip_page import numbers

PAGE = "pages/2_Contributions.py"
MODELS = ["Frozen", "LoRA", "Wide"]  # the first group of the registry
CLIPS = 8


def study() -> Study:
    """What was asked last."""
    return list(context.board()._pinned.values())[-1].study


def open_voices(dashboard: Dashboard, voices: Path, **more: str | list[str]) -> AppTest:
    return dashboard.open(PAGE, source=f"folder:{voices}", **more)


def keys(app: AppTest) -> set[str | None]:
    return {button.key for button in app.button}


def command(app: AppTest) -> list[str]:
    return shlex.split(next(code.value for code in app.code if "core analyze contributions" in code.value))


def address(app: AppTest) -> dict[str, list[str]]:
    return parse_qs(urlsplit(next(code.value for code in app.code if code.value.startswith("http"))).query)


# States


def test_opened_first_it_asks_for_the_demos_balanced_sample(dashboard: Dashboard) -> None:
    app = dashboard.settle(dashboard.open(PAGE))
    assert not app.exception
    assert app.number_input(key="balanced").value == 25
    assert study().question.size == 100 and study().now.state is State.DONE
    assert len({clip.speaker for clip in study().now.clips}) == 10
    assert "100 clips of 10 speakers" in words(app) and "25 per class, seed 0" in words(app)
    assert "Synthetic demo" in words(app)


def test_without_a_model_it_offers_the_usual_ones(dashboard: Dashboard, voices: Path) -> None:
    app = dashboard.settle(open_voices(dashboard, voices))
    app.multiselect(key="models").set_value([]).run()
    assert not app.exception
    assert "Choose at least one model" in words(app)
    assert not app.get("plotly_chart")
    app.button[-1].click().run()
    app = dashboard.settle(app)
    assert app.multiselect(key="models").value == MODELS
    assert chart(app, "contributions")


def test_the_frame_is_there_while_the_models_listen_and_nothing_jumps(dashboard: Dashboard, voices: Path) -> None:
    dashboard.inventor.gate.clear()
    app = open_voices(dashboard, voices)
    assert not app.exception
    assert "The models are listening" in words(app)
    assert "cancel" in keys(app) and "continue" not in keys(app)
    cold = {key: chart(app, key)["layout"]["height"] for key in ("contributions", "norms", "padded")}
    dashboard.inventor.gate.set()
    app = dashboard.settle(app)
    assert not app.exception
    assert {key: chart(app, key)["layout"]["height"] for key in cold} == cold
    assert "listening" not in words(app) and "so far" not in words(app)
    assert not keys(app) & {"cancel", "continue", "retry"}
    assert f"{CLIPS} clips of 2 speakers" in words(app)
    assert sorted(dashboard.inventor.seen) == sorted(MODELS * CLIPS)


def test_the_lines_are_the_studys_numbers(dashboard: Dashboard, voices: Path) -> None:
    app = dashboard.settle(open_voices(dashboard, voices))
    table = study().now.tables[""]["contributions"]
    expected = [
        table.curve(model=model, versus=versus, component=component, statistic="relative").value
        for component in ("attention", "mlp", "sum")
        for model in MODELS
        for versus in (None, "Frozen")
    ]
    drawn = [numbers(trace["y"]) for trace in chart(app, "contributions")["data"] if trace.get("mode") != "none"]
    for values in expected:
        if values.size:
            assert any(len(line) == len(values) and np.allclose(line, values) for line in drawn)


def test_a_cancelled_study_says_so_and_goes_on(dashboard: Dashboard, voices: Path) -> None:
    dashboard.inventor.gate.clear()
    app = open_voices(dashboard, voices)
    app.button(key="cancel").click().run()
    app = _ended(app)
    assert not app.exception
    assert study().now.state is State.CANCELLED
    assert "Cancelled after" in words(app) and "listening" not in words(app)
    assert "cancel" not in keys(app)
    app = open_voices(dashboard, voices)  # another tab sees the same
    assert "Cancelled after" in words(app)
    dashboard.inventor.gate.set()
    app.button(key="continue").click().run()
    app = dashboard.settle(app)
    assert not app.exception
    assert study().now.state is State.DONE
    assert "Cancelled" not in words(app) and "continue" not in keys(app)
    assert sorted(dashboard.inventor.seen) == sorted(MODELS * CLIPS), "nothing is done twice"


def _ended(app: AppTest) -> AppTest:
    conftest.until(lambda: not study().now.active)
    return app.run()


def test_what_failed_is_named_and_can_be_tried_again(dashboard: Dashboard, voices: Path) -> None:
    dashboard.inventor.refuse = {"LoRA": "it is cursed."}
    app = dashboard.settle(open_voices(dashboard, voices))
    assert not app.exception
    assert f"{CLIPS} passes could not be made. The first: **LoRA**, it is cursed." in words(app)
    assert chart(app, "contributions")
    dashboard.inventor.refuse = {}
    app.button(key="retry").click().run()
    app = dashboard.settle(app)
    assert "could not be made" not in words(app)
    assert study().now.tables[""]["contributions"].curve(model="LoRA", versus=None).n == CLIPS


def test_where_nothing_can_be_done_it_says_why(dashboard: Dashboard, voices: Path) -> None:
    dashboard.inventor.refuse = dict.fromkeys(MODELS, "it is cursed.")
    app = dashboard.settle(open_voices(dashboard, voices))
    assert not app.exception
    assert [error.value for error in app.error] == ["None of the 24 passes could be made; the first: it is cursed."]
    assert "retry" in keys(app) and "listening" not in words(app)


def test_clips_that_can_not_be_read_are_named(dashboard: Dashboard, voices: Path, tmp_path: Path) -> None:
    for i in range(2):
        save_sound(tmp_path / "some" / f"{i}.wav", 0.4, i)
    (tmp_path / "some" / "broken.wav").write_bytes(b"no sound")
    app = dashboard.settle(dashboard.open(PAGE, source=f"folder:{tmp_path / 'some'}"))
    assert not app.exception
    assert "1 clip can't be used (broken.wav)" in words(app)
    assert study().now.state is State.DONE and len(study().now.clips) == 2


def test_a_source_that_vanished_is_said(dashboard: Dashboard, tmp_path: Path) -> None:
    app = dashboard.open(PAGE, source=f"folder:{tmp_path / 'nowhere'}")
    assert not app.exception
    assert app.error and all("nowhere" in error.value for error in app.error)


def test_a_model_over_another_encoder_stands_beside_the_others(dashboard: Dashboard, voices: Path) -> None:
    app = dashboard.settle(open_voices(dashboard, voices, models=["Frozen", "Full"]))
    assert not app.exception
    assert study().now.state is State.DONE


# Addresses


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Five sessions, ten speakers, four classes, so that there are folds."""
    return f"iemocap:{iemocap_tree(tmp_path_factory.mktemp('release'), per_class=2, seconds=0.2)}"


def test_an_address_reproduces_controls_clips_and_command(dashboard: Dashboard, release: str) -> None:
    said = {"balanced": "1", "seed": "3", "by": "emotion", "fold": "fold4", "variant": "corrected", "frames": "audio"}
    said |= {"statistic": "cosine", "component": "attention"}
    app = dashboard.settle(dashboard.open(PAGE, source=release, models=MODELS[:2], reference="LoRA", **said))
    assert not app.exception
    assert (app.number_input(key="balanced").value, app.number_input(key="seed").value) == (1, 3)
    assert {key: app.selectbox(key=key).value for key in ("by", "fold", "reference")} == {
        "by": "emotion",
        "fold": "fold4",
        "reference": "LoRA",
    }
    assert [app.segmented_control(key=key).value for key in ("variant", "statistic", "component")] == [
        "corrected",
        "cosine",
        "attention",
    ]
    expected = choose(list_source(release).clips, Slice({"fold": "fold4"}, balanced=1, seed=3))
    assert [clip.name for clip in study().now.clips] == [clip.name for clip in expected]
    assert list(study().now.tables) == ["anger", "happiness", "neutral", "sadness"]

    asked = parse(command(app)[3:])
    assert (asked.what, asked.models, asked.reference) == ("contributions", "Frozen,LoRA", "LoRA")
    assert (asked.variant, asked.frames, asked.by, asked.seed) == ("corrected", "audio", "emotion", 3)
    found = choose(
        list_source(asked.clips).clips, Slice(parse_where(asked.where), asked.balanced, asked.limit, asked.seed)
    )
    assert found == expected
    again = dashboard.settle(dashboard.open(PAGE, **address(app)))
    assert command(again) == command(app) and address(again) == address(app)
    assert len(context.board()._pinned) == 1, "the same question"


def test_one_clip_alone(dashboard: Dashboard, voices: Path) -> None:
    app = dashboard.settle(open_voices(dashboard, voices, only="clip3.wav", balanced="2", by="emotion"))
    assert not app.exception
    assert app.selectbox(key="only").value == "clip3.wav"
    assert [clip.name for clip in study().now.clips] == ["clip3.wav"] and set(study().now.tables) == {""}
    asked = parse(command(app)[3:])
    found = choose(list_source(asked.clips).clips, Slice(parse_where(asked.where), asked.balanced, asked.limit))
    assert [clip.name for clip in found] == ["clip3.wav"] and asked.by is None
    assert "1 clip of 1 speaker" in words(app)


def test_a_fold_names_the_speaker_it_tests(dashboard: Dashboard, release: str) -> None:
    app = dashboard.open(PAGE, source=release)
    assert app.selectbox(key="fold").options == [f"fold{i}" for i in range(1, 11)]
    app.selectbox(key="fold").select("fold3").run()
    app = dashboard.settle(app)
    assert not app.exception
    assert {clip.speaker for clip in study().now.clips} == {"Ses02F"}
    assert "fold3 tests Ses02F" in words(app) and "only fold3" in words(app)


@pytest.mark.parametrize(
    "said",
    [{"balanced": "-3"}, {"balanced": "many"}, {"seed": "1.5"}, {"by": "nonsense"}, {"by": "correct:Nobody"}],
)
def test_an_address_that_makes_no_sense_still_shows_something(
    dashboard: Dashboard, voices: Path, said: dict[str, str]
) -> None:
    app = open_voices(dashboard, voices, **said)
    assert not app.exception
    app = dashboard.settle(app)
    assert study().now.state is State.DONE and study().question.by is None
    assert chart(app, "contributions")


def test_links_to_other_pages_keep_the_sample(dashboard: Dashboard, voices: Path) -> None:
    app = open_voices(dashboard, voices, balanced="1", seed="7", by="session", emotion="anger")
    links = {link.proto.page: parse_qs(link.proto.query_string) for link in app.get("page_link")}
    assert {"Clip", "Lens", "Spectra", "Similarity"} <= links.keys()
    for page, query in links.items():
        assert {key: query.get(key) for key in ("balanced", "seed", "by", "emotion")} == {
            "balanced": ["1"],
            "seed": ["7"],
            "by": ["session"],
            "emotion": ["anger"],
        }, page
    clip_page = dashboard.open("pages/1_Clip.py", **links["Clip"])  # which shows none of it, and passes it on
    for link in clip_page.get("page_link"):
        assert parse_qs(link.proto.query_string)["balanced"] == ["1"]
        assert parse_qs(link.proto.query_string)["seed"] == ["7"]
    back = dashboard.settle(dashboard.open(PAGE, **links["Contributions"]))
    assert (back.number_input(key="balanced").value, back.number_input(key="seed").value) == (1, 7)
    assert study().question.by == "session"


# Uploads


def upload(seconds: float, seed: int) -> Clip:
    samples = np.random.default_rng(seed).standard_normal(round(16_000 * seconds)).astype(np.float32) * 0.1
    return context.uploads().add(Waveform(samples, 16_000, 1, ()), f"voice {seed}.wav")


def test_nothing_uploaded_yet_leads_to_the_clip_page(dashboard: Dashboard) -> None:
    app = dashboard.open(PAGE, source="uploads")
    assert not app.exception
    assert "Nothing was uploaded or recorded yet" in words(app)
    assert "To the Clip page" in [link.proto.label for link in app.get("page_link")]
    assert not app.get("plotly_chart")


def test_all_uploads_or_one_alone(dashboard: Dashboard) -> None:
    first, second = upload(0.6, 1), upload(0.8, 2)
    app = dashboard.settle(dashboard.open(PAGE, source="uploads"))
    assert not app.exception
    assert {clip.clip_id for clip in study().now.clips} == {first.clip_id, second.clip_id}
    assert study().now.tables[""]["contributions"].curve(model="LoRA", versus=None).n == 2
    assert not [code for code in app.code if "core analyze" in code.value]
    assert "press “Keep this clip”" in words(app)
    app.selectbox(key="only").select(upload_label(first)).run()
    app = dashboard.settle(app)
    assert not app.exception
    assert [clip.clip_id for clip in study().now.clips] == [first.clip_id]
    assert len(dashboard.inventor.seen) == 2 * len(MODELS), "the passes were there"
    context.uploads().keep(first.clip_id)
    asked = parse(command(app.run())[3:])
    (kept,) = list_source(asked.clips).clips
    assert context.identified(kept).clip_id == first.clip_id


def test_an_upload_whose_sound_is_gone_is_shown_from_its_records(dashboard: Dashboard) -> None:
    clip = upload(0.6, 1)
    dashboard.settle(dashboard.open(PAGE, source="uploads", only=upload_label(clip)))
    before = list(study().now.tables[""]["contributions"].rows())
    seen = len(dashboard.inventor.seen)
    context.uploads().__init__(4, settings().cache_dir / "uploads")  # type: ignore[misc]  # as after a restart
    context.board().forget(study().question)
    app = dashboard.settle(dashboard.open(PAGE, source="uploads", only=upload_label(clip)))
    assert not app.exception and not app.error and not app.warning
    assert app.selectbox(key="only").value == upload_label(clip)
    assert list(study().now.tables[""]["contributions"].rows()) == before
    assert len(dashboard.inventor.seen) == seen
    gone = upload_label(Clip("f" * 64, "never.wav", 16_000))
    app = dashboard.open(PAGE, source="uploads", only=gone)
    assert not app.exception
    assert ["was not kept" in error.value for error in app.error] == [True]


# The command


@pytest.fixture
def real(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_thread: None) -> Iterator[Dashboard]:
    """The dashboard over the demo, with its models in this process."""
    from core.engine.runner import Runner

    monkeypatch.setenv("LORASCOPE_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("LORASCOPE_DEVICE", "cpu")
    monkeypatch.delenv("LORASCOPE_REGISTRY", raising=False)
    conftest.forget()
    runner = Runner(worker_config(settings()))
    engine = local_engine(settings(), context.store(), context.reader(), runner)
    monkeypatch.setattr(context, "local_engine", lambda *_, **__: engine)
    yield Dashboard(conftest.Inventor(context.store()), engine)
    conftest.close(engine)


@pytest.mark.parametrize("by", [None, "speaker"])
def test_the_command_gives_the_pages_numbers(real: Dashboard, tmp_path: Path, by: str | None) -> None:
    """Word for word as it stands on the page, in another directory and with a cache of its own."""
    said: dict[str, str | list[str]] = {"models": ["Frozen", "LoRA r=8"], "balanced": "1", "seed": "5"}
    said |= {"fold": "fold3"} if by is None else {"session": "Ses02", "by": by}
    app = real.settle(real.open(PAGE, variant="corrected", **said))
    assert not app.exception and study().now.state is State.DONE
    place = tmp_path / "elsewhere"
    place.mkdir()
    words_ = command(app)
    assert words_[:3] == ["python", "-m", "core"]
    answer = lorascope(*words_[3:], cwd=place, LORASCOPE_CACHE_DIR=str(tmp_path / "other cache"))
    assert (answer.code, answer.err) == (0, "")
    tables = study().now.tables
    assert list(tables) == ([""] if by is None else ["Ses02F", "Ses02M"])
    for group, of in tables.items():
        written = rows(place / "out" / group / "contributions.csv")
        shown = list(of["contributions"].rows())
        assert len(written) == len(shown) > 50
        for theirs, ours in zip(written, shown, strict=True):
            for name, cell in theirs.items():
                value = getattr(ours, name)
                if name in ("value", "ci_low", "ci_high") and cell:
                    assert float(cell) == pytest.approx(value, rel=1e-4, abs=1e-5)
                else:
                    assert cell == ("" if value is None else str(value))
