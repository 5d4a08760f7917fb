"""The Lens page: its clips behind a point, its address, and what it says of clips without labels."""

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import parse_qs

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from core.audio.waveform import Waveform
from core.ui import context
from core.ui.clips import upload_label
from tests.conftest import save_sound
from tests.pages.conftest import Dashboard, chart, words

PAGE = "pages/3_Lens.py"
MODELS = ["Frozen", "LoRA", "Wide"]


def settled(dashboard: Dashboard, **address: str | Sequence[str]) -> AppTest:
    app = dashboard.settle(
        dashboard.open(PAGE, **{k: v if isinstance(v, str) else list(v) for k, v in address.items()})
    )
    assert not app.exception
    return app


def links_to_clips(app: AppTest) -> dict[str, dict[str, list[str]]]:
    """Labels of the listed clips' links, and what their addresses hold."""
    found = [one.proto for one in app.get("page_link") if one.proto.label.startswith("clip")]
    assert all(one.page == "Clip" for one in found)
    return {one.label: parse_qs(one.query_string) for one in found}


def test_everything_is_there_once_the_models_have_heard_the_clips(dashboard: Dashboard, voices: Path) -> None:
    app = settled(dashboard, source=f"folder:{voices}", balanced="0")
    for key in ("lens", "trajectories", "convergence"):
        assert any(trace.get("mode") == "lines+markers" and trace["y"] for trace in chart(app, key)["data"])
    assert "Lens UAR at the last point, minus Frozen's" in words(app)
    assert "8 clips by the probability of the label at point 3 of Wide." in words(app)
    found = links_to_clips(app)
    assert sorted(found) == [f"clip{i}.wav" for i in range(8)]
    assert found["clip5.wav"]["clip"] == ["clip5.wav"] and found["clip5.wav"]["models"] == MODELS
    assert found["clip5.wav"]["source"] == [f"folder:{voices}"]


def test_the_address_chooses_the_clips(dashboard: Dashboard, voices: Path) -> None:
    """A shared link must open the very list that its sender saw."""
    address = {"by": "emotion", "group": "sadness", "clips_model": "LoRA", "clips_point": "1", "curve": "UAR"}
    app = settled(dashboard, source=f"folder:{voices}", balanced="0", **address)
    assert "2 sadness clips by the probability of the label at point 1 of LoRA." in words(app)
    assert sorted(links_to_clips(app)) == ["clip3.wav", "clip7.wav"]
    groups = {trace["legendgroup"] for trace in chart(app, "lens")["data"]}
    assert groups == {"anger", "happiness", "neutral", "sadness"}


@pytest.mark.parametrize("point", ["9", "-1", "x"])
def test_an_address_that_makes_no_sense_still_shows_clips(dashboard: Dashboard, voices: Path, point: str) -> None:
    app = settled(dashboard, source=f"folder:{voices}", balanced="0", clips_model="gone", clips_point=point)
    assert "8 clips by the probability of the label" in words(app)


def test_a_shallower_model_has_fewer_points(dashboard: Dashboard, voices: Path) -> None:
    """What was chosen for another model must not point past this one's end."""
    app = settled(dashboard, source=f"folder:{voices}", balanced="0")
    app.session_state["clips_point"] = 99
    assert "at point 3 of Wide" in words(app.run())


def test_without_labels_clips_go_by_kl(dashboard: Dashboard, tmp_path: Path) -> None:
    for i in range(3):
        save_sound(tmp_path / "plain" / f"clip{i}.wav", 0.5, i)
    app = settled(dashboard, source=f"folder:{tmp_path / 'plain'}")
    assert "3 clips by KL to the model's own answer (no labels)" in words(app)
    assert "These clips have no labels" in words(app)
    notes = [note["text"] for note in chart(app, "lens")["layout"]["annotations"]]
    assert notes.count("no labels") == 2


def test_an_upload_is_linked_by_its_whole_id(dashboard: Dashboard) -> None:
    """Its name alone would not find it."""
    tone = (0.3 * np.sin(np.arange(9600) / 10)).astype(np.float32)
    clip = context.uploads().add(Waveform(tone, 16_000, 1, ()), "clip of mine.wav")
    found = links_to_clips(settled(dashboard, source="uploads"))
    assert found["clip of mine.wav"]["clip"] == [upload_label(clip)]


def test_one_clip_alone(dashboard: Dashboard, voices: Path) -> None:
    app = settled(dashboard, source=f"folder:{voices}", only="clip2.wav")
    assert list(links_to_clips(app)) == ["clip2.wav"]
    assert "**The only one**" in words(app) and "**Best**" not in words(app)
    boxes = [trace for trace in chart(app, "convergence")["data"] if trace["type"] == "box"]
    assert len(boxes) == len(MODELS)
    assert np.isfinite(chart(app, "convergence")["layout"]["height"])
