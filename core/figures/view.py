"""What the corpus pages' figures are given: the tables of a study as it stands, and how they are to be shown."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from core.analyses.request import Frames, Variant
from core.analyses.tidy import Table
from core.corpora.clip import Clip
from core.figures.theme import Style, model_styles
from core.models.info import ModelInfo

_EMPTY = Table.of(())


@dataclass(frozen=True, eq=False)
class View:
    """A study's numbers. `tables` are by group of clips and analysis; without a split the only group is "".

    `total` is how many clips were asked for; tables may still be over fewer. `by` says what the groups are
    ("emotion", "speaker", "session" or "correct:MODEL"), `narrow` that panels go under each other.
    """

    models: tuple[ModelInfo, ...]
    reference: ModelInfo
    variant: Variant
    frames: Frames
    tables: Mapping[str, Mapping[str, Table]] = field(default_factory=dict)
    clips: tuple[Clip, ...] = ()
    total: int = 0
    by: str | None = None
    narrow: bool = False
    done: bool = False

    @property
    def groups(self) -> tuple[str, ...]:
        """Names of the groups of clips; none before it is known which there are."""
        return tuple(self.tables) if self.by else ()

    def table(self, analysis: str, group: str = "") -> Table:
        """An analysis' rows; empty before there are any."""
        return self.tables.get(group, {}).get(analysis, _EMPTY)

    @property
    def styles(self) -> dict[str, Style]:
        """Each model's style by its name."""
        found = model_styles([(model.role, model.rank) for model in self.models])
        return {model.name: style for model, style in zip(self.models, found, strict=True)}

    @property
    def others(self) -> tuple[ModelInfo, ...]:
        """The models that are held against the reference."""
        return tuple(model for model in self.models if model.name != self.reference.name)

    def speakers(self) -> int:
        """How many speakers are known among the clips."""
        return len({clip.speaker for clip in self.clips if clip.speaker})
