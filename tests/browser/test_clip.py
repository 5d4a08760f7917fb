"""First light, as a user has it: bring a voice, see what each layer makes of it."""

import os
import re
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest

from core.analyses.lens import trajectory
from core.analyses.stored import StoredRecords
from core.corpora.clip import Clip
from core.engine.device import choose_precision
from core.settings import Settings
from tests.browser.conftest import Server, Tab
from tests.conftest import save_sound

EXCEPTION = '[data-testid="stException"]'


def clip_in(address: str) -> str:
    """The clip's id in an address."""
    return re.findall("[0-9a-f]{64}", parse_qs(urlsplit(address).query)["clip"][0])[0]


def expected_lines(server: Server, clip_id: str, variant: str = "published", frames: str = "all") -> np.ndarray:
    """What the store's records say the lines are, model by model and class by class."""
    records = StoredRecords(server.store, choose_precision(Settings()))
    lines = []
    for model in server.models.models:
        record = records.forward(model, Clip(clip_id, "", 1))
        assert record is not None
        lines += list(trajectory(record, variant, frames).T)
    return np.array(lines)


def test_upload_a_voice_and_see_every_layer(tab: Tab, server: Server, voice: Path, screenshots: Path) -> None:
    models = server.models.models
    assert {"frozen", "lora"} <= {str(model.role) for model in models}
    tab.open("/Clip").upload(voice)
    lines = tab.lens(len(models))
    assert [line["hover"].split("</b>")[0].removeprefix("<b>") for line in lines] == [
        model.name for model in models for _ in model.labels
    ]
    np.testing.assert_allclose(
        [line["y"] for line in lines], expected_lines(server, clip_in(tab.page.url)), rtol=0, atol=1e-12
    )
    for model in models:
        assert model.name in tab.answer()
    tab.settle().page.screenshot(path=screenshots / "upload.png")
    assert tab.page.query_selector(EXCEPTION) is None
    assert tab.problems == []


def test_the_address_shows_the_same_in_another_session(
    tab: Tab, new_tab: Callable[..., Tab], server: Server, voice: Path
) -> None:
    models = len(server.models.models)
    tab.open("/Clip").upload(voice)
    published = tab.lens(models)
    tab.settle().page.click('.st-key-variant button:has-text("corrected")')
    tab.page.wait_for_function("document.location.search.includes('variant=corrected')")
    shown = tab.lens(models, unlike=published)
    other = new_tab().open(tab.settle().page.url)
    np.testing.assert_array_equal([x["y"] for x in other.lens(models)], [x["y"] for x in shown])
    np.testing.assert_allclose(
        [x["y"] for x in other.lens(models)],
        expected_lines(server, clip_in(tab.page.url), "corrected", "audio"),
        rtol=0,
        atol=1e-12,
    )
    assert other.answer() == tab.answer()
    assert other.page.url == tab.page.url


def test_pages_keep_what_is_chosen(tab: Tab, server: Server) -> None:
    models = len(server.models.models)
    tab.open("/").page.click(".st-key-first_look a")
    shown = tab.lens(models)
    address = tab.address()
    assert "clip=" in address
    tab.page.click('[data-testid="stSidebar"] a:has-text("Overview")')
    tab.page.wait_for_selector(".st-key-first_look")
    tab.settle().page.click('[data-testid="stSidebar"] a:has-text("Clip")')
    assert tab.lens(models) == shown
    assert tab.address() == address


def test_a_damaged_file_gets_its_sentence_and_the_page_stays(tab: Tab, server: Server, tmp_path: Path) -> None:
    tab.open("/").page.click(".st-key-first_look a")
    shown = tab.lens(len(server.models.models))
    damaged = tmp_path / "damaged.wav"
    damaged.write_bytes(b"RIFF this is no sound" * 50)
    tab.settle().upload(damaged)
    tab.page.wait_for_selector('[data-testid="stAlert"]:has-text("damaged.wav")')
    tab.settle()
    assert tab.lens(len(server.models.models)) == shown
    assert tab.page.query_selector(EXCEPTION) is None


def test_record_from_the_microphone(tab: Tab, server: Server) -> None:
    tab.open("/Clip")
    tab.page.click('[data-testid="stAudioInput"] button[aria-label="Record"]')
    tab.page.wait_for_timeout(1500)
    tab.page.click('[data-testid="stAudioInput"] button[aria-label="Stop recording"]')
    lines = tab.lens(len(server.models.models))
    assert "Recording" in parse_qs(urlsplit(tab.page.url).query)["clip"][0]
    np.testing.assert_allclose([x["y"] for x in lines], expected_lines(server, clip_in(tab.page.url)), atol=1e-12)


def test_a_long_clip_offers_its_windows(tab: Tab, server: Server, tmp_path: Path, screenshots: Path) -> None:
    model = server.models.models[0]
    window_s = model.shape.window_samples / model.shape.sampling_rate
    tab.open("/Clip").upload(save_sound(tmp_path / "long.wav", window_s + 2, seed=7))
    tab.page.wait_for_selector(".st-key-clip_window .js-plotly-plot")
    assert "at a time" in tab.page.inner_text('[data-testid="stMain"]')
    first = tab.lens(len(server.models.models))
    tab.settle().page.focus('.st-key-start input[type="range"]')
    tab.page.keyboard.press("End")
    tab.page.wait_for_function("document.location.search.includes('start=')")
    assert parse_qs(urlsplit(tab.page.url).query)["start"] == ["2"]
    tab.lens(len(server.models.models), unlike=first)
    tab.settle().page.screenshot(path=screenshots / "window.png")
    assert tab.page.query_selector(EXCEPTION) is None


def test_a_killed_worker_is_replaced_under_the_page(tab: Tab, server: Server, tmp_path: Path) -> None:
    tab.open("/Clip")
    worker = server.worker()
    os.kill(worker, signal.SIGSTOP)  # so that it is sure to be in the middle of it
    tab.upload(save_sound(tmp_path / "while.wav", 1.0, seed=9))
    tab.page.wait_for_selector(".st-key-answer:has-text('still to come')")
    time.sleep(0.5)
    os.kill(worker, signal.SIGKILL)
    assert len(tab.lens(len(server.models.models))) > 0
    assert server.worker() != worker
    assert tab.page.query_selector(EXCEPTION) is None
    tab.page.wait_for_selector('[data-testid="stSidebar"]:has-text("restarted")')


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_the_web_process_never_loads_torch(tab: Tab, server: Server) -> None:
    tab.open("/").page.click(".st-key-first_look a")
    tab.lens(len(server.models.models))
    assert "libtorch" not in Path(f"/proc/{server.process.pid}/maps").read_text()
