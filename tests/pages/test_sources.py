"""The sidebar's clips: any source, a slice of it by session, speaker and emotion, and what is said of both."""

import re
import shlex
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core.cli.arguments import parse
from core.corpora.select import Slice, choose, parse_where
from core.corpora.source import list_source
from core.ui import context
from tests.corpora.trees import iemocap_tree
from tests.pages.conftest import Dashboard, chart, words

CLIP = "pages/1_Clip.py"


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A made-up IEMOCAP release as a source: five sessions, ten speakers, four classes."""
    return f"iemocap:{iemocap_tree(tmp_path_factory.mktemp('release'), per_class=2, seconds=0.2)}"


def expected(source: str, **where: str) -> list[str]:
    """Names that `python -m core clips --where` would list."""
    return [clip.name for clip in choose(list_source(source).clips, Slice(where))]


def offered(app: AppTest, key: str = "clip") -> list[str]:
    return app.selectbox(key=key).options


def pick(app: AppTest, **values: str | None) -> AppTest:
    for key, value in values.items():
        app.selectbox(key=key).set_value(value).run()
        assert not app.exception
    return app


def test_each_filter_narrows_what_comes_after_it(dashboard: Dashboard, release: str) -> None:
    app = dashboard.open(CLIP, source=release)
    assert offered(app) == expected(release)
    assert f"{len(expected(release))} clips" in words(app)
    assert offered(app, "session") == ["Ses01", "Ses02", "Ses03", "Ses04", "Ses05"]
    assert len(offered(app, "speaker")) == 10
    pick(app, session="Ses02")
    assert offered(app, "speaker") == ["Ses02F", "Ses02M"]
    assert offered(app) == expected(release, session="Ses02")
    pick(app, speaker="Ses02M", emotion="anger")
    kept = expected(release, session="Ses02", speaker="Ses02M", emotion="anger")
    assert offered(app) == kept
    assert all("_M0" in name for name in kept), "the speaker of a turn, not of its dialog"
    assert f"{len(kept)} of {len(expected(release))} clips" in words(app)
    pick(app, session=None, speaker=None)
    assert offered(app) == expected(release, emotion="anger")


def test_a_value_outside_the_narrower_slice_is_dropped_aloud(dashboard: Dashboard, release: str) -> None:
    app = pick(dashboard.open(CLIP, source=release), speaker="Ses02M", session="Ses03")
    assert "No clip here has speaker Ses02M" in words(app)
    assert offered(app) == expected(release, session="Ses03")
    assert "No clip here" not in words(app.run())


def test_an_address_brings_filters_and_clip(dashboard: Dashboard, release: str) -> None:
    where = {"session": "Ses01", "speaker": "Ses01M", "emotion": "happiness"}
    name = expected(release, **where)[-1]
    app = dashboard.settle(dashboard.open(CLIP, source=release, clip=name, **where))
    assert not app.exception
    assert {key: app.selectbox(key=key).value for key in where} == where
    assert offered(app) == expected(release, **where)
    assert app.selectbox(key="clip").value == name
    assert chart(app, "clip_lens")
    for page in app.get("page_link"):  # and the other pages keep them
        assert all(f"{key}={value}" in page.proto.query_string for key, value in where.items())


def test_an_address_with_unknown_values_still_works(dashboard: Dashboard, release: str) -> None:
    app = dashboard.open(CLIP, source=release, session="Ses09", speaker="Ses04F", emotion="boredom")
    assert not app.exception
    assert "No clip here has session Ses09" in words(app)
    assert "No clip here has emotion boredom" in words(app)
    assert offered(app) == expected(release, speaker="Ses04F")


def test_only_fields_the_source_knows_are_filters(dashboard: Dashboard, voices: Path, tmp_path: Path) -> None:
    for i, label in enumerate(("Angry", "sad")):
        (tmp_path / label).mkdir()
        (tmp_path / label / "one.wav").write_bytes((voices / f"clip{i}.wav").read_bytes())
    app = dashboard.open(CLIP, source=f"folder:{tmp_path}")
    assert {box.key for box in app.selectbox} & {"session", "speaker", "emotion"} == {"emotion"}
    assert offered(app, "emotion") == ["anger", "sadness"]  # by their canonical names
    assert offered(pick(app, emotion="anger")) == ["Angry/one.wav"]
    app = dashboard.open(CLIP, source="uploads", session="Ses01")
    assert not app.exception
    assert not {box.key for box in app.selectbox} & {"session", "speaker", "emotion"}


def test_another_source_begins_without_filters_and_clip(dashboard: Dashboard, release: str) -> None:
    name = expected(release, emotion="anger")[0]
    app = dashboard.settle(dashboard.open(CLIP, source=release, emotion="anger", session="Ses01", clip=name))
    pick(app, source="demo")
    assert [app.selectbox(key=key).value for key in ("session", "speaker", "emotion", "clip")] == [None] * 4
    assert offered(app) == expected("demo")
    assert "There is no clip" not in words(app)
    assert "is not among" not in words(app)


def test_a_clip_the_filters_leave_out_is_named_and_comes_back(dashboard: Dashboard, release: str) -> None:
    name = expected(release, emotion="anger")[0]
    app = dashboard.settle(dashboard.open(CLIP, source=release, clip=name))
    for _ in range(2):  # it stays said, whatever runs the page again
        pick(app, emotion="sadness")
        assert app.selectbox(key="clip").value is None
        assert f"{name} is not among" in words(app)
    app.button(key="filters_drop").click().run()
    app = dashboard.settle(app)
    assert app.selectbox(key="clip").value == name
    assert f"**{name.replace('_', chr(92) + '_')}**" in words(app)
    pick(app, emotion="sadness")
    app.button(key="clip_first").click().run()
    app = dashboard.settle(app)
    assert app.selectbox(key="clip").value == expected(release, emotion="sadness")[0]
    assert app.selectbox(key="emotion").value == "sadness"
    pick(app, emotion=None)
    assert app.selectbox(key="clip").value == expected(release, emotion="sadness")[0], "what was taken since stays"


def test_an_address_whose_filters_leave_its_clip_out_says_so(dashboard: Dashboard, release: str) -> None:
    name = expected(release, emotion="anger")[0]
    app = dashboard.open(CLIP, source=release, clip=name, emotion="neutral")
    assert not app.exception
    assert f"{name} is not among" in words(app)
    app = dashboard.open(CLIP, source=release, clip="Ses01F_impro99_F000", emotion="neutral")
    assert "There is no clip Ses01F_impro99_F000" in words(app)


def test_a_demo_clip_leaves_the_slice_behind(dashboard: Dashboard, release: str) -> None:
    app = pick(dashboard.open(CLIP, source=release), session="Ses01", emotion="anger")
    app.button(key="clip_demo").click().run()
    assert not app.exception
    assert app.selectbox(key="source").value == "demo"
    assert app.selectbox(key="clip").value
    assert len(offered(app)) == len(expected("demo"))


def test_what_is_known_of_the_clip_stands_with_it(dashboard: Dashboard, release: str) -> None:
    clip = next(clip for clip in list_source(release).clips if clip.transcript)
    app = dashboard.settle(dashboard.open(CLIP, source=release, clip=clip.name))
    line = next(line.value for line in app.markdown if line.value.startswith("<small>"))
    for fact in (clip.label, clip.speaker, clip.session):
        assert f" · {fact}" in line
    assert any(clip.transcript.rstrip("?.!") in caption.value for caption in app.caption)


def test_the_command_names_the_clip(dashboard: Dashboard, release: str) -> None:
    """The page's twin finds the one clip, by its name in the source."""
    name = expected(release)[3]
    app = dashboard.settle(dashboard.open(CLIP, source=release, clip=name, session="Ses01"))
    command = next(code.value for code in app.code if "core analyze lens" in code.value)
    asked = parse(shlex.split(command)[3:])
    found = choose(list_source(asked.clips).clips, Slice(parse_where(asked.where)))
    assert [clip.name for clip in found] == [name]


