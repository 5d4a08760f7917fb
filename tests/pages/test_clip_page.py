"""The Clip page: states, variants, addresses."""

import base64
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from core.analyses.lens import own_prediction, trajectory
from core.analyses.stored import StoredRecords
from core.audio.waveform import Waveform
from core.corpora.clip import Clip
from core.figures.clip import FORMULA
from core.store.key import Precision
from core.ui import context
from core.ui.clip_states import weighted_note
from core.ui.clips import upload_label
from tests.analyses.fabricate import make_model
from tests.pages.conftest import Dashboard, chart, words

CLIP = "pages/1_Clip.py"
MODELS = ["Frozen", "LoRA", "Wide"]  # the first group of the registry


def numbers(values: object) -> np.ndarray:
    """A trace's values, which Plotly sends as base64 where they were an array."""
    if isinstance(values, dict):
        return np.frombuffer(base64.b64decode(values["bdata"]), dtype=values["dtype"])
    return np.array(values, dtype=float)


def lines(app: AppTest) -> list[dict]:
    return [trace for trace in chart(app, "clip_lens")["data"] if trace["mode"] == "lines+markers"]


def open_voice(dashboard: Dashboard, voices: Path, name: str = "clip1.wav", **more: str | list[str]) -> AppTest:
    app = dashboard.open(CLIP, source=f"folder:{voices}", clip=name, **more)
    return dashboard.settle(app)


def test_opened_first_it_says_what_to_do_and_a_button_does_it(dashboard: Dashboard) -> None:
    app = dashboard.open(CLIP)
    assert not app.exception
    assert "Upload a voice" in words(app)
    assert app.multiselect(key="models").value == MODELS
    app.button(key="clip_demo").click().run()
    app = dashboard.settle(app)
    assert not app.exception
    assert app.selectbox(key="clip").value
    assert len(lines(app)) == 3 * 4


def test_the_charts_frame_is_there_before_the_models_are(dashboard: Dashboard, voices: Path) -> None:
    dashboard.inventor.run = lambda batch: [None] * len(batch.passes)  # type: ignore[method-assign]  # writes nothing
    app = dashboard.open(CLIP, source=f"folder:{voices}", clip="clip1.wav")
    figure = chart(app, "clip_lens")
    assert "still to come" in words(app)
    assert all(np.isnan(numbers(line["y"])).all() for line in figure["data"])
    assert sum(note["text"] == "computing …" for note in figure["layout"]["annotations"]) == 3
    height = figure["layout"]["height"]
    del dashboard.inventor.run
    app.run()
    app = dashboard.settle(app)
    assert chart(app, "clip_lens")["layout"]["height"] == height
    assert "still to come" not in words(app)


@pytest.mark.parametrize("variant", ["published", "released", "corrected"])
@pytest.mark.parametrize("frames", ["all", "audio"])
def test_the_address_chooses_variant_and_frames_and_the_lines_are_the_records(
    dashboard: Dashboard, voices: Path, variant: str, frames: str
) -> None:
    app = open_voice(dashboard, voices, variant=variant, frames=frames)
    assert not app.exception
    assert app.segmented_control(key="variant").value == variant
    assert app.segmented_control(key="frames").value == frames
    clip = context.identified(context.listing(f"folder:{voices}").clips[1])
    records = StoredRecords(context.store(), Precision())
    drawn = iter(lines(app))
    for model in context.models().models[:3]:
        record = records.forward(model, clip)
        assert record is not None
        expected = trajectory(record, variant, frames)
        for c, name in enumerate(model.labels):
            line = next(drawn)
            assert name in line["name"]
            np.testing.assert_allclose(numbers(line["y"]), expected[:, c], atol=1e-12)
        best = int(own_prediction(record).argmax())
        assert f"**{model.labels[best]}**" in words(app)
    formulas = [element.value.strip("$\n") for element in app.get("latex")] or [m.value for m in app.markdown]
    assert any(FORMULA["kl_curves"][variant] in text for text in formulas)


def test_a_variant_takes_its_usual_frames_along(dashboard: Dashboard, voices: Path) -> None:
    app = open_voice(dashboard, voices)
    assert app.segmented_control(key="frames").value == "all"
    app.segmented_control(key="variant").set_value("corrected").run()
    assert app.segmented_control(key="frames").value == "audio"
    app.segmented_control(key="variant").set_value("published").run()
    assert app.segmented_control(key="frames").value == "all"


def test_another_variant_computes_nothing_again(dashboard: Dashboard, voices: Path) -> None:
    app = open_voice(dashboard, voices)
    app.segmented_control(key="variant").set_value("corrected").run()
    assert dashboard.inventor.seen == MODELS


def test_a_model_that_fails_says_why_and_the_others_stay(dashboard: Dashboard, voices: Path) -> None:
    dashboard.inventor.refuse["LoRA"] = "it does not fit into memory."
    app = open_voice(dashboard, voices)
    assert not app.exception
    assert "it does not fit into memory." in words(app)
    values = [np.isfinite(numbers(line["y"])).all() for line in lines(app)]
    assert values == [True] * 4 + [False] * 4 + [True] * 4
    dashboard.settle(app)
    assert dashboard.inventor.seen == MODELS  # nobody asks again by himself
    del dashboard.inventor.refuse["LoRA"]
    app.button(key="retry").click().run()
    app = dashboard.settle(app)
    assert dashboard.inventor.seen == [*MODELS, "LoRA"]
    assert "does not fit" not in words(app)


