"""Records as an analysis reads them, out of the store."""

from collections.abc import Mapping

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


class StoredRecords:
    """Reads records; remembers in `lost` what should have been there but was evicted or damaged."""

    def __init__(self, store: Store, precision: Precision, window_start: int = 0) -> None:
        self._store = store
        self._precision = precision
        self._window_start = window_start
        self.lost: list[Task] = []

    def forward(self, model: ModelInfo, clip: Clip) -> ForwardRecord | None:
        """The record of one model and clip, or None where there is none."""
        arrays = self._read(Pass.over(model, clip, self._window_start))
        return None if arrays is None else ForwardRecord.from_arrays(arrays)

    def lora(self, model: ModelInfo, clip: Clip) -> LoraRecord | None:
        """One clip's LoRA-A outputs; None also for a model without LoRA."""
        arrays = self._read(Pass.over(model, clip, self._window_start, lora=True)) if model.lora else None
        return None if arrays is None else LoraRecord.from_arrays(arrays)

    def states(self, model: ModelInfo, clip: Clip) -> StatesRecord | None:
        """One clip's residual stream frame by frame."""
        arrays = self._read(Pass.over(model, clip, self._window_start, states=True))
        return None if arrays is None else StatesRecord.from_arrays(arrays)

    def gradient(self, task: GradientPass) -> GradientRecord | None:
        """One clip's gradients of its loss against one class."""
        arrays = self._read(task)
        return None if arrays is None else GradientRecord.from_arrays(arrays)

    def gradients(self, task: SetPass) -> SetRecord | None:
        """What needs all gradients of a set of clips at once."""
        arrays = self._read(task)
        return None if arrays is None else SetRecord.from_arrays(arrays)

    def weights(self, model: ModelInfo) -> ModelRecord | None:
        """What can be said of a model's weights alone."""
        arrays = self._read(ModelPass(model))
        return None if arrays is None else ModelRecord.from_arrays(arrays)

    def dialled(self, model: ModelInfo, clip: Clip, dial: Dial) -> ForwardRecord | None:
        """One clip under the model with its LoRA dial turned."""
        arrays = self._read(DialPass.over(model, clip, self._window_start, dial))
        return None if arrays is None else ForwardRecord.from_arrays(arrays)

    def ablation(self, model: ModelInfo, clip: Clip, layer: int) -> AblationRecord | None:
        """One clip with one layer switched off, and on, in every way."""
        arrays = self._read(LayerPass.over(model, clip, self._window_start, layer))
        return None if arrays is None else AblationRecord.from_arrays(arrays)

    def patch(self, task: PatchPass) -> PatchRecord | None:
        """One layer of a patching sweep."""
        arrays = self._read(task)
        return None if arrays is None else PatchRecord.from_arrays(arrays)

    def _read(self, task: Task) -> Mapping[str, np.ndarray] | None:
        """What the task is for: the last of the records it writes."""
        arrays = self._store.read(task.keys(self._precision)[-1])
        if arrays is None:
            self.lost.append(task)
        return arrays
