"""Records as an analysis reads them, out of the store."""

from core.corpora.clip import Clip
from core.engine.interface import Pass
from core.models.info import ModelInfo
from core.store.forward import ForwardRecord
from core.store.key import Precision
from core.store.store import Store


class StoredRecords:
    """Reads forward records; remembers in `lost` what should have been there but was evicted or damaged."""

    def __init__(self, store: Store, precision: Precision, window_start: int = 0) -> None:
        self._store = store
        self._precision = precision
        self._window_start = window_start
        self.lost: list[Pass] = []

    def forward(self, model: ModelInfo, clip: Clip) -> ForwardRecord | None:
        """The record of one model and clip, or None where there is none."""
        task = Pass.over(model, clip, self._window_start)
        arrays = self._store.read(task.keys(self._precision)[0])
        if arrays is None:
            self.lost.append(task)
            return None
        return ForwardRecord.from_arrays(arrays)
