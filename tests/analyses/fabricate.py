"""Models, clips and forward records made of random numbers, for tests of what is computed from them."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from core.corpora.clip import Clip
from core.models.info import EncoderShape, ModelFiles, ModelInfo, Role
from core.store.forward import ForwardRecord

LABELS = ("anger", "neutral", "sadness")


def make_model(name="frozen", layers=5, width=48, frames=12, labels=LABELS, role=Role.FROZEN, **more) -> ModelInfo:
    shape = EncoderShape(layers, width, frames, 320, 80, 2 * frames, 16_000)
    return ModelInfo(
        name=name,
        role=role,
        group="test",
        fingerprint=f"print of {name}",
        base_fingerprint="base",
        labels=labels,
        shape=shape,
        lora=(),
        files=ModelFiles(config=Path("config.json"), encoder=(Path("model.safetensors"),)),
        parameters=1,
        **more,
    )


def make_clips(labels: Sequence[str | None], speakers: Sequence[str | None] | None = None) -> tuple[Clip, ...]:
    speakers = speakers or [None] * len(labels)
    return tuple(
        Clip(f"{i:064x}", f"clip {i}", 3200 + i, label=label, speaker=speaker)
        for i, (label, speaker) in enumerate(zip(labels, speakers, strict=True))
    )


def make_record(model: ModelInfo, rng: np.random.Generator) -> ForwardRecord:
    layers, width, frames, classes = model.shape.layers, model.shape.width, model.shape.frames, len(model.labels)
    points, audio = layers + 1, int(rng.integers(1, frames + 1))
    raw, normed = rng.normal(size=(2, points, frames, classes)).astype(np.float32) * 2
    return ForwardRecord(
        relative=rng.random((2, 3, layers)),
        cosine=rng.uniform(-1, 1, (2, 3, layers)),
        residual_norm=rng.random((2, points)) * 10,
        mean_raw=rng.normal(size=(2, points, width)).astype(np.float32),
        mean_normed=rng.normal(size=(2, points, width)).astype(np.float32),
        lens_raw=raw,
        lens_normed=normed,
        logits=normed[-1].mean(axis=0, dtype=np.float64),  # as in a real pass: the head after the final layer_norm
        audio_frames=audio,
        n_samples=audio * 320,
    )


def with_logits(record: ForwardRecord, logits: np.ndarray) -> ForwardRecord:
    """The record with the same logits (points x classes) at every frame, and the last ones as the model's own."""
    frames = record.lens_raw.shape[1]
    lens = np.repeat(np.asarray(logits, dtype=np.float32)[:, None], frames, axis=1)
    return replace(record, lens_raw=lens, lens_normed=lens, logits=np.asarray(logits[-1], dtype=np.float64))


@dataclass
class Shelf:
    """Records by model and clip; what is not on it failed. Remembers what was read."""

    records: dict[tuple[str, str], ForwardRecord] = field(default_factory=dict)
    read: list[tuple[str, str]] = field(default_factory=list)

    def forward(self, model: ModelInfo, clip: Clip) -> ForwardRecord | None:
        self.read.append((model.name, clip.clip_id))
        return self.records.get((model.name, clip.clip_id))

    def nothing(self, *_: object) -> None:
        """The records of adapters: `tests.analyses.adapters` has some."""

    lora = states = gradient = gradients = weights = dialled = ablation = patch = nothing


def make_shelf(models: Sequence[ModelInfo], clips: Sequence[Clip], seed: int = 0) -> Shelf:
    rng = np.random.default_rng(seed)
    return Shelf({(m.name, c.clip_id): make_record(m, rng) for m in models for c in clips})
