"""Checkpoints of the sizes people have, random but whole, load and run as they are."""

from pathlib import Path

import numpy as np
import pytest
import torch
from peft import PeftModel
from transformers import WhisperConfig, WhisperFeatureExtractor

from core.capture.forward import capture
from core.models.describe import describe_registry
from core.models.loading import Loader
from core.store.index import Index
from tests.checkpoints import (
    LABELS,
    SPECIAL_TOKENS,
    base_config,
    classifier_over,
    save_adapter,
    save_base,
    save_head,
    write_registry,
)

WHISPER_BASE = WhisperConfig(
    d_model=512,
    encoder_layers=6,
    encoder_attention_heads=8,
    encoder_ffn_dim=2048,
    decoder_layers=6,
    decoder_attention_heads=8,
    decoder_ffn_dim=2048,
    vocab_size=51865,
)
LARGE_V3_SHAPED = base_config(
    d_model=1280,
    encoder_layers=2,
    encoder_attention_heads=20,
    encoder_ffn_dim=5120,
    decoder_attention_heads=20,
    num_mel_bins=128,
    **SPECIAL_TOKENS,
)


@pytest.mark.parametrize(("config", "mels"), [(WHISPER_BASE, 80), (LARGE_V3_SHAPED, 128)], ids=["base", "large-v3"])
def test_loads_and_runs(tmp_path: Path, config: WhisperConfig, mels: int) -> None:
    base = save_base(tmp_path / "base", config)
    save_head(tmp_path / "head", base, seed=1)
    save_adapter(tmp_path / "r32", base, r=32, lora_alpha=64, target_modules=["v_proj"])
    registry = write_registry(
        tmp_path / "models.toml",
        [
            {"name": "Frozen", "base": "base", "head": "head"},
            {"name": "LoRA r=32", "base": "base", "adapter": "r32", "labels": LABELS},
        ],
    )
    models = describe_registry(registry, Index(tmp_path / "index.sqlite"))
    assert not models.refused
    loader = Loader(torch.device("cpu"), torch.float32)
    sound = (0.1 * np.random.default_rng(0).standard_normal(100_000)).astype(np.float32)
    extractor = WhisperFeatureExtractor.from_pretrained(base)
    features = extractor(sound, sampling_rate=16_000, return_tensors="pt").input_features
    assert features.shape == (1, mels, 3000)
    references = {
        "Frozen": classifier_over(base, 1),
        "LoRA r=32": PeftModel.from_pretrained(classifier_over(base, 9), str(tmp_path / "r32")),
    }
    for info in models.models:
        (made,) = capture(loader.get(info), [sound], lora=True)
        with torch.no_grad():
            wanted = references[info.name].eval()(input_features=features).logits[0]
        record = made.forward
        assert np.abs(record.logits - wanted.numpy()).max() <= 1e-5 * max(1.0, float(wanted.abs().max()))
        assert (
            np.abs(record.lens_normed[-1].mean(axis=0) - record.logits).max() <= 1e-5 * np.abs(record.lens_normed).max()
        )
        assert record.lens_raw.shape == (config.encoder_layers + 1, 1500, 4)
        assert record.audio_frames == 313
        assert len(record.gram_a) == len(info.lora)
