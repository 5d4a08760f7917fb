"""Records as an analysis reads them, out of the store."""

from collections.abc import Callable, Mapping
from typing import TypeVar

import numpy as np

from core.corpora.clip import Clip
from core.engine.interface import GradientPass, ModelPass, Pass, SetPass, Task
from core.engine.interventions import DialPass, LayerPass, PatchPass
from core.interventions import Dial
from core.models.info import ModelInfo
from core.store.forward import ForwardRecord
from core.store.gradient import GradientRecord
from core.store.intervention import AblationRecord, PatchRecord
from core.store.key import Precision
from core.store.lora import LoraRecord
from core.store.model import ModelRecord
from core.store.sets import SetRecord
from core.store.states import StatesRecord
from core.store.store import Store

R = TypeVar("R")


class StoredRecords:
    """Reads records; remembers in `lost` what should have been there but was evicted or damaged."""

    def __init__(self, store: Store, precision: Precision, window_start: int = 0) -> None:
        self._store = store
        self._precision = precision
        self._window_start = window_start
        self.lost: list[Task] = []

    def forward(self, model: ModelInfo, clip: Clip) -> ForwardRecord | None:
        """The record of one model and clip, or None where there is none."""
        return self._read(Pass.over(model, clip, self._window_start), ForwardRecord.from_arrays)

    def lora(self, model: ModelInfo, clip: Clip) -> LoraRecord | None:
        """One clip's LoRA-A outputs; None also for a model without LoRA."""
        return (
            self._read(Pass.over(model, clip, self._window_start, lora=True), LoraRecord.from_arrays)
            if model.lora
            else None
        )

    def states(self, model: ModelInfo, clip: Clip) -> StatesRecord | None:
        """One clip's residual stream frame by frame."""
        return self._read(Pass.over(model, clip, self._window_start, states=True), StatesRecord.from_arrays)

    def gradient(self, task: GradientPass) -> GradientRecord | None:
        """One clip's gradients of its loss against one class."""
        return self._read(task, GradientRecord.from_arrays)

    def gradients(self, task: SetPass) -> SetRecord | None:
        """What needs all gradients of a set of clips at once."""
        return self._read(task, SetRecord.from_arrays)

    def weights(self, model: ModelInfo) -> ModelRecord | None:
        """What can be said of a model's weights alone."""
        return self._read(ModelPass(model), ModelRecord.from_arrays)

    def dialled(self, model: ModelInfo, clip: Clip, dial: Dial) -> ForwardRecord | None:
        """One clip under the model with its LoRA dial turned."""
        return self._read(DialPass.over(model, clip, self._window_start, dial), ForwardRecord.from_arrays)

    def ablation(self, model: ModelInfo, clip: Clip, layer: int) -> AblationRecord | None:
        """One clip with one layer switched off, and on, in every way."""
        return self._read(LayerPass.over(model, clip, self._window_start, layer), AblationRecord.from_arrays)

    def patch(self, task: PatchPass) -> PatchRecord | None:
        """One layer of a patching sweep."""
        return self._read(task, PatchRecord.from_arrays)

    def _read(self, task: Task, of: Callable[[Mapping[str, np.ndarray]], R]) -> R | None:
        """What the task is for: the last of the records it writes, made `of` its arrays."""
        arrays = self._store.read(task.keys(self._precision)[-1])
        if arrays is None:
            self.lost.append(task)
            return None
        return of(arrays)
