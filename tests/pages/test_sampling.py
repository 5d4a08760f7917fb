"""The sidebar's sample: which controls a source gets, what they are set to, and how they split its clips."""

import time
from pathlib import Path

from streamlit.testing.v1 import AppTest

from core.corpora.source import Listed
from core.studies.study import State
from core.ui import context
from tests.conftest import save_sound
from tests.pages.conftest import Dashboard, words
from tests.pages.test_corpus_page import MODELS, PAGE, command, open_voices, study


def numbers(app: AppTest) -> dict[str | None, int]:
    return {number.key: number.value for number in app.number_input}


def asked(dashboard: Dashboard, app: AppTest) -> list[str]:
    """Names of the clips that the page asks about."""
    app = dashboard.settle(app)
    assert not app.exception and study().now.state is State.DONE
    return [clip.name for clip in study().now.clips]


def test_a_source_without_labels_takes_the_first_so_many(dashboard: Dashboard, tmp_path: Path) -> None:
    for i in range(5):
        save_sound(tmp_path / "bare" / f"{i}.wav", 0.3, i)
    app = dashboard.open(PAGE, source=f"folder:{tmp_path / 'bare'}", limit="3")
    assert numbers(app) == {"limit": 3, "seed": 0}
    assert app.selectbox(key="by").options == []
    assert asked(dashboard, app) == ["0.wav", "1.wav", "2.wav"]
    words_ = command(app)
    assert words_[words_.index("--limit") + 1] == "3" and "--balanced" not in words_
    app.number_input(key="limit").set_value(0).run()
    assert len(asked(dashboard, app)) == 5
    assert "--limit" not in command(app)


def test_a_labelled_source_takes_so_many_of_each_class(dashboard: Dashboard, voices: Path) -> None:
    app = open_voices(dashboard, voices)
    assert numbers(app) == {"balanced": 25, "seed": 0}
    assert len(asked(dashboard, app)) == 8
    app.number_input(key="balanced").set_value(1).run()
    first = asked(dashboard, app)
    assert sorted(clip.label or "" for clip in study().now.clips) == ["anger", "happiness", "neutral", "sadness"]
    drawn = {tuple(first)}
    for seed in range(1, 5):
        app.number_input(key="seed").set_value(seed).run()
        drawn.add(tuple(asked(dashboard, app)))
    assert len(drawn) > 1, "another seed draws others"
    app.number_input(key="seed").set_value(0).run()
    assert asked(dashboard, app) == first, "and the same seed the same"
    app.number_input(key="balanced").set_value(0).run()
    assert len(asked(dashboard, app)) == 8
    assert "--balanced" not in command(app)


def test_clips_are_split_by_what_they_differ_in(dashboard: Dashboard, voices: Path) -> None:
    app = open_voices(dashboard, voices)
    right = [f"correct:{name}" for name in MODELS]
    assert app.selectbox(key="by").options == ["emotion", "speaker", "session", *right]
    app = open_voices(dashboard, voices, speaker="S0")
    assert app.selectbox(key="by").options == ["emotion", "session", *right]
    app.selectbox(key="by").select("session").run()
    asked(dashboard, app)
    assert list(study().now.tables) == ["one", "two"]
    app.selectbox(key="speaker").select("S1").run()
    asked(dashboard, app)
    assert list(study().now.tables) == ["one", "two"] and {clip.speaker for clip in study().now.clips} == {"S1"}


def test_a_split_by_a_model_that_is_taken_away_is_off(dashboard: Dashboard, voices: Path) -> None:
    app = open_voices(dashboard, voices, by="correct:Wide")
    asked(dashboard, app)
    assert set(study().now.tables) <= {"right", "wrong"}
    app.multiselect(key="models").set_value(MODELS[:2]).run()
    assert not app.exception
    asked(dashboard, app)
    assert set(study().now.tables) == {""} and app.selectbox(key="by").value is None
    overview = dashboard.open(source=f"folder:{voices}", by="correct:Nobody")
    assert "These clips can't be split by correct:Nobody" in words(overview)


def test_a_clip_that_the_slice_does_not_hold_is_said(dashboard: Dashboard, voices: Path) -> None:
    overview = dashboard.open(source=f"folder:{voices}", only="clip1.wav", speaker="S0")
    assert "There is no clip clip1.wav" in words(overview)
    assert len(asked(dashboard, open_voices(dashboard, voices, only="clip1.wav", speaker="S0"))) == 4


def test_another_source_begins_with_all_its_clips(dashboard: Dashboard, voices: Path) -> None:
    app = open_voices(dashboard, voices, only="clip1.wav")
    assert asked(dashboard, app) == ["clip1.wav"]
    app.selectbox(key="source").select("demo").run()
    assert app.selectbox(key="only").value is None and "There is no clip" not in words(app)
    assert len(asked(dashboard, app)) == 100


def test_the_clip_page_has_none_of_it_and_the_overview_has(dashboard: Dashboard, voices: Path) -> None:
    assert not numbers(dashboard.open("pages/1_Clip.py", source=f"folder:{voices}"))
    overview = dashboard.open(source=f"folder:{voices}", balanced="2", seed="9")
    assert numbers(overview) == {"balanced": 2, "seed": 9}
    assert not dashboard.engine.jobs(), "and computes nothing"


def test_thousands_of_clips_do_not_slow_down_every_click(tmp_path: Path) -> None:
    """Whether their files changed is looked up once in a while; in between it is known at once."""
    listed = tuple(Listed(f"clip {i}", tmp_path / f"{i}.wav", "anger", f"S{i % 10}") for i in range(5500))
    first = context.stamp(listed)
    begun = time.process_time()
    assert context.stamp(listed) == first
    assert time.process_time() - begun < 0.15
    save_sound(tmp_path / "0.wav", 0.1, 0)
    context.stamp.clear()  # as after its time
    assert context.stamp(listed) != first
    assert context.stamp(listed[1:]) != context.stamp(listed)
