"""Random models of odd shapes with clips, their float64 oracles, and an engine in this process."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from peft import PeftModel
from torch import nn
from transformers import WhisperFeatureExtractor, WhisperForAudioClassification

from core.corpora.clip import Clip
from core.engine.build import local_engine, worker_config
from core.engine.local import LocalEngine
from core.engine.runner import Runner
from core.models.describe import Models, describe_registry
from core.settings import Settings, read_settings
from core.store.store import Store
from tests.capture.oracle import Oracle, run_oracle
from tests.checkpoints import (
    LABELS,
    classifier_over,
    save_adapter,
    save_base,
    save_extractor,
    save_head,
    small_config,
    write_registry,
)

PERMUTED = ("sadness", "anger", "neutral", "happiness")
ALL_TARGETS = ["q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"]


@dataclass(frozen=True)
class Zoo:
    """Models by name with float64 references of their own loading, and clips with their samples."""

    models: Models
    references: dict[str, Callable[[], nn.Module]]
    clips: tuple[Clip, ...]
    samples: dict[str, np.ndarray]
    base: Path

    def oracle(self, name: str, clip: Clip) -> Oracle:
        extractor = WhisperFeatureExtractor.from_pretrained(self.base)
        features = extractor(self.samples[clip.clip_id], sampling_rate=16_000, return_tensors="pt").input_features[0]
        return run_oracle(self.references[name](), features, clip.n_samples)


@pytest.fixture(scope="session")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    root = tmp_path_factory.mktemp("zoo")
    config = small_config(layers=5, width=48, seconds=2)
    base = save_base(root / "base", config, seed=3)
    save_head(root / "head", base, seed=1, labels=PERMUTED)
    save_adapter(root / "qv", base, seed=2, r=5, lora_alpha=7)
    save_adapter(root / "all", base, seed=4, r=3, target_modules=ALL_TARGETS, use_rslora=True)
    full = classifier_over(base, 5)
    full.save_pretrained(root / "full")
    save_extractor(root / "full", config)
    weighted = classifier_over(base, 6, use_weighted_layer_sum=True)
    with torch.no_grad():
        weighted.layer_weights.copy_(torch.randn(weighted.layer_weights.shape))
    weighted.save_pretrained(root / "weighted")
    save_extractor(root / "weighted", config)
    registry = write_registry(
        root / "models.toml",
        [
            {"name": "frozen", "base": "base", "head": "head"},
            {"name": "qv", "base": "base", "adapter": "qv", "labels": LABELS},
            {"name": "all", "base": "base", "adapter": "all", "labels": LABELS},
            {"name": "full", "base": "full"},
            {"name": "weighted", "base": "weighted"},
        ],
    )
    store = Store(root / "registry-cache", 1.0)
    models = describe_registry(registry, store.index)
    assert not models.refused

    def adapted(name: str) -> Callable[[], nn.Module]:
        return lambda: PeftModel.from_pretrained(classifier_over(base, 99), str(root / name))

    def whole(name: str) -> Callable[[], nn.Module]:
        return lambda: WhisperForAudioClassification.from_pretrained(root / name)

    references = {
        "frozen": lambda: classifier_over(base, 1, PERMUTED),
        "qv": adapted("qv"),
        "all": adapted("all"),
        "full": whole("full"),
        "weighted": whole("weighted"),
    }
    draw = np.random.default_rng(0)
    lengths = (32_000, 3200, 17_001, 31_999, 8000, 20_480)
    clips, samples = [], {}
    for i, n in enumerate(lengths):
        time = np.arange(n) / 16_000
        sound = (0.2 * np.sin(2 * np.pi * (150 + 90 * i) * time) + 0.05 * draw.standard_normal(n)).astype(np.float32)
        clip = Clip(f"{i:064x}", f"clip{i}.wav", n, label=LABELS[i % 4], speaker=f"S{i % 3}")
        clips.append(clip)
        samples[clip.clip_id] = sound
    return Zoo(models, references, tuple(clips), samples, base)


@pytest.fixture
def make_engine(zoo: Zoo, tmp_path: Path) -> Callable[..., tuple[LocalEngine, Store]]:
    """An engine in this process with a cache of its own."""

    def make(cache: str = "cache", **overrides: object) -> tuple[LocalEngine, Store]:
        settings: Settings = read_settings(cache_dir=tmp_path / cache, device="cpu", **overrides)
        store = Store(settings.cache_dir, settings.cache_max_gb)
        runner = Runner(worker_config(settings))
        return local_engine(settings, store, lambda clip: zoo.samples[clip.clip_id], runner), store

    return make
