"""Adapters among a view's models, and what of them is picked."""

from collections.abc import Sequence
from dataclasses import replace

from core.figures.theme import Style
from core.figures.view import View
from core.models.info import ModelInfo


def adapters(view: View) -> tuple[ModelInfo, ...]:
    """The models with LoRA."""
    return tuple(model for model in view.models if model.lora)


def untrained(model: ModelInfo) -> str:
    """What the rows call its untrained counterpart (its first seed)."""
    return f"{model.name} (untrained)"


def untrained_style(style: Style) -> Style:
    """A counterpart's style: the trained model's colour, dashed, with open markers."""
    return replace(style, dash="dash", symbol=f"{style.symbol}-open")


def targets(models: Sequence[ModelInfo]) -> list[str]:
    """The projections that any of them adapts."""
    return list(dict.fromkeys(module.target for model in models for module in model.lora))


def modules(model: ModelInfo, target: str) -> tuple[str, ...]:
    """Its modules of one target, by name."""
    return tuple(module.name for module in model.lora if module.target == target)
