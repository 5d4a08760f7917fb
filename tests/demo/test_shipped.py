"""The demo in the repository: small, complete, loadable, and as good on its own clips as metrics.json says."""

import csv
import json
import tomllib

import numpy as np
import pytest
import soundfile
from safetensors import safe_open
from safetensors.numpy import load_file

from core import paths
from core.demo import measure
from core.demo.adapt import RANKS
from core.demo.prosody import EMOTIONS


def test_it_is_small() -> None:
    assert sum(file.stat().st_size for file in paths.DEMO.rglob("*") if file.is_file()) < 8e6


def test_the_registry_names_files_that_are_there() -> None:
    models = tomllib.loads(paths.DEFAULT_REGISTRY.read_text())["model"]
    assert [model["name"] for model in models] == ["Frozen", *(f"LoRA r={rank}" for rank in RANKS)]
    for model in models:
        assert model["synthetic"] is True
        assert model["labels"] == list(EMOTIONS)
        assert (paths.ROOT / model["base"] / "model.safetensors").is_file()
        file = "model.safetensors" if model["role"] == "frozen" else "adapter_model.safetensors"
        assert (paths.ROOT / model.get("head", model.get("adapter")) / file).is_file()


def test_clips_are_listed_balanced_and_play() -> None:
    with (paths.DEMO_CLIPS / "metadata.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["file_name"] for row in rows} == {clip.name for clip in paths.DEMO_CLIPS.glob("*.flac")}
    speakers = {row["speaker"] for row in rows}
    assert len(speakers) >= 4
    assert {speaker[0] for speaker in speakers} == {"F", "M"}
    for label in EMOTIONS:
        assert sum(row["label"] == label for row in rows) == len(rows) / len(EMOTIONS)
    for row in rows:
        samples, rate = soundfile.read(paths.DEMO_CLIPS / row["file_name"], dtype="float32")
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


def test_shipped_clips_score_as_recorded() -> None:
    recorded = json.loads((paths.DEMO / "metrics.json").read_text())["shipped_clips"]
    again = measure.on_shipped_clips(paths.DEMO)
    assert again["clips"] == recorded["clips"]
    for name, score in recorded["models"].items():
        assert again["models"][name]["right"] == score["right"], name
        assert again["models"][name]["uar"] == pytest.approx(score["uar"])


def test_models_are_better_than_chance_and_lora_than_frozen() -> None:
    """What the cards and pages lean on; a miniature build left in the repository by mistake would fail here."""
    scores = json.loads((paths.DEMO / "metrics.json").read_text())["test"]["models"]
    assert scores["Frozen"]["uar"] > 0.5
    for rank in RANKS:
        assert scores[f"LoRA r={rank}"]["uar"] > scores["Frozen"]["uar"] + 0.05


def test_cards_say_synthetic_and_starter() -> None:
    for card in ("MODEL_CARD.md", "DATA_CARD.md"):
        text = (paths.DEMO / card).read_text().lower()
        assert "synthetic" in text
        assert "starter" in text
