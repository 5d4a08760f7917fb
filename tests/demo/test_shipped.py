"""The demo in the repository: small, complete, loadable, and as good on its own clips as metrics.json says."""

import json
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from safetensors import safe_open
from safetensors.numpy import load_file

from core import paths
from core.corpora.source import DEMO, list_source
from core.demo.prosody import EMOTIONS
from core.demo.runs import Training
from tests.cli.command import lorascope

HOW = Training()


@pytest.fixture(scope="module")
def metrics() -> dict[str, Any]:
    return json.loads((paths.DEMO / "metrics.json").read_text())


def test_it_is_small() -> None:
    assert sum(file.stat().st_size for file in paths.DEMO.rglob("*") if file.is_file()) < 15e6


def test_the_registry_names_files_that_are_there() -> None:
    models = tomllib.loads(paths.DEFAULT_REGISTRY.read_text())["model"]
    assert [model["name"] for model in models] == ["Frozen", *(f"LoRA r={rank}" for rank in HOW.ranks)]
    for model in models:
        assert model["synthetic"] is True
        assert model["labels"] == list(EMOTIONS)
        assert (paths.ROOT / model["base"] / "model.safetensors").is_file()
        file = "model.safetensors" if model["role"] == "frozen" else "adapter_model.safetensors"
        assert (paths.ROOT / model.get("head", model.get("adapter")) / file).is_file()


def test_ten_speakers_in_five_sessions_with_minimal_pairs() -> None:
    """Every speaker says every sentence in all four emotions, once each."""
    clips = list_source(DEMO).clips
    speakers = {str(clip.speaker) for clip in clips}
    assert speakers == {f"Ses0{session}{sex}" for session in range(1, 6) for sex in "FM"}
    said = Counter((clip.speaker, clip.transcript, clip.label) for clip in clips)
    sentences = {clip.transcript for clip in clips}
    assert len(sentences) == 5
    assert said == {(who, what, how): 1 for who in speakers for what in sentences for how in EMOTIONS}


def test_clips_play() -> None:
    for clip in list_source(DEMO).clips:
        samples, rate = soundfile.read(clip.path, dtype="float32")
        assert rate == 16_000
        assert samples.ndim == 1
        assert 1.0 < samples.size / rate <= 4.0
        assert np.isfinite(samples).all()


def test_weights_are_half_precision_finite_and_only_what_they_should_be() -> None:
    head = load_file(paths.DEMO / "frozen" / "model.safetensors")
    assert set(head) == {"projector.weight", "projector.bias", "classifier.weight", "classifier.bias"}
    for file in paths.DEMO.rglob("*.safetensors"):
        with safe_open(file, framework="np") as tensors:
            for key in tensors.keys():  # noqa: SIM118  # not a mapping
                tensor = tensors.get_tensor(key)
                assert tensor.dtype == np.float16, f"{file}: {key}"
                assert np.isfinite(tensor).all(), f"{file}: {key}"


def test_the_shipped_models_score_as_recorded_and_trained_on_none_of_it(
    metrics: dict[str, Any], tmp_path: Path
) -> None:
    """The command of the README, against the first seed's scores in metrics.json."""
    words = ("--models", "all", "--clips", "demo", "--out", tmp_path, "--cache", tmp_path / "cache")
    done = lorascope("evaluate", *words)
    assert done.code == 0, done.err
    rows = {row["name"]: row for row in json.loads((tmp_path / "evaluate.json").read_text())["rows"]}
    recorded = {row["name"]: row["members"][0] for row in metrics["shipped_clips"]}
    assert len(rows) == 1 + len(HOW.ranks)
    for name, row in rows.items():
        assert recorded[name]["seed"] == HOW.seeds[0]
        assert row["uar"]["value"] == pytest.approx(recorded[name]["uar"], abs=1e-9), name
    for name in ("frozen", *(f"lora-r{rank}" for rank in HOW.ranks)):
        splits = json.loads((paths.DEMO / name / "manifest.json").read_text())["splits"]
        shipped = {str(clip.speaker) for clip in list_source(DEMO).clips}
        assert len(splits["train"]["speakers"]) >= 300
        assert not shipped & {*splits["train"]["speakers"], *splits["validation"]["speakers"]}


def test_lora_is_above_frozen_beyond_the_spread_and_the_control_is_at_chance(metrics: dict[str, Any]) -> None:
    """What the cards, pages and README lean on."""
    for table in (metrics["shipped_clips"], metrics["all_clips"]):
        rows = {row["name"]: row for row in table}
        frozen = rows["Frozen"]["spread"]
        for rank in HOW.ranks:
            lora = rows[f"LoRA r={rank}"]["spread"]
            assert lora["count"] == frozen["count"] == len(HOW.seeds)
            assert lora["uar"] - lora["uar_sd"] > frozen["uar"] + frozen["uar_sd"]
            assert 0.65 < lora["uar"] < 0.9
        (control,) = (row for name, row in rows.items() if "shuffled" in name)
        assert abs(control["uar"]["value"] - metrics["chance_uar"]) < 0.06
    assert all(one["uar"]["low"] > 0 for one in metrics["comparisons"] if "shuffled" not in one["model"])


def test_three_stories_at_least_on_clips_that_ship(metrics: dict[str, Any]) -> None:
    names = {clip.name for clip in list_source(DEMO).clips}
    assert len(metrics["stories"]) >= 3
    assert {story["clip"] for story in metrics["stories"]} <= names


def test_cards_say_synthetic() -> None:
    for card in ("MODEL_CARD.md", "DATA_CARD.md"):
        assert "synthetic" in (paths.DEMO / card).read_text().lower()
