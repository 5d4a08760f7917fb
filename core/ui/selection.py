"""What the sidebar says is to be shown: the same everywhere, and carried from page to page."""

from collections.abc import Mapping
from dataclasses import dataclass

from core.analyses.request import Frames, Variant
from core.corpora.select import Slice
from core.models.describe import Models
from core.models.info import ModelInfo


@dataclass(frozen=True)
class Clips:
    """A source and the slice of it, as the command line's options have them, or one clip of it by its label.

    `by` splits them into groups. `left_out` is the label of a clip that was chosen before the slice was; None where
    `clip` is set.
    """

    source: str
    where: Mapping[str, str]
    clip: str | None = None
    left_out: str | None = None
    balanced: int | None = None
    limit: int | None = None
    seed: int = 0
    by: str | None = None

    @property
    def slice(self) -> Slice:
        """What of the source is taken."""
        return Slice(self.where, self.balanced, self.limit, self.seed)


@dataclass(frozen=True)
class Selection:
    """`reference` is one of `models`, None only where none is chosen."""

    models: tuple[ModelInfo, ...]
    reference: ModelInfo | None
    clips: Clips
    variant: Variant
    frames: Frames


def default_models(known: Models) -> list[str]:
    """The models of the first group: those are made to be compared."""
    if not known.models:
        return []
    return [model.name for model in known.models if model.group == known.models[0].group]
