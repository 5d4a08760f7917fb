"""What an analysis is asked for, what it may read, and the rows every result turns into."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Literal, Protocol, get_args, runtime_checkable

from core.corpora.clip import Clip
from core.engine.interface import GradientPass, SetPass
from core.engine.interventions import PatchPass
from core.interventions import Dial, Pairing
from core.models.info import ModelInfo
from core.store.forward import ForwardRecord
from core.store.gradient import GradientRecord
from core.store.intervention import AblationRecord, PatchRecord
from core.store.lora import LoraRecord
from core.store.model import ModelRecord
from core.store.sets import SetRecord
from core.store.states import StatesRecord

Variant = Literal["published", "released", "corrected"]
Frames = Literal["all", "audio"]
CausalPart = Literal["layers", "patching"]
CAUSAL_PARTS: tuple[CausalPart, ...] = get_args(CausalPart)
DEFAULT_FRAMES: dict[Variant, Frames] = {"published": "all", "released": "all", "corrected": "audio"}


@dataclass(frozen=True)
class AnalysisRequest:
    """Models and clips to compare, and in which variant. `reference` names one of the models.

    `window_start` (samples) is where the models' window begins in every clip; only clips longer than it care.
    `untrained_seeds` says how many draws of each adapter's untrained counterpart there are, seeds 0, 1, ….
    Of the causal analysis: which parts, between which runs to patch, further clips that may be the partner in a minimal
    pair, and of what time (seconds within the window).
    """

    models: tuple[ModelInfo, ...]
    clips: tuple[Clip, ...]
    reference: str
    variant: Variant = "published"
    frames: Frames = "all"
    seed: int = 0
    window_start: int = 0
    untrained_seeds: int = 1
    parts: tuple[CausalPart, ...] = CAUSAL_PARTS
    pairing: Pairing = "dial"
    partners: tuple[Clip, ...] = ()
    span: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if self.reference not in {model.name for model in self.models}:
            raise ValueError(f"reference {self.reference!r} is not among the models")
        if self.untrained_seeds < 1:
            raise ValueError(f"untrained_seeds is {self.untrained_seeds}, expected at least 1")


@runtime_checkable  # the tests check argument types
class Records(Protocol):
    """Where an analysis reads. A pass that failed has no record: None, and the clip drops out for that model."""

    def forward(self, model: ModelInfo, clip: Clip) -> ForwardRecord | None: ...

    def lora(self, model: ModelInfo, clip: Clip) -> LoraRecord | None: ...

    def states(self, model: ModelInfo, clip: Clip) -> StatesRecord | None: ...

    def gradient(self, task: GradientPass) -> GradientRecord | None: ...

    def gradients(self, task: SetPass) -> SetRecord | None: ...

    def weights(self, model: ModelInfo) -> ModelRecord | None: ...

    def dialled(self, model: ModelInfo, clip: Clip, dial: Dial) -> ForwardRecord | None: ...

    def ablation(self, model: ModelInfo, clip: Clip, layer: int) -> AblationRecord | None: ...

    def patch(self, task: PatchPass) -> PatchRecord | None: ...


@dataclass(frozen=True, slots=True)
class Row:
    """One number, in the columns of every CSV. Empty (None) where not applicable; value None = undefined, see notes."""

    analysis: str
    variant: Variant
    model: str
    versus: str | None = None
    layer: int | None = None
    module: str | None = None
    component: str | None = None
    statistic: str = ""
    clip_id: str | None = None
    value: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    n: int | None = None


COLUMNS = tuple(f.name for f in fields(Row))


@dataclass(frozen=True)
class Note:
    """Why a value is undefined or missing: which number, and one sentence."""

    about: str
    reason: str


@runtime_checkable
class Result(Protocol):
    """What `compute` gives, a frozen dataclass."""

    @property
    def notes(self) -> tuple[Note, ...]:
        """The reason of every undefined or missing value."""
        ...

    def rows(self) -> Iterable[Row]: ...


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval (None where undefined) and the number of clips it is over."""

    value: float
    low: float | None = None
    high: float | None = None
    n: int = 1
