"""A whole build in miniature: every step runs, what comes out loads cleanly, and a second run redoes nothing."""

from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors import safe_open
from transformers import WhisperFeatureExtractor, WhisperForConditionalGeneration

from core.demo import adapt
from core.demo.build import Sizes, build
from core.demo.prosody import EMOTIONS

TINY = Sizes(
    utterances=20,
    renderings=2,
    backbone_epochs=1,
    train_speakers=8,
    valid_speakers=2,
    test_speakers=4,
    sentences=1,
    test_sentences=2,
    head_epochs=2,
    lora_epochs=1,
)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    metrics = build(folder / "out", folder / "work", TINY)
    torch.set_num_threads(threads)
    assert metrics["test"]["clips"] == 4 * 2 * len(EMOTIONS)
    assert set(metrics["test"]["models"]) == {"Frozen", "LoRA r=8", "LoRA r=32", "LoRA r=64"}
    return folder


def test_base_is_a_whisper_checkpoint_without_missing_or_unexpected_keys(built: Path) -> None:
    base, info = WhisperForConditionalGeneration.from_pretrained(built / "out" / "base", output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    assert not info["mismatched_keys"]
    extractor = WhisperFeatureExtractor.from_pretrained(built / "out" / "base")
    assert extractor.feature_size == base.config.num_mel_bins
    assert extractor.chunk_length * 50 == base.config.max_source_positions
    assert extractor.nb_max_frames == 2 * base.config.max_source_positions


def test_adapters_hold_exactly_their_keys(built: Path) -> None:
    base = built / "out" / "base"
    for rank in adapt.RANKS:
        folder = built / "out" / f"lora-r{rank}"
        model = adapt.load_lora(base, folder)
        assert isinstance(model, PeftModel)
        with safe_open(folder / "adapter_model.safetensors", framework="pt") as file:
            stored = {key: file.get_slice(key).get_shape() for key in file.keys()}  # noqa: SIM118
        layers = model.config.encoder_layers
        assert len(stored) == layers * len(adapt.TARGETS) * 2 + 4
        assert all(shape[0] == rank for key, shape in stored.items() if "lora_A" in key)
        loaded = dict(model.named_parameters())
        with safe_open(folder / "adapter_model.safetensors", framework="pt") as file:
            for key in stored:
                name, last = key.rsplit(".", 1)
                middle = ".modules_to_save.default." if "lora_" not in key else ".default."
                torch.testing.assert_close(loaded[f"{name}{middle}{last}"], file.get_tensor(key).float())


def test_base_is_the_same_under_every_adapter(built: Path) -> None:
    """Training an adapter must leave the encoder as it was."""
    frozen = adapt.load_head(built / "out" / "base", built / "out" / "frozen")
    adapted = adapt.load_lora(built / "out" / "base", built / "out" / "lora-r8")
    with adapted.disable_adapter():
        features = torch.randn(1, 80, 400)
        torch.testing.assert_close(
            frozen.encoder(features).last_hidden_state,
            adapted.base_model.model.encoder(features).last_hidden_state,
        )


def test_a_second_run_redoes_nothing_and_other_sizes_are_refused(built: Path) -> None:
    weights = sorted((built / "work").rglob("*.safetensors"))
    before = [file.stat().st_mtime_ns for file in weights]
    build(built / "out", built / "work", TINY)
    assert [file.stat().st_mtime_ns for file in weights] == before
    with pytest.raises(RuntimeError, match="other sizes"):
        build(built / "out", built / "work", Sizes(utterances=21))
