"""What is drawn for a model that has no trained weights of its own: a new head, an adapter before any training."""

import json
from collections.abc import Mapping

import torch
from torch import Tensor
from transformers import WhisperConfig

from core.models.info import ModelInfo

_UNTRAINED_SD = 0.02  # of the entries of an untrained adapter's A and B (the paper's draw)


def fresh_head(info: ModelInfo) -> dict[str, Tensor]:
    """A new head as transformers would draw it (N(0, init_std^2), zero biases), seeded."""
    config = WhisperConfig.from_dict(json.loads(info.files.config.read_text(encoding="utf-8")))
    draw = torch.Generator().manual_seed(info.seed)
    inner, classes = config.classifier_proj_size, len(info.labels)
    return {
        "projector.weight": torch.randn(inner, info.shape.width, generator=draw) * config.init_std,
        "projector.bias": torch.zeros(inner),
        "classifier.weight": torch.randn(classes, inner, generator=draw) * config.init_std,
        "classifier.bias": torch.zeros(classes),
    }


def untrained_draw(tensors: Mapping[str, Tensor], seed: int) -> dict[str, Tensor]:
    """A and B of an adapter's shapes as before any training: entries from N(0, 0.02^2), the paper's draw."""
    draw = torch.Generator().manual_seed(seed)
    return {n: torch.randn(t.shape, generator=draw) * _UNTRAINED_SD for n, t in sorted(tensors.items())}
