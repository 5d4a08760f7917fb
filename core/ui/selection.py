"""What the sidebar says is to be shown: the same everywhere, and carried from page to page."""

from dataclasses import dataclass

from core.analyses.request import Frames, Variant
from core.models.describe import Models
from core.models.info import ModelInfo


@dataclass(frozen=True)
class Selection:
    """`reference` is one of `models`, None only where none is chosen; `clip` is the chosen clip's label."""

    models: tuple[ModelInfo, ...]
    reference: ModelInfo | None
    source: str
    clip: str | None
    variant: Variant
    frames: Frames


def default_models(known: Models) -> list[str]:
    """The models of the first group: those are made to be compared."""
    if not known.models:
        return []
    return [model.name for model in known.models if model.group == known.models[0].group]