def test_a_damaged_record_is_made_again_by_itself(dashboard: Dashboard, voices: Path) -> None:
    app = open_voice(dashboard, voices)
    assert len(dashboard.inventor.seen) == 3
    record = next(context.store().directory.glob("records/*/*.safetensors"))
    data = bytearray(record.read_bytes())
    data[-1] ^= 1
    record.write_bytes(data)
    app = dashboard.settle(app.run())
    assert not app.exception
    assert len(dashboard.inventor.seen) == 4
    assert all(np.isfinite(numbers(line["y"])).all() for line in lines(app))


def test_a_clip_that_is_not_there_is_named(dashboard: Dashboard, voices: Path) -> None:
    app = dashboard.open(CLIP, source=f"folder:{voices}", clip="gone.wav")
    assert not app.exception
    assert "There is no clip gone.wav" in words(app)


def test_a_source_that_is_not_there_is_named(dashboard: Dashboard) -> None:
    app = dashboard.open(CLIP, source="folder:/no/such/place")
    assert not app.exception
    assert "There is no folder /no/such/place" in words(app)


def test_another_source_starts_without_a_clip(dashboard: Dashboard, voices: Path) -> None:
    app = open_voice(dashboard, voices)
    app.selectbox(key="source").set_value("uploads").run()
    assert not app.exception
    assert app.selectbox(key="clip").value is None


def upload(seconds: float) -> Clip:
    """Take a sound as the uploader would."""
    samples = np.random.default_rng(round(100 * seconds)).normal(0, 0.1, round(16_000 * seconds)).astype(np.float32)
    return context.uploads().add(Waveform(samples, 16_000, 1), "voice.wav")


def test_an_upload_whose_sound_is_gone_still_shows_its_curves(dashboard: Dashboard) -> None:
    clip = upload(0.5)
    app = dashboard.open(CLIP, source="uploads", clip=upload_label(clip))
    shown = [numbers(line["y"]) for line in lines(dashboard.settle(app))]
    context.uploads.clear()
    context.sound.clear()
    app = dashboard.open(CLIP, source="uploads", clip=upload_label(clip))
    assert not app.exception
    assert "The audio of this clip was not kept" in words(app)
    np.testing.assert_array_equal(shown, [numbers(line["y"]) for line in lines(app)])
    assert len(dashboard.inventor.seen) == 3


def test_an_id_alone_finds_an_upload_too(dashboard: Dashboard) -> None:
    clip = upload(0.6)
    app = dashboard.settle(dashboard.open(CLIP, source="uploads", clip=clip.clip_id))
    assert not app.exception
    assert len(lines(app)) == 12


def test_an_upload_nobody_knows_says_so(dashboard: Dashboard) -> None:
    app = dashboard.open(CLIP, source="uploads", clip="voice.wav · " + "a" * 64)
    assert not app.exception
    assert "neither its sound nor its results" in words(app)


def test_keeping_a_clip_keeps_its_sound(dashboard: Dashboard) -> None:
    clip = upload(0.7)
    app = dashboard.settle(dashboard.open(CLIP, source="uploads", clip=upload_label(clip)))
    app.button(key="clip_keep").click().run()
    assert not app.exception
    assert context.uploads().is_kept(clip.clip_id)
    assert "clip_keep" not in [button.key for button in app.button]


def test_a_clip_longer_than_the_window_lets_one_choose(dashboard: Dashboard) -> None:
    clip = upload(2.5)  # the registry's models hear 1 s
    app = dashboard.settle(dashboard.open(CLIP, source="uploads", clip=upload_label(clip), start="0.75"))
    assert not app.exception
    slider = app.slider(key="start")
    assert "This clip lasts **2.50 s**, the models hear **1.00 s** at a time" in slider.label
    assert (slider.value, slider.max) == (0.75, 1.5)
    slider.set_value(1.0).run()
    app = dashboard.settle(app)
    assert dashboard.inventor.seen == MODELS * 2
    model = context.models().models[0]
    for start_s in (0.75, 1.0):
        assert StoredRecords(context.store(), Precision(), round(16_000 * start_s)).forward(model, clip) is not None


def test_silence_is_shown_with_a_warning(dashboard: Dashboard) -> None:
    context.warn(upload(0.8).clip_id, ("voice.wav is silent.",))
    app = dashboard.open(CLIP, source="uploads", clip=upload_label(upload(0.8)))
    assert "voice.wav is silent." in words(app)


def test_without_a_model_it_offers_the_usual_ones(dashboard: Dashboard, voices: Path) -> None:
    app = open_voice(dashboard, voices)
    app.multiselect(key="models").set_value([]).run()
    assert not app.exception
    assert "Choose at least one model" in words(app)
    app.button[-1].click().run()
    assert app.multiselect(key="models").value == MODELS


def test_reading_one_class_over_time(dashboard: Dashboard, voices: Path) -> None:
    app = open_voice(dashboard, voices, reading="sadness")
    assert not app.exception
    assert app.segmented_control(key="reading").value == "sadness"
    assert chart(app, "clip_frames")["layout"]["coloraxis"]["colorbar"]["title"]["text"] == "probability of sadness"


def test_models_without_a_single_last_layer_are_named() -> None:
    plain, summed = make_model("plain"), replace(make_model("summed"), weighted_layer_sum=True)
    assert weighted_note([plain]) is None
    note = weighted_note([plain, summed])
    assert note is not None
    assert note.startswith("summed: the head sees a weighted sum")