def test_notes_of_the_reader_are_folded_away(dashboard: Dashboard, release: str) -> None:
    notes = list_source(release).notes
    assert notes
    app = dashboard.open(CLIP, source=release)
    assert all(f"- {note}" in words(app) for note in notes)
    assert not any(note in alert.value for note in notes for alert in (*app.warning, *app.info, *app.error))


@pytest.mark.parametrize("source", ["iemocap:/no/such/place", "folder:/no/such/place", "nonsense:x", "/no/such.wav"])
@pytest.mark.parametrize("page", ["", CLIP])
def test_a_source_that_cannot_be_listed_is_named_by_its_reader(dashboard: Dashboard, page: str, source: str) -> None:
    with pytest.raises(Exception, match=re.escape(source.partition(":")[2] or source)) as reason:
        list_source(source)
    app = dashboard.open(page, source=source, session="Ses01")
    assert not app.exception
    assert str(reason.value) in [error.value for error in app.error]
    assert app.segmented_control(key="variant").value == "published"  # the rest stays
    pick(app, source="demo")
    assert not app.error


def test_a_listing_is_made_once(dashboard: Dashboard, release: str) -> None:
    """Thousands of clips are neither listed nor copied for every click."""
    pick(dashboard.open(CLIP, source=release), session="Ses01", emotion="anger")
    assert context.listing(release) is context.listing(release)
